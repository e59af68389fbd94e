"""Money: what is held before an answer, what is settled after it, and that no dollar is spent twice or forgotten."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import orjson
import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.utils import timezone

from chat import turns
from chat.frames import Continue, Retry, Send, Stop
from chat.record import Opened
from tests.chat.test_turns import Heard, settled
from tests.router.test_decide import candidate
from tests.scripted import Scripted, add_model, broken, say
from workspace.accounts.models import Person
from workspace.hub import PROCESS
from workspace.providers import anthropic, gemini, openai, openai_responses
from workspace.providers.setup import ensure_quotes
from workspace.router import catalog, money, run_rows, runs
from workspace.router.catalog import cost
from workspace.router.configuration import save_version
from workspace.router.models import Budget, DailyUsage, Run, RunEvent
from workspace.router.prompts import DEFAULT_SYSTEM, estimate_tokens
from workspace.router.race import allowance
from workspace.router.runs import registry
from workspace.router.states import RunState
from workspace.types import Usage
from workspace.writes import writer

CENT = Decimal("0.01")  # of each token: a price of 10,000 dollars a million
PRICE = "10000"
QUESTION = "Four"  # 4 characters and the message around them: 5 tokens
SENT = estimate_tokens(DEFAULT_SYSTEM) + 1  # tokens of a call that nobody counted


def used(input: int, output: int) -> Usage:
    return Usage(input=input, output=output)


@pytest.fixture
def person(alice: Person) -> Person:
    return alice


# --- Budgets: who and when


def spend(person: Person, usd: str, *, days_ago: int = 0) -> None:
    day = timezone.localdate() - timedelta(days=days_ago)
    DailyUsage.objects.create(day=day, person=person, model=uuid4().hex, cost=Decimal(usd))


@pytest.mark.parametrize("period", Budget.Period)
@pytest.mark.parametrize(("of", "left"), [("person", "7"), ("group", "5"), ("everybody", "1")])
def test_a_budget_counts_what_its_people_spent_in_its_period(
    alice: Person, bob: Person, charlie: Person, of: str, left: str, period: str
) -> None:
    group = Group.objects.create(name="research")
    group.user_set.add(alice, bob)
    for person, usd in ((alice, "3"), (bob, "2"), (charlie, "4")):
        spend(person, usd)
        spend(person, "100", days_ago=40)
    whose = {"person": {"person": alice}, "group": {"group": group}, "everybody": {}}[of]
    Budget.objects.create(usd=10, period=period, **whose)
    [limit] = money.limits()
    assert money.left(limit) == Decimal(left)
    assert limit.covers(str(alice.pk), ["research"])
    assert limit.covers(str(charlie.pk), []) == (of == "everybody")


def test_a_month_holds_its_earlier_days_and_a_day_does_not(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    day = timezone.localdate().replace(day=20)
    monkeypatch.setattr(money.timezone, "localdate", lambda: day)
    for earlier, usd in ((0, "1"), (1, "2"), (19, "4"), (20, "8")):
        DailyUsage.objects.create(day=day - timedelta(days=earlier), person=alice, cost=Decimal(usd))
    for period in Budget.Period:
        Budget.objects.create(person=alice, usd=10, period=period)
    assert {limit.period: money.left(limit) for limit in money.limits()} == {"day": Decimal(9), "month": Decimal(3)}


def test_the_tightest_budget_binds_and_says_whose_it_is(alice: Person) -> None:
    group = Group.objects.create(name="research")
    group.user_set.add(alice)
    spend(alice, "1")
    Budget.objects.create(usd=100)
    Budget.objects.create(group=group, usd=2)
    Budget.objects.create(person=alice, usd=50, period="day")
    refused = money.reserve("", Decimal(2), money.limits())
    assert refused and refused.code == "budget" and refused.permanent
    assert refused.cause == "This would cost about $2.0000, and the budget of research for this month has $1.0000 left."


def test_what_costs_nothing_is_never_too_much(alice: Person) -> None:
    Budget.objects.create(usd=1)
    spend(alice, "5")
    assert money.reserve("", Decimal(0), money.limits()) is None
    assert money.reserve("", Decimal("0.0001"), money.limits())


# --- Two at once


@pytest.mark.django_db(transaction=True)
async def test_questions_at_once_cannot_spend_the_same_dollar(person: Person) -> None:
    await Budget.objects.acreate(usd=1)
    rows = [await Run.objects.acreate(person=person, state=RunState.RUNNING) for _ in range(12)]
    limits = await database_sync_to_async(money.limits)()

    def hold(run: Run) -> Callable[[], Any]:
        return lambda: money.reserve(run.pk, Decimal("0.30"), limits)

    outcomes = await asyncio.gather(*(writer.submit(hold(run)) for run in rows))
    assert outcomes.count(None) == 3
    assert await Run.objects.filter(reserved=Decimal("0.30")).acount() == 3


@pytest.mark.django_db(transaction=True)
def test_processes_at_once_cannot_spend_the_same_dollar(person: Person) -> None:
    """Threads with connections of their own stand for processes: they share no writer."""
    Budget.objects.create(usd=1)
    limits = money.limits()
    rows = [Run.objects.create(person=person, state=RunState.RUNNING) for _ in range(8)]
    at_once, outcomes = threading.Barrier(len(rows)), []

    def hold(run: Run) -> None:
        try:
            at_once.wait()
            with transaction.atomic():
                outcomes.append(money.reserve(run.pk, Decimal("0.30"), limits))
        finally:
            connection.close()

    threads = [threading.Thread(target=hold, args=(run,)) for run in rows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(outcomes), outcomes.count(None)) == (8, 3)


# --- The books: every way a run can end

ROUTE = """{"routes": [{"name": "all", "condition": "default", "model": "dear", "fallbacks": ["other"]}],
"fallback": "quotes"%s}"""

GATE = object()  # in a script: a wait that only a stop ends

# how it ends -> scripts of the calls, in order; (model, tokens in, tokens out, cents) of each attempt; text
ENDS: dict[str, tuple[list[list[Any]], list[tuple[str, int, int]], str]] = {
    "done": ([["Two words", used(7, 3)]], [("dear", 7, 3)], "Two words"),
    "done, nothing counted": ([["Two words"]], [("dear", SENT, 3)], "Two words"),
    "stopped": ([["Two words", GATE]], [("dear", SENT, 3)], "Two words"),
    "stopped before a word": ([[GATE]], [("dear", SENT, 0)], ""),
    "refused": ([[broken("bad_request")]], [("dear", 0, 0)], ""),
    "failed half-way": ([["Two", used(7, 1), broken("refused_content")]], [("dear", 7, 1)], "Two"),
    "silent": (
        [[broken("timeout")], ["Here", used(7, 1)]],
        [("dear", SENT, 0), ("other", 7, 1)],
        "Here",
    ),
    "retried": ([[broken("overloaded")], ["Here", used(7, 1)]], [("dear", 0, 0), ("dear", 7, 1)], "Here"),
    "continued": (
        [["One ", broken("cut_off")], [broken("server_error")], ["two", used(9, 1)]],
        [("dear", SENT, 1), ("dear", 0, 0), ("other", 9, 1)],
        "One two",
    ),
}


@pytest.fixture
def dear(db: Any) -> None:
    ensure_quotes()
    add_model("dear", price=PRICE)
    add_model("other", price=PRICE)
    save_version("default", ROUTE % "")
    catalog.forget()


async def ask(person: Person, *, model: str = "") -> Opened:
    return await turns.send(person.pk, Send(client_id=uuid4(), text=QUESTION, model=model))


async def books(person: Person) -> dict[str, tuple[int, int, Decimal]]:
    """What the day's sums say of each model."""
    rows = DailyUsage.objects.filter(person=person)
    found: dict[str, tuple[int, int, Decimal]] = {}
    async for row in rows:
        tokens_in, tokens_out, usd = found.get(row.model, (0, 0, Decimal(0)))
        found[row.model] = (tokens_in + row.tokens_input, tokens_out + row.tokens_output, usd + row.cost)
    return found


