"""What is known besides the request: only what the configuration asks for, and ``None`` where nobody knows."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.contrib.auth.models import Group
from django.utils import timezone

from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.hosts import link
from workspace.providers.models import LanguageModel, LanguageModelVersion, ProviderVersion
from workspace.router import catalog, frozen, history, room, score
from workspace.router.configuration import save_version
from workspace.router.decide import NoModel, decide
from workspace.router.facts import FACTS
from workspace.router.health import FAILURES, health
from workspace.router.models import Budget, DailyUsage, Run
from workspace.router.situation import Situation, look
from workspace.router.states import RunState
from workspace.types import Decision, Failure, PromptMessage, Request, text_part

pytestmark = [pytest.mark.django_db(transaction=True)]

QUESTION = "x" * 3_984  # 996 tokens and 4 around them: 1,000


def asked(person: Person | None = None, **fields: Any) -> Request:
    message = PromptMessage(role="person", parts=(text_part(QUESTION),))
    return Request(messages=(message,), person_id=str(person.pk) if person else "", **fields)


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    add_model("cheap", price="1")
    add_model("dear", price="100")
    add_model("unpriced")


def configure(*conditions: str) -> None:
    routes = [{"condition": condition, "model": "cheap"} for condition in conditions]
    save_version("default", json.dumps({"routes": [*routes, {"condition": "default", "model": "dear"}]}))
    catalog.forget()


async def situation(request: Request, *conditions: str) -> Situation:
    await database_sync_to_async(configure)(*conditions)
    return await look(request, await catalog.load())


async def decided(request: Request, *conditions: str) -> Decision:
    found = await situation(request, *conditions)
    return decide(request, await catalog.load(), facts=found.facts, unaffordable=found.unaffordable)


def ran(model: str, first: float, tokens: int) -> None:
    version = LanguageModel.objects.get(name=model).current
    Run.objects.create(state=RunState.DONE, model_version=version, first_token_s=first, tokens_output=tokens)


async def test_every_fact_of_the_table_is_there_and_what_was_not_asked_for_is_unknown(alice: Person) -> None:
    found = await situation(asked(alice, user="alice"))
    assert found.facts.keys() == FACTS.keys()
    assert found.facts["free_memory_gib"] is None and found.facts["budget_left"] is None
    assert (await situation(asked(), "free_memory_gib > 0")).facts["free_memory_gib"] > 0


async def test_what_a_question_would_cost_follows_from_its_tokens_and_what_answers_mostly_take() -> None:
    conditions = ('cost("cheap") < 0.0016', 'cost("unpriced") < 1', 'cost("dear") > 0')
    found = await situation(asked(), *conditions)
    assert found.facts["cost(cheap)"] == pytest.approx(0.0015)  # a thousand in, five hundred out
    assert found.facts["cost(unpriced)"] is None
    for tokens in (10, 1_000, 3_000):
        await database_sync_to_async(ran)("cheap", 0.1, tokens)
    history.forget()
    assert (await situation(asked(), *conditions)).facts["cost(cheap)"] == pytest.approx(0.002)
    short = asked(parameters={"max_tokens": 100})
    assert (await situation(short, *conditions)).facts["cost(cheap)"] == pytest.approx(0.0011)


async def test_the_time_to_a_first_token_is_the_median_of_what_was_and_unknown_before() -> None:
    condition = 'p50_ms("cheap") < 300'
    assert (await situation(asked(), condition)).facts["p50_ms(cheap)"] is None
    for first in (0.1, 0.2, 9.0):
        await database_sync_to_async(ran)("cheap", first, 10)
    history.forget()
    assert (await situation(asked(), condition)).facts["p50_ms(cheap)"] == pytest.approx(200)
    assert (await decided(asked(), condition)).model == "cheap"


async def test_a_rule_may_ask_if_a_model_is_healthy() -> None:
    condition = 'healthy("cheap")'
    assert (await decided(asked(), condition)).model == "cheap"
    for _ in range(FAILURES):
        health.note((await catalog.load()).candidates["cheap"], Failure(code="timeout", cause="Late.", action=""))
    found = await situation(asked(), condition)
    assert found.facts["healthy(cheap)"] is False and "Late" in found.unhealthy["cheap"]


async def test_a_rule_may_ask_what_is_left_of_the_tightest_budget(alice: Person, bob: Person) -> None:
    await Budget.objects.acreate(person=alice, usd=10)
    await Budget.objects.acreate(usd=3)
    await DailyUsage.objects.acreate(day=timezone.localdate(), person=bob, cost=Decimal(1))
    found = await situation(asked(alice), "budget_left > 5")
    assert found.facts["budget_left"] == 2.0
    assert (await decided(asked(alice), "budget_left > 5")).model == "dear"
    assert (await decided(asked(alice), "budget_left > 1")).model == "cheap"


async def test_budgets_of_others_bind_nobody_else(alice: Person, bob: Person) -> None:
    group = await Group.objects.acreate(name="research")
    await Budget.objects.acreate(person=bob, usd=0)
    await Budget.objects.acreate(group=group, usd=0)
    assert (await situation(asked(alice))).limits == ()
    assert len((await situation(asked(bob, groups=("research",)))).limits) == 2
    with pytest.raises(NoModel) as refused:
        await decided(asked(bob))
    assert refused.value.failure.code == "budget"


async def test_what_a_budget_can_not_pay_and_what_nobody_can_tell_is_left_out(alice: Person) -> None:
    await Budget.objects.acreate(person=alice, usd=Decimal("0.05"))
    found = await situation(asked(alice), 'user == "nobody"')
    assert {name: failure.code for name, failure in found.unaffordable.items()} == {
        "dear": "budget",
        "unpriced": "no_price",
    }
    assert (await decided(asked(alice), "tokens > 5")).model == "cheap"


async def test_deciding_among_fifty_rules_takes_no_time_to_speak_of(alice: Person) -> None:
    """Look-ups, budgets and health included. The README has the measured figure; this is ten times that."""
    await Budget.objects.acreate(person=alice, usd=10)
    many = [f'cost("cheap") > {number} and healthy("dear") and p50_ms("cheap") < 1' for number in range(1, 50)]
    await database_sync_to_async(configure)(*many)
    known, request, taken = await catalog.load(), asked(alice), []
    for _ in range(100):
        began = time.perf_counter()
        found = await look(request, known)
        decide(request, known, facts=found.facts, unhealthy=found.unhealthy, unaffordable=found.unaffordable)
        taken.append(time.perf_counter() - began)
    assert statistics.median(taken) < 0.05


async def test_a_score_is_asked_for_only_when_it_is_on_and_a_file_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    asked_for: list[list[str]] = []

    async def embed(texts: list[str]) -> list[list[float]]:
        asked_for.append(texts)
        return [[1.0]]

    monkeypatch.setattr(link, "aembed", embed)
    monkeypatch.setattr(score, "predict", lambda embedding: {"cheap": 0.75})
    off = await decided(asked(), 'score("cheap") > 0.5')
    assert (off.model, off.trace[0].note, asked_for) == ("dear", "score(cheap) is not known", [])
    monkeypatch.setattr(score, "is_on", lambda: True)
    on = await decided(asked(), 'score("cheap") > 0.5')
    assert (on.model, on.facts["score(cheap)"], asked_for) == ("cheap", 0.75, [[QUESTION]])
    await decided(asked(), "tokens > 1")
    assert len(asked_for) == 1

    async def away(texts: list[str]) -> list[list[float]]:
        raise link.HostUnavailable("the model host")

    monkeypatch.setattr(link, "aembed", away)
    other = replace(asked(), messages=(PromptMessage(role="person", parts=(text_part("Not asked before"),)),))
    assert (await decided(other, 'score("cheap") > 0.5')).model == "dear"


async def test_free_memory_is_what_the_model_host_says(monkeypatch: pytest.MonkeyPatch) -> None:
    async def free() -> int:
        return 3 * 2**29

    monkeypatch.setattr(link, "free_memory", free)
    assert (await situation(asked(), "free_memory_gib > 0")).facts["free_memory_gib"] == 1.5


# --- Memory


async def test_a_local_model_that_can_never_fit_is_passed_by_and_the_trace_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_for: list[list[str]] = []

    async def told(also: list[str]) -> dict[str, Any]:
        asked_for.append(list(also))
        devices = [{"device": device, "budget": 8 * 1024**3, "free": 0} for device in ("cpu", "cuda:0", "cuda:1")]
        return {"models": [{"model": "org/huge", "least": 16 * 1024**3}], "devices": devices}

    def prepare() -> None:
        huge = add_model("huge", at="here")
        frozen.lift()
        ProviderVersion.objects.filter(provider__name="here").update(kind="local")
        LanguageModelVersion.objects.filter(model=huge).update(upstream="org/huge")
        routes = [{"condition": "default", "model": "huge", "fallbacks": ["cheap"]}]
        save_version("default", json.dumps({"routes": routes}))
        catalog.forget()

    await database_sync_to_async(prepare)()
    kept = await catalog.load()
    monkeypatch.setattr(link, "models", told)
    found = await look(asked(), kept)
    decision = decide(asked(), kept, facts=found.facts, unhealthy=found.unhealthy)
    assert decision.model == "cheap"
    assert [drop.reason for drop in decision.dropped] == [
        "huge needs 16.0 GiB at the least, and local models may take 8.0 GiB."
    ]
    await look(asked(), kept)
    assert asked_for == [["org/huge"]]  # kept for a while

    async def away(also: list[str]) -> dict[str, Any]:
        raise link.HostUnavailable("It is starting")

    room.forget()
    monkeypatch.setattr(link, "models", away)
    assert "huge" not in (await look(asked(), kept)).unhealthy
