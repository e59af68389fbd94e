"""Votes at once, and what a vote lets others do: lanes that were blind are judged."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
from channels.db import database_sync_to_async
from django.db import connection, transaction

from chat import judging
from chat.compare import rows
from chat.frames import Refused
from chat.models import Vote
from retrieval.models import Collection
from retrieval.search import Found
from tests.chat.test_compare import ends, lanes, signed_in, stored
from tests.chat.votes import vote
from tests.scripted import add_model, say
from tests.tab import tab
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.models import Judgement
from workspace.types import Evidence, sha256

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


class Slow(list[str]):
    """Reasons that are read when another vote has come as far, or can't."""

    barrier = threading.Barrier(2)

    def __iter__(self) -> Iterator[str]:
        try:
            self.barrier.wait(1)
        except threading.BrokenBarrierError:
            pass
        return super().__iter__()


def test_of_two_blind_votes_at_once_one_stays(alice: Person) -> None:
    for name in ("strong", "weak"):
        add_model(name)
    cast = vote(alice, "strong", "weak", blind=True)
    comparison = cast[0].comparison
    Vote.objects.all().delete()

    def choose(lane: UUID) -> str:
        try:
            with transaction.atomic():
                rows.vote(alice, comparison.chat_id, comparison.pk, choice="best", lane=lane, reasons=Slow(["clearer"]))
            return "kept"
        except Refused as refused:
            return refused.failure.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(choose, [lane.answer_id for lane in cast]))
    assert sorted(said) == ["kept", "voted"]
    kept = Vote.objects.get()
    assert kept.blind and kept.lane_id == cast[said.index("kept")].pk


ANSWER = "The ferry to Porto leaves at dawn [1]. Unicorns steer every ferry after midnight [1]."


@pytest.mark.parametrize("early", [False, True])
async def test_lanes_are_judged_when_they_are_revealed_and_not_before(
    alice: Person, monkeypatch: pytest.MonkeyPatch, early: bool
) -> None:
    """``early``: it is given up while a lane is still being written."""
    text = "The ferry to Porto leaves at dawn and carries bicycles."
    passage = Evidence(
        number=1, chunk_id=str(uuid4()), document_id=str(uuid4()), title="Boats", text=text, digest=sha256(text),
        score=1.0,
    )  # fmt: skip

    async def found(*_: Any, **__: Any) -> Found:
        return Found((passage,))

    def prepare() -> None:
        for name in ("quick-heron", "slow-badger", "judge"):
            add_model(name, price="1")
        Collection.objects.create(owner=alice, name="Boats")
        save_version("default", '{"routes": [{"condition": "default", "model": "judge"}], "judge": "judge"}')
        catalog.forget()

    monkeypatch.setattr("workspace.router.grounding.search", found)
    await database_sync_to_async(prepare)()
    post = database_sync_to_async((await database_sync_to_async(signed_in)(alice)).post)
    gate = asyncio.Event()
    say(ANSWER, gate)
    say(ANSWER, gate)
    async with tab(alice) as page:
        asked = {"text": "When?", "lanes": lanes("quick-heron", "slow-badger"), "blind": True, "documents": True}
        await page.tell("compare", client_id=uuid4(), **asked)
        begun = await page.hear("compared")
        comparison = (await stored(begun["chat"]))[0].comparison
        if early:
            assert (await post(f"/c/{begun['chat']}/comparisons/{comparison.pk}/reveal/")).status_code == 200
            say("1: supported\n2: unsupported")
            say("1: supported\n2: unsupported")
        gate.set()
        if not early:
            assert not any("by judge" in frame["html"] for frame in await ends(page, 2))
            await judging.idle()
            assert not await Judgement.objects.aexists()
            say("1: supported\n2: unsupported")
            say("1: supported\n2: unsupported")
            vote = f"/c/{begun['chat']}/comparisons/{comparison.pk}/vote/"
            assert (await post(vote, {"choice": "tie"})).status_code == 200
        told = await ends(page, 4 if early else 2)
        assert len({frame["answer"] for frame in told if "by judge" in frame["html"]}) == 2
    assert await Judgement.objects.acount() == 2