def sums(attempts: list[tuple[str, int, int]]) -> dict[str, tuple[int, int, Decimal]]:
    models = dict.fromkeys(name for name, _, _ in attempts)
    tokens = {m: (sum(i for n, i, _ in attempts if n == m), sum(o for n, _, o in attempts if n == m)) for m in models}
    return {m: (i, o, (i + o) * CENT) for m, (i, o) in tokens.items()}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
@pytest.mark.parametrize("budget", [False, True], ids=["no budget", "budget"])
@pytest.mark.parametrize("how", ENDS)
async def test_every_call_is_billed_however_the_run_ends(person: Person, how: str, budget: bool) -> None:
    if budget:
        await Budget.objects.acreate(usd=100)
    scripts, attempts, text = ENDS[how]
    reached = asyncio.Event()
    for script in scripts:
        say(*(Held(reached) if piece is GATE else piece for piece in script))
    opened = await ask(person)
    if "stopped" in how:
        await reached.wait()
        await turns.stop(person.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk))
    run = await settled(opened)
    assert run.text == text
    found = run.manifest["attempts"]
    assert [(a["model"], a["usage"]["input"], a["usage"]["output"]) for a in found] == attempts
    assert await books(person) == sums(attempts)
    assert run.cost == sum(Decimal(a["cost"]) for a in found) == sum(usd for _, _, usd in sums(attempts).values())
    assert (run.tokens_input, run.tokens_output) == (sum(i for _, i, _ in attempts), sum(o for _, _, o in attempts))
    assert run.reserved is None
    counted = [row async for row in DailyUsage.objects.filter(runs__gt=0)]
    assert [(row.model, row.route, row.runs) for row in counted] == [(attempts[-1][0], "all", 1)]
    assert counted[0].failed == (run.state == RunState.FAILED)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
