"""Every route and every frame against everybody: the table of ``tests/access/table.py``, cell by cell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.access import frames, routes
from tests.access.table import FRAMES, PROGRAMS, Who, entry
from tests.access.world import World, build
from workspace.wire import Ask

pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("scripted")]


@pytest.fixture
def world(db: None) -> World:
    world = build()
    world.change(*Who)
    return world


def test_every_route_has_its_entry() -> None:
    missing = [route.name for route in routes.routes() if entry(route.name) is None and route.name not in PROGRAMS]
    assert missing == [], "give each a line in tests/access/table.py"


@pytest.mark.parametrize("route", ["chat-burn", "admin:providers_provider_export", "admin:export", "c/<uuid:id>/x/"])
def test_a_route_without_an_entry_would_be_named(route: str) -> None:
    """The premise of the test above: no pattern of the table takes in what nobody thought of."""
    assert entry(route) is None


def test_every_frame_has_its_entry() -> None:
    missing = [frame for frame in Ask if frame not in FRAMES]
    assert missing == [], "give each a line in tests/access/table.py"


def test_every_route_meets_everybody_as_the_table_says(world: World, record_property: Any) -> None:
    results = list(routes.failures(world))
    record_property("cells", len(results))
    print(f"{len(results)} cells of routes")
    assert [wrong for _, wrong in results if wrong] == []
    assert len(results) > 1500


@pytest.fixture
def open_world(transactional_db: None) -> World:
    return build()


@pytest.mark.usefixtures("live")
async def test_every_frame_meets_everybody_as_the_table_says(open_world: World, record_property: Any) -> None:
    results = [cell async for cell in frames.failures(open_world)]
    cells = results[-1][0]
    record_property("cells", cells)
    print(f"{cells} cells of frames")
    assert [wrong for _, wrong in results if wrong] == []
    assert cells >= 160


@pytest.mark.usefixtures("live")
async def test_a_listening_socket_hears_as_long_as_its_person_may_read(open_world: World) -> None:
    assert [wrong async for _, wrong in frames.deaf(open_world) if wrong] == []
