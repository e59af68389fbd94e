"""Other programs, two ways: through the official client to a real server, and into the handler beside the test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from tests.serving import Served
from tests.upstream import Upstream
from workspace.accounts.models import Person
from workspace.api import bearer, tokens
from workspace.api.handler import ApiHandler


@pytest.fixture(autouse=True)
def shut_gate(upstream: Upstream) -> None:
    upstream.shut()


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("data"), FIRST_TOKEN_DEADLINE="1", IDLE_DEADLINE="1")
    served.people(2, upstream.url)
    yield served.start()
    served.end()


@pytest.fixture(scope="session")
def token(served: Served) -> str:
    return served.token(served.keys[0])


@pytest.fixture(autouse=True)
def nobody_is_known() -> None:
    """What one test looked up, the next must not find."""
    bearer._known.clear()
    bearer._noted.clear()


@pytest_asyncio.fixture
async def door(live: None, scripted: None) -> AsyncIterator[httpx.AsyncClient]:
    """The handler in this process, over the scripted provider; no header is set."""
    transport = httpx.ASGITransport(app=ApiHandler())
    async with httpx.AsyncClient(transport=transport, base_url="http://onepane") as door:
        yield door


@pytest_asyncio.fixture
async def bobs(door: httpx.AsyncClient, bob: Person) -> str:
    """A token of Bob's, already sent with every call through the door."""
    _, token = await sync_to_async(tokens.make)(bob, name="a notebook")
    door.headers["Authorization"] = f"Bearer {token}"
    return token
