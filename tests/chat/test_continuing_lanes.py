"""A lane that was interrupted before its passages came goes on with what its neighbours read."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async

from chat.models import Lane
from retrieval.models import Collection
from retrieval.search import Found
from tests.chat.test_compare import NAMES, compare, ends, stored
from tests.scripted import Scripted, add_model, say
from tests.tab import Tab, tab
from workspace.accounts.models import Person
from workspace.router.models import Run
from workspace.router.runs import registry
from workspace.router.states import RunState
from workspace.types import Evidence, sha256

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


class Shelf:
    """What is searched: another passage each time, once it is let go."""

    def __init__(self) -> None:
        self.looked = 0
        self.free = asyncio.Event()

    async def search(self, question: str, **_: Any) -> Found:
        self.looked += 1
        text = f"It boils at {self.looked}."
        await self.free.wait()
        passage = Evidence(
            number=1, chunk_id=str(uuid4()), document_id=str(uuid4()), title="Kettles", text=text, start=0, end=9,
            digest=sha256(text), score=0.9,
        )  # fmt: skip
        return Found((passage,))


@pytest.fixture
def shelf(alice: Person, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    for name in NAMES:
        add_model(name)
    Collection.objects.create(name="Orchard", owner=alice)
    shelf = Shelf()
    monkeypatch.setattr("workspace.router.grounding.search", shelf.search)
    return shelf


async def interrupted(page: Tab, lanes: list[Lane]) -> None:
    for lane in lanes:
        run = registry().get(lane.answer.run_id) if lane.answer.run_id else None
        assert run
        run.stop(RunState.INTERRUPTED)
    assert {frame["state"] for frame in await ends(page, len(lanes))} == {"interrupted"}
    assert not [lane async for lane in Lane.objects.filter(pk__in=[one.pk for one in lanes]).exclude(
        answer__run__evidence=[]
    )], "the premise: before anything came"  # fmt: skip


async def read(lanes: list[Lane]) -> list[str]:
    runs = Run.objects.filter(message__lane__in=lanes)
    return [run.evidence[0]["text"] async for run in runs]


async def test_it_reads_what_a_neighbour_has_read(alice: Person, shelf: Shelf) -> None:
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2], documents=True)
        found = await stored(begun["chat"])
        await interrupted(page, found[:1])
        say("It boils [1].")
        shelf.free.set()
        assert (await ends(page, 1))[0]["state"] == "done"
        say("So it does [1].")
        await page.tell("continue", chat=begun["chat"], message=found[0].answer_id)
        assert (await ends(page, 1))[0]["state"] == "done"
    assert shelf.looked == 1 and await read(found) == ["It boils at 1."] * 2


async def test_it_waits_for_a_neighbour_that_is_still_looking(alice: Person, shelf: Shelf) -> None:
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2], documents=True)
        found = await stored(begun["chat"])
        await interrupted(page, found[:1])
        await page.tell("continue", chat=begun["chat"], message=found[0].answer_id)
        assert (await page.hear("refused"))["code"] == "still_looking"
        run = await Run.objects.aget(message__lane=found[0])
        assert run.state == "interrupted", "nothing was begun"
        say("It boils [1].")
        shelf.free.set()
        await ends(page, 1)


async def test_blind_lanes_that_go_on_together_share_one_search(alice: Person, shelf: Shelf) -> None:
    async with tab(alice) as page:
        begun = await compare(page, *NAMES[:2], documents=True, blind=True)
        found = await stored(begun["chat"])
        await interrupted(page, found)
        shelf.free.set()
        before = shelf.looked
        say("It boils [1].")
        say("So it does [1].")
        await page.tell("continue", chat=begun["chat"], message=found[1].answer_id)
        assert {frame["state"] for frame in await ends(page, 2)} == {"done"}
    assert shelf.looked == before + 1 and len(set(await read(found))) == 1
    assert [[passage.text for passage in call.evidence] for call in Scripted.calls[-2:]] == [await read(found[:1])] * 2
    assert await database_sync_to_async(lambda: found[0].comparison.is_withheld)()