@pytest.mark.parametrize("stopped", [False, True], ids=["answered", "stopped"])
async def test_both_calls_of_a_race_are_billed(person: Person, stopped: bool) -> None:
    await database_sync_to_async(save_version)("default", ROUTE % ', "hedge": {"after_s": 0.001, "percent": 100}')
    catalog.forget()
    await Budget.objects.acreate(usd=100)
    allowance.called()
    first, second = asyncio.Event(), asyncio.Event()
    say(Held(first))
    say(*([Held(second)] if stopped else ["Here", used(7, 1)]))
    opened = await ask(person)
    if stopped:
        await first.wait()
        await second.wait()
        await turns.stop(person.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk))
    run = await settled(opened)
    attempts = [("dear", SENT, 0), ("other", SENT, 0) if stopped else ("other", 7, 1)]
    assert [(a["model"], a["usage"]["input"], a["usage"]["output"]) for a in run.manifest["attempts"]] == attempts
    assert await books(person) == sums(attempts)
    assert run.cost == sum(Decimal(a["cost"]) for a in run.manifest["attempts"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
async def test_a_retry_is_billed_beside_the_first_answer(person: Person) -> None:
    say("One", used(7, 1))
    opened = await ask(person)
    await settled(opened)
    say("Two", used(8, 2))
    frame = Retry(client_id=uuid4(), chat=opened.chat.pk, message=opened.answer.pk, model="dear")
    run = await settled(await turns.retry(person.pk, frame))
    assert run.cost == 10 * CENT
    assert await books(person) == {"dear": (15, 3, 18 * CENT)}
    assert sorted([(row.route, row.runs) async for row in DailyUsage.objects.all()]) == [("", 1), ("all", 1)]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
async def test_a_server_that_stops_bills_both_halves_and_counts_one_run(person: Person) -> None:
    say("Half ", asyncio.Event())
    heard = Heard(1)
    opened = await ask(person)
    await heard.at(opened)
    await registry().close()
    before = await Run.objects.aget(pk=opened.answer.run_id)
    assert (before.state, before.cost) == (RunState.INTERRUPTED, (SENT + 2) * CENT)
    runs._registry = None
    say("whole", used(9, 1))
    run = await settled(await turns.resume(person.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk)))
    assert run.cost == before.cost + 10 * CENT
    assert await books(person) == {"dear": (SENT + 9, 3, run.cost)}
    assert sum([row.runs async for row in DailyUsage.objects.all()]) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
async def test_a_killed_run_is_billed_by_estimate_and_holds_nothing_any_more(person: Person) -> None:
    """The rows as ``kill -9`` leaves them: a decision and some words in the journal, and money held."""
    await Budget.objects.acreate(usd=10)
    say("Done", used(7, 1))
    done = await settled(await ask(person))
    await DailyUsage.objects.all().adelete()
    run = await Run.objects.acreate(
        state=RunState.RUNNING, owner="gone", person=person, reserved=Decimal(9), tokens_input=1, tokens_output=1,
        cost=2 * CENT,
    )  # fmt: skip
    await RunEvent.objects.acreate(run=run, seq=1, kind="decision", data=json.dumps(done.decision))
    await RunEvent.objects.acreate(run=run, seq=2, kind="delta", data=json.dumps(["Some ", "words"]))
    assert await database_sync_to_async(run_rows.reap)(all_but=PROCESS) == [run.pk]
    await run.arefresh_from_db()
    asked, said = done.decision["facts"]["tokens"], 3
    assert asked == 5
    assert (run.tokens_input, run.tokens_output, run.cost) == (1 + asked, 1 + said, (2 + asked + said) * CENT)
    assert run.reserved is None
    assert await books(person) == {"dear": (asked, said, (asked + said) * CENT)}
    assert await database_sync_to_async(run_rows.reap)(all_but=PROCESS) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
@pytest.mark.parametrize("began", [True, False])
async def test_a_killed_run_that_had_waited_is_billed_once_it_began(person: Person, began: bool) -> None:
    """In the background a run is decided before it begins, and its row says so, not its journal."""
    say("Done", used(7, 1))
    done = await settled(await ask(person))
    await DailyUsage.objects.all().adelete()
    run = await Run.objects.acreate(state=RunState.RUNNING, owner="gone", person=person, decision=done.decision)
    if began:
        await RunEvent.objects.acreate(run=run, seq=1, kind="delta", data=json.dumps(["Some ", "words"]))
    await database_sync_to_async(run_rows.reap)(all_but=PROCESS)
    assert await books(person) == ({"dear": (5, 3, 8 * CENT)} if began else {})


@pytest.mark.django_db(transaction=True)
async def test_a_run_killed_before_a_decision_costs_nothing(person: Person) -> None:
    run = await Run.objects.acreate(state=RunState.RUNNING, owner="gone", person=person)
    await database_sync_to_async(run_rows.reap)(all_but=PROCESS)
    await run.arefresh_from_db()
    assert (run.state, run.cost, await DailyUsage.objects.acount()) == (RunState.INTERRUPTED, None, 0)


# --- Prices that nobody knows


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
@pytest.mark.parametrize("limited", [False, True])
async def test_an_unknown_price_is_never_nothing(person: Person, limited: bool) -> None:
    await database_sync_to_async(add_model)("unpriced")
    catalog.forget()
    if limited:
        await Budget.objects.acreate(usd=100)
    say("Answer", used(7, 1))
    run = await settled(await ask(person, model="unpriced"))
    if limited:
        assert (run.state, run.failure["code"]) == (RunState.FAILED, "no_price")
        assert "unpriced" in run.failure["cause"] and "unpriced" in run.failure["action"]
        assert Scripted.calls == []
    else:
        assert (run.state, run.cost, run.tokens_input) == (RunState.DONE, None, 7)
        row = await DailyUsage.objects.aget()
        assert (row.cost, row.unpriced, row.tokens_input) == (0, 1, 7)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
async def test_a_budget_that_is_used_up_leads_to_what_is_free_or_says_so(person: Person) -> None:
    """``quotes`` costs nothing, so a route still answers; a chosen model is refused in words."""
    await Budget.objects.acreate(person=person, usd=1, period="day")
    await DailyUsage.objects.acreate(day=timezone.localdate(), person=person, cost=Decimal(1))
    chosen = await settled(await ask(person, model="dear"))
    assert chosen.failure["code"] == "budget" and "your budget for today has $0.0000 left" in chosen.failure["cause"]
    routed = await settled(await ask(person))
    assert routed.state == RunState.DONE and routed.manifest["model"] == "quotes" and routed.cost == 0
    assert Scripted.calls == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "dear")
