"""What a blind lane keeps to itself: names in its own words, its pace, and who it was when it is continued."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from channels.db import database_sync_to_async
from django.test import Client
from hypothesis import example, given
from hypothesis import strategies as st

from chat import live
from chat.compare import lanes as compare_lanes
from chat.compare.masks import BLOT, mask, sure
from chat.models import Chat, Fusion, Lane
from tests.scripted import Scripted, add_model, say
from tests.tab import tab
from workspace.accounts.models import Person
from workspace.router.decisions import records
from workspace.router.models import DailyUsage, LoggedDecision, Run
from workspace.router.runs import registry
from workspace.router.states import RunState

NAMES = ("quick-heron", "slow-badger")
LANES = [{"model": name} for name in NAMES]


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("I am Claude 3.5 Sonnet, made by Anthropic.", ["Claude 3.5 Sonnet", "Anthropic"]),
        ("As ChatGPT-4o I know OpenAI well.", ["ChatGPT-4o", "OpenAI"]),
        ("Ich bin Qwen2.5-72B und quick-heron.", ["Qwen2.5-72B", "quick-heron"]),
        ("Gemini 2.5 Flash, LM Studio or Llama-3.1: who knows?", ["Gemini 2.5 Flash", "LM Studio", "Llama-3.1"]),
        ("A gemstone, a sonnet and a llamatron.", []),
    ],
)
def test_names_are_blotted_out_at_their_length(text: str, hidden: list[str]) -> None:
    wanted = text
    for name in hidden:
        wanted = wanted.replace(name, BLOT * len(name))
    assert mask(text, NAMES, "Who are you?") == wanted


def test_what_the_question_or_the_evidence_says_stays() -> None:
    assert mask("Claude Monet painted it.", (), "Who was Claude Monet?") == "Claude Monet painted it."


@example(["OpenAI", "3.5 ", "Sonnet"])
@given(
    st.lists(
        st.sampled_from(["I ", "am ", "Claude ", "3.5 ", "Sonnet", ". ", "GPT", "-4o", " by ", "OpenAI", "\n", "字"])
    )
)
def test_a_text_that_grows_never_shows_what_is_blotted_out_later(pieces: list[str]) -> None:
    whole, shown = "", ""
    for piece in pieces:
        whole += piece
        shown += mask(whole, (), "")[: sure(whole)][len(shown) :]
    assert mask(whole, (), "").startswith(shown)


@pytest.fixture
def models(transactional_db: Any) -> None:
    for name in (*NAMES, "plain-otter"):
        add_model(name)


running = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "scripted", "models"),
]


def marked(test: Any) -> Any:
    for mark in running:
        test = mark(test)
    return test


@database_sync_to_async
def lanes_of(chat: str) -> list[Lane]:
    return list(Lane.objects.filter(comparison__chat=chat).select_related("answer__run", "comparison"))


async def page_of(person: Person, path: str) -> str:
    client = Client()
    await database_sync_to_async(client.force_login)(person)
    answer = await database_sync_to_async(client.get)(path)
    return str(answer.content.decode()) if answer.status_code == 200 else str(answer.status_code)


@marked
@pytest.mark.parametrize("elsewhere", [False, True])
async def test_who_comes_in_the_middle_hears_what_was_shown_and_no_more(
    alice: Person, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    """``elsewhere``: another process writes the lanes, as far as the socket of who comes knows."""
    gate = asyncio.Event()
    say("All at once, and it is done.")
    say("All at ", gate, "a slower pace.")
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=LANES, blind=True)
        chat = (await page.hear("compared"))["chat"]
        first = await page.hear("delta")
        assert "being written" in await page_of(alice, f"/c/{chat}/history/")
        if elsewhere:
            monkeypatch.setattr(live, "answers_of", lambda chat: [])
        async with tab(alice) as late:
            runs = [str(lane.answer.run_id) for lane in await lanes_of(chat)]
            await late.tell("open", chat=chat, seen=dict.fromkeys(runs, 0))
            heard = [await late.hear("delta"), await late.hear("delta")]
            assert {frame["text"] for frame in heard} == {first["text"]} == {"All "}
            gate.set()
            ended = [await late.hear("settled") for _ in range(2)]
    assert {frame["state"] for frame in ended} == {"done"}


@marked
async def test_a_blind_lane_that_no_process_writes_keeps_nobody_waiting(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare_lanes, "PATIENCE", 0.01)
    assert await compare_lanes.told_elsewhere(uuid4()) == []


@marked
async def test_interrupted_blind_lanes_go_on_together_and_stay_blind(alice: Person) -> None:
    gate = asyncio.Event()
    say("One two three four. ", gate)
    say("Five six seven eight. ", gate)
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=LANES, blind=True)
        chat = (await page.hear("compared"))["chat"]
        await page.hear("delta")
        found = await lanes_of(chat)
        for lane in found:
            run = registry().get(lane.answer.run_id) if lane.answer.run_id else None
            assert run
            run.stop(RunState.INTERRUPTED)
        assert {(await page.hear("settled"))["state"] for _ in found} == {"interrupted"}
        say("And on. ")
        say("And on. ")
        await page.tell("continue", chat=chat, message=found[0].answer_id)
        crossed = []
        while len([each for each in crossed if json.loads(each)["type"] == "settled"]) < 2:
            crossed.append(await page.receive_from(timeout=5))
    assert not [each for each in crossed if any(name in each for name in NAMES)]
    kinds = [json.loads(each)["type"] for each in crossed]
    assert kinds.count("started") == 2 and "decision" not in kinds
    texts = [lane.answer.run.text for lane in await lanes_of(chat) if lane.answer.run]
    assert all(text.endswith("And on. ") for text in texts)


@marked
async def test_usage_names_no_model_of_a_day_with_an_open_blind_comparison(alice: Person) -> None:
    say("One.")
    say("Two.")
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=LANES, blind=True)
        chat = (await page.hear("compared"))["chat"]
        await page.hear("settled")
        await page.hear("settled")
    assert await DailyUsage.objects.filter(model=NAMES[0]).aexists()
    addresses = (
        "/account/usage/",
        "/account/usage/?format=csv",
        "/admin/router/dailyusage/",
        "/admin/router/dailyusage/?format=csv",
    )
    for address in addresses:
        told = await page_of(alice, address)
        assert "while a blind comparison is open" in told and not any(name in told for name in NAMES)
    comparison = (await lanes_of(chat))[0].comparison
    client = Client()
    await database_sync_to_async(client.force_login)(alice)
    assert (
        await database_sync_to_async(client.post)(f"/c/{chat}/comparisons/{comparison.pk}/reveal/")
    ).status_code == 200
    for address in addresses:
        assert NAMES[0] in await page_of(alice, address)


@marked
async def test_who_administers_is_not_told_before_the_vote_either(alice: Person) -> None:
    """In most workspaces who asks administers, too."""
    say("One.")
    say("Two.")
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=LANES, blind=True)
        chat = (await page.hear("compared"))["chat"]
        await page.hear("settled")
        await page.hear("settled")
    found = await lanes_of(chat)
    rows = [LoggedDecision(run=lane.answer.run_id, model=lane.asked["model"], state="done") for lane in found]
    await LoggedDecision.objects.abulk_create(rows, ignore_conflicts=True)
    logged = [row.pk async for row in LoggedDecision.objects.filter(run__in=[row.run for row in rows])]
    paths = ["run/", "loggeddecision/", *(f"run/{row.run}/change/" for row in rows)]
    paths += [f"loggeddecision/{pk}/change/" for pk in logged]
    narrowed = f"/admin/router/loggeddecision/?model={NAMES[0]}"
    assert len(paths) == 6
    for path in paths:
        told = await page_of(alice, f"/admin/router/{path}")
        assert not any(str(secret) in told for secret in (*NAMES, *logged)), path
    assert "No decision fits" in await page_of(alice, narrowed)
    assert await database_sync_to_async(records)() == []
    await Run.objects.aupdate(withheld=False)
    for path in paths:
        told = await page_of(alice, f"/admin/router/{path}")
        assert any(name in told for name in NAMES), path
    assert "No decision fits" not in await page_of(alice, narrowed)
    assert len(await database_sync_to_async(records)()) == 2


@marked
async def test_blind_lanes_may_not_go_on_from_several_answers(alice: Person) -> None:
    asked = [{**lane, "parent": str(uuid4())} for lane in LANES]
    async with tab(alice) as page:
        frame = {"client_id": uuid4(), "chat": uuid4(), "text": "And?", "lanes": asked}
        await page.tell("compare", **frame, blind=True)
        assert (await page.hear("refused"))["code"] == "blind_parents"


@marked
async def test_a_fused_answer_that_is_tried_again_is_fused_again(alice: Person) -> None:
    for words in ("Alpha.", "Beta.", "Alpha and beta.", "Both."):
        say(words)
    async with tab(alice) as page:
        await page.tell("compare", client_id=uuid4(), text="Which?", lanes=LANES)
        chat = (await page.hear("compared"))["chat"]
        await page.hear("settled")
        await page.hear("settled")
        found = await lanes_of(chat)
        ids = [str(lane.answer_id) for lane in found]
        frame = {"chat": chat, "comparison": found[0].comparison_id, "model": "plain-otter", "lanes": ids}
        await page.tell("fuse", client_id=uuid4(), instruction="Join them.", **frame)
        fused = await page.hear("settled")
        await page.tell("retry", client_id=uuid4(), chat=chat, message=fused["answer"], model="plain-otter")
        again = await page.hear("settled")
    assert "Join them." in str(Scripted.calls[-1].messages[-1]) and "Answer B" in str(Scripted.calls[-1].messages[-1])
    fusions = [fusion async for fusion in Fusion.objects.order_by("pk")]
    assert [str(fusion.answer_id) for fusion in fusions] == [fused["answer"], again["answer"]]
    assert await fusions[1].lanes.acount() == 2 and "Fused from lanes A, B" in again["html"]
    assert await Chat.objects.acount() == 1
