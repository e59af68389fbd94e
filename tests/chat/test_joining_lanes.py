"""A comparison that grows: one lane more, or a failed one asked again in its place; and who is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from django.test import Client

from chat.compare.board import board_html, board_of
from chat.compare.leaderboard import Wanted, leaderboard
from chat.models import Comparison, Lane, Message, Vote
from tests.chat.test_compare import NAMES, compare, ends, signed_in, stored
from tests.scripted import Scripted, add_model, broken, say
from tests.tab import Tab, tab
from workspace.accounts.models import Person
from workspace.router.models import Run
from workspace.wire import MAX_LANES

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    for name in NAMES:
        add_model(name)


async def join(page: Tab, begun: dict[str, Any], **fields: Any) -> dict[str, Any]:
    await wish(page, begun, **fields)
    return await page.hear("voted", "refused")


async def refused(page: Tab, begun: dict[str, Any], **fields: Any) -> str:
    """Why; that the board is to be drawn anew may be told once more meanwhile."""
    await wish(page, begun, **fields)
    return str((await page.hear("refused"))["code"])


async def wish(page: Tab, begun: dict[str, Any], **fields: Any) -> None:
    comparison = await Comparison.objects.aget(chat=begun["chat"])
    frame = {"client_id": uuid4(), "chat": begun["chat"], "comparison": comparison.pk, **fields}
    await page.tell("lane", **frame)


async def two(page: Tab, *words: Any, **fields: Any) -> dict[str, Any]:
    """A comparison of two lanes that has ended."""
    for each in words:
        say(each)
    begun = await compare(page, *NAMES[:2], **fields)
    await over(page, 2)
    return begun


async def over(page: Tab, lanes: int = 1) -> dict[str, Any]:
    """The last of so many lanes as it has ended, once the board has been told to be drawn anew."""
    settled = await ends(page, lanes)
    await page.hear("voted")
    return settled[-1]


async def test_another_model_joins_the_same_question(alice: Person, bob: Person) -> None:
    async with tab(alice) as page, tab(alice) as other:
        begun = await two(page, "One.", "Two.")
        await other.tell("open", chat=begun["chat"])
        await other.hear("opened")
        say("Three.")
        assert (await join(page, begun, model=NAMES[2], temperature=0.3))["chat"] == begun["chat"]
        await other.hear("voted")
        assert "Three." in (await other.hear("settled"))["html"]
        await over(page)
    found = await stored(begun["chat"])
    assert [(lane.letter, lane.asked["model"]) for lane in found] == [*zip("ABC", NAMES, strict=True)]
    assert len({lane.answer.parent_id for lane in found}) == 1
    assert Scripted.calls[-1].model == NAMES[2] and Scripted.calls[-1].parameters == {"temperature": 0.3}
    assert str(Scripted.calls[-1].messages) == str(Scripted.calls[0].messages)


async def test_what_lanes_made_up_is_unsupported_in_the_answer_fused_of_them(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retrieval.models import Collection
    from retrieval.search import Found
    from workspace.types import Evidence, sha256

    text = "The kettle boils at noon."
    passage = Evidence(
        number=1, chunk_id=str(uuid4()), document_id=str(uuid4()), title="Kettles", text=text, digest=sha256(text),
        score=0.9,
    )  # fmt: skip

    async def search(*_: Any, **__: Any) -> Found:
        return Found((passage,))

    monkeypatch.setattr("workspace.router.grounding.search", search)
    await Collection.objects.acreate(name="Orchard", owner=alice)
    invented = "Unicorns steer every ferry after midnight [1]."
    async with tab(alice) as page:
        begun = await two(page, invented, "The kettle boils at noon [1].", documents=True)
        found = await stored(begun["chat"])
        say(f"The kettle boils at noon [1]. {invented}")
        frame = {"chat": begun["chat"], "comparison": found[0].comparison_id, "model": NAMES[2]}
        await page.tell("fuse", client_id=uuid4(), lanes=[str(lane.answer_id) for lane in found], **frame)
        html = (await page.hear("settled"))["html"]
    fused = await Run.objects.aget(message__fusion__isnull=False)
    assert fused.manifest["support"] == {"supported": 1, "weak": 0, "unsupported": 1}
    assert "1 of 2 supported" in html and html.count('class="unsupported"') == 1


async def test_who_joins_reads_what_the_others_read(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    from retrieval.models import Collection
    from retrieval.search import Found
    from workspace.types import Evidence, sha256

    looked: list[str] = []
    passage = Evidence(
        number=1, chunk_id=str(uuid4()), document_id=str(uuid4()), title="Kettles", text="It boils.", start=0, end=9,
        digest=sha256("It boils."), score=0.9,
    )  # fmt: skip
    held = asyncio.Event()
    held.set()

    async def search(question: str, **_: Any) -> Found:
        looked.append(question)
        await held.wait()
        return Found((passage,) if "Nothing" not in question else ())

    monkeypatch.setattr("workspace.router.grounding.search", search)
    await Collection.objects.acreate(name="Orchard", owner=alice)
    async with tab(alice) as page:
        begun = await two(page, "It boils [1].", "It boils [1].", documents=True)
        say("It does [1].")
        await join(page, begun, model=NAMES[2])
        await over(page)
        assert len(looked) == 1, "what was gathered is given, not gathered again"
        found = await stored(begun["chat"])
        assert len({json.dumps(lane.answer.run.evidence) for lane in found if lane.answer.run}) == 1

        held.clear()
        say("Late.")
        say("Late.")
        waits = await compare(page, *NAMES[:2], documents=True)
        early = await join(page, waits, model=NAMES[2])
        assert (
            early["code"] == "still_looking"
            and not await Lane.objects.filter(place=2, comparison__chat=waits["chat"]).aexists()
        )
        held.set()
        await over(page, 2)

        for words in ("I found nothing.", "Nor did I.", "Nor I."):
            say(words)
        await page.tell(
            "compare", client_id=uuid4(), text="Nothing?", lanes=[{"model": name} for name in NAMES[:2]], documents=True
        )
        empty = await page.hear("compared")
        await over(page, 2)
        before = len(looked)
        await join(page, empty, model=NAMES[2])
        await over(page)
        assert len(looked) == before and Scripted.calls[-1].evidence == ()


async def test_a_failed_lane_is_asked_again_in_its_place_and_nothing_is_written_over(alice: Person) -> None:
    async with tab(alice) as page:
        begun = await two(page, broken("refused", "Out of order."), "Two.")
        found = await stored(begun["chat"])
        failed, fine = sorted(found, key=lambda lane: bool(lane.answer.run and lane.answer.run.text))
        assert await refused(page, begun, again=fine.answer_id) == "not_failed"
        assert await refused(page, begun, again=uuid4()) == "not_found"
        say("At last.")
        await join(page, begun, again=failed.answer_id)
        settled = await over(page)
        assert "At last." in settled["html"] and "Out of order." in settled["html"], "what was before is told"
        assert await refused(page, begun, again=failed.answer_id) == "not_found", "it was replaced"
    old = await Lane.objects.select_related("answer__run").aget(pk=failed.pk)
    new = await Lane.objects.select_related("answer__run").aget(answer=settled["answer"])
    assert (old.replaced, new.replaced, new.place, new.asked) == (True, False, old.place, old.asked)
    assert old.answer.settled and old.answer.run and old.answer.run.state == "failed"
    assert new.answer.parent_id == old.answer.parent_id
    board = await database_sync_to_async(board_of)(old.answer)
    assert [lane.letter for lane in board.lanes] == ["A", "B"] and board.at == new.answer_id
    client = await database_sync_to_async(signed_in)(alice)
    vote = f"/c/{begun['chat']}/comparisons/{new.comparison_id}/vote/"
    for answer, code in ((old.answer_id, 400), (new.answer_id, 200)):
        assert (await database_sync_to_async(client.post)(vote, {"choice": str(answer)})).status_code == code


async def test_a_vote_counts_for_what_was_read_alone(alice: Person, client: Client) -> None:
    async with tab(alice) as page:
        for _ in range(20):  # as many as a model is ranked from
            begun = await two(page, "One.", "Two.")
            best = (await stored(begun["chat"]))[0]
            post = database_sync_to_async((await database_sync_to_async(signed_in)(alice)).post)
            address = f"/c/{begun['chat']}/comparisons/{best.comparison_id}/vote/"
            assert (await post(address, {"choice": str(best.answer_id)})).status_code == 200
            say("Three.")
            await join(page, begun, model=NAMES[2])
            await over(page)
    vote = await Vote.objects.afirst()
    assert vote and set(vote.digests) == {"A", "B"}
    board = await database_sync_to_async(leaderboard)(set(), Wanted(blind=False))
    assert {one.strength.model for one in board.standings} == set(NAMES[:2]), "nobody has read the third"


async def test_while_a_comparison_is_blind_nobody_joins_it(alice: Person) -> None:
    async with tab(alice) as page:
        begun = await two(page, broken("refused", "Out of order."), "Two.", blind=True)
        found = await stored(begun["chat"])
        for fields in ({"model": NAMES[2]}, {"again": found[0].answer_id}, {"again": found[1].answer_id}):
            assert await refused(page, begun, **fields) == "withheld"
        assert "Add a lane" not in begun["html"] and "Ask again" not in begun["html"]
        client = await database_sync_to_async(signed_in)(alice)
        reveal = f"/c/{begun['chat']}/comparisons/{found[0].comparison_id}/reveal/"
        assert (await database_sync_to_async(client.post)(reveal)).status_code == 200
        say("Three.")
        await join(page, begun, model=NAMES[2])
        await over(page)
        shown = await database_sync_to_async(board_html)(found[0].answer)
        assert "Add a lane" in shown and "Ask again" in shown
    assert len(await stored(begun["chat"])) == 3


async def test_a_comparison_has_eight_lanes_and_the_same_frame_twice_adds_one(alice: Person) -> None:
    async with tab(alice) as page:
        begun = await two(page, "One.", "Two.")
        twice = uuid4()
        for number in range(MAX_LANES - 2):
            say("More.")
            await join(page, begun, model=NAMES[2], client_id=twice if number == 0 else uuid4())
            await over(page)
            if number == 0:
                await join(page, begun, model=NAMES[2], client_id=twice)
        assert await refused(page, begun, model=NAMES[2]) == "lanes"
        last = (await stored(begun["chat"]))[-1]
        assert "Add a lane" not in await database_sync_to_async(board_html)(last.answer)
    assert [lane.letter for lane in await stored(begun["chat"])] == list("ABCDEFGH")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"comparison": str(uuid4())}, "not_found"),
        ({"comparison": "none"}, "bad_frame"),
        ({"again": 7}, "bad_frame"),
        ({"temperature": 9}, "bad_frame"),
        ({"persona": 999}, "no_persona"),
        ({"configuration": 999}, "no_configuration"),
    ],
)
async def test_a_lane_that_makes_no_sense_is_refused(alice: Person, fields: dict[str, Any], code: str) -> None:
    async with tab(alice) as page:
        begun = await two(page, "One.", "Two.")
        assert await refused(page, begun, **{"model": NAMES[2], **fields}) == code
    assert await Message.objects.filter(chat=begun["chat"]).acount() == 3