async def test_a_retry_that_the_rest_can_not_pay_goes_to_nobody(person: Person) -> None:
    """The first call ate the budget: the next is not made, although its route would go on."""
    await Budget.objects.acreate(person=person, usd=Decimal("5.30"))
    say("Some words", used(20, 300), broken("server_error"))
    run = await settled(await ask(person, model="dear"))
    assert (run.state, run.failure["code"], run.text) == (RunState.FAILED, "budget", "Some words")
    assert run.cost == 320 * CENT


# --- The same to the cent, streamed or whole

COUNTS = {"prompt_tokens": 1_000, "completion_tokens": 100, "prompt_tokens_details": {"cached_tokens": 400}}
SAID = {"index": 0, "finish_reason": "stop"}
ANTHROPIC = {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 100}
GEMINI = {"promptTokenCount": 1_000, "cachedContentTokenCount": 400, "candidatesTokenCount": 100}
GEMINI_SAID = {"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}
RESPONSES = {"input_tokens": 1_000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 400}}
MESSAGE = {"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}

SHAPES: dict[str, tuple[Any, list[dict[str, Any]], dict[str, Any]]] = {
    "openai": (
        openai,
        [{"choices": [{**SAID, "delta": {"content": "Hi"}}]}, {"choices": [], "usage": COUNTS}],
        {"choices": [{**SAID, "message": {"content": "Hi"}}], "usage": COUNTS},
    ),
    "openai-responses": (
        openai_responses,
        [
            {"type": "response.output_text.delta", "delta": "Hi"},
            {"type": "response.completed", "response": {"status": "completed", "usage": RESPONSES}},
        ],
        {"status": "completed", "output": [MESSAGE], "usage": RESPONSES},
    ),
    "anthropic": (
        anthropic,
        [
            {"type": "message_start", "message": {"id": "m", "usage": {**ANTHROPIC, "output_tokens": 1}}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 100}},
            {"type": "message_stop"},
        ],
        {"id": "m", "content": [{"type": "text", "text": "Hi"}], "stop_reason": "end_turn", "usage": ANTHROPIC},
    ),
    "gemini": (
        gemini,
        [
            {"candidates": [{"content": {"parts": [{"text": "H"}]}}], "usageMetadata": {"promptTokenCount": 1_000}},
            {"candidates": [GEMINI_SAID], "usageMetadata": GEMINI},
        ],
        {"candidates": [GEMINI_SAID], "usageMetadata": GEMINI},
    ),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_streamed_or_whole_an_answer_costs_the_same_at_every_provider(kind: str) -> None:
    module, events, whole = SHAPES[kind]
    streamed, at_once = module.Reader(), module.Reader()
    for event in events:
        list(streamed.read(event.get("type", ""), orjson.dumps(event)))
    list(at_once.whole(orjson.dumps(whole)))
    priced = candidate("fast", 1, price_input=Decimal(3), price_output=Decimal(15), price_cached=Decimal("0.3"))
    costs = [cost(priced, said) for reader in (streamed, at_once) for said in reader.known() if isinstance(said, Usage)]
    assert costs == [Decimal("0.00342")] * 2


class Held(asyncio.Event):
    """Waits for ever once it is reached, and says when it is."""

    def __init__(self, reached: asyncio.Event) -> None:
        super().__init__()
        self._reached = reached

    async def wait(self) -> Any:
        self._reached.set()
        return await super().wait()
