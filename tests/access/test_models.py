"""Who may use a model, asked at every way in: to others it is as absent as one that never was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from asgiref.sync import sync_to_async
from channels.db import database_sync_to_async
from django.contrib.auth.models import Group
from django.test import AsyncClient, Client
from django.urls import reverse

from chat.asking import ask
from chat.models import Chat, Message
from tests.chat.test_consumer import tab
from tests.router.test_decide import catalog as known
from tests.scripted import Scripted, add_model, say
from workspace.accounts.models import Person
from workspace.api import bearer, tokens
from workspace.api.handler import ApiHandler
from workspace.providers.models import LanguageModel
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.decide import NoModel, decide, still_fit
from workspace.router.facts import facts_of
from workspace.router.models import Run
from workspace.router.race import allowance
from workspace.router.states import RunState
from workspace.router.suggest import suggest
from workspace.types import PromptMessage, Request, text_part

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

SECRET, ABSENT = "secret", "absent"  # of one length, so that no count tells them apart
OPEN, GONE = "public", "gone"  # for everybody, and for nobody
GROUP = "research"
QUESTION = "Tell me"


@pytest.fixture
def allowed(bob: Person) -> Person:
    bob.groups.add(Group.objects.get_or_create(name=GROUP)[0])
    return bob


@pytest.fixture
def other(charlie: Person) -> Person:
    charlie.groups.add(Group.objects.get_or_create(name="sales")[0])
    return charlie


@pytest.fixture(autouse=True)
def nobody_is_known() -> None:
    bearer._known.clear()


@pytest.fixture(autouse=True)
def models(transactional_db: Any) -> None:
    add_model(SECRET, groups=[GROUP])
    add_model(OPEN)


# --- The ways in: each begins a run that would be answered by a model of this name


async def send(person: Person, name: str) -> Run:
    async with tab(person) as page:
        await page.tell("send", client_id=uuid4(), text=QUESTION, model=name)
        return await run_of(await page.hear("settled"))


async def retry(person: Person, name: str) -> Run:
    _, answer = await told_before(person, name)
    async with tab(person) as page:
        await page.tell("retry", client_id=uuid4(), chat=answer.chat_id, message=answer.pk, model=name)
        await page.hear("started")
        return await run_of(await page.hear("settled"))


async def go_on(person: Person, name: str) -> Run:
    run, answer = await told_before(person, name, RunState.INTERRUPTED)
    async with tab(person) as page:
        await page.tell("open", chat=answer.chat_id)
        await page.hear("opened")
        await page.tell("continue", chat=answer.chat_id, message=answer.pk)
        await page.hear("settled")
    await run.arefresh_from_db()
    return run


async def command(person: Person, name: str) -> Run:
    """``manage.py ask`` prints what this returns."""
    told = await ask(QUESTION, model=name, person=person.username)
    return await Run.objects.aget(pk=told["run"])


async def routed(person: Person, name: str) -> Run:
    return await send(person, "")


def by_route(**route: Any) -> dict[str, Any]:
    return {"routes": [{"condition": "default", **route}]}


OTHERWISE = {"routes": [{"condition": "turn > 99", "model": OPEN}]}
NO_ROUTES = by_route(model=OPEN)
ENTRIES: dict[str, tuple[Callable[[Person, str], Awaitable[Run]], dict[str, Any]]] = {
    "send": (send, NO_ROUTES),
    "retry": (retry, NO_ROUTES),
    "continue": (go_on, NO_ROUTES),
    "manage.py ask": (command, NO_ROUTES),
    "route": (routed, by_route(model=SECRET) | {"fallback": SECRET}),
    "weighted route": (routed, by_route(models={SECRET: 1_000_000, OPEN: 0.000001})),
    "fallback of a route": (routed, by_route(model=GONE, fallbacks=[SECRET])),
    "fallback of the file": (routed, {**OTHERWISE, "fallback": SECRET}),
    "any": (routed, by_route(model="any")),
    "hedge": (routed, {**by_route(model=OPEN, fallbacks=[SECRET]), "hedge": {"after_s": 0.001, "percent": 100}}),
}


@pytest.mark.parametrize("entry", ENTRIES)
async def test_a_model_answers_its_people_and_is_absent_to_others(allowed: Person, other: Person, entry: str) -> None:
    enter, routes = ENTRIES[entry]
    await configure(routes)
    script(entry, answered=True)
    run = await enter(allowed, SECRET)
    assert run.state == RunState.DONE and run.manifest["model"] == SECRET

    theirs = await outcome(entry, enter, other, SECRET)
    assert all(call.model != SECRET for call in Scripted.calls)
    await configure(json.loads(json.dumps(routes).replace(SECRET, ABSENT)))
    if entry == "any":  # there, a model that is not there has no name
        await LanguageModel.objects.filter(name=SECRET).aupdate(name=ABSENT, enabled=False)
        catalog.forget()
    nobodys = await outcome(entry, enter, other, ABSENT)
    assert theirs == nobodys
    assert (theirs["failure"] is None) == (entry in ("weighted route", "any", "hedge"))
    if theirs["failure"]:
        assert theirs["failure"]["code"] == "no_model"


async def test_it_finishes_sentences_for_its_people_alone(allowed: Person, other: Person) -> None:
    await configure({**NO_ROUTES, "autocomplete": SECRET})

    async def suggested(person: Person) -> list[str]:
        groups = tuple([group.name async for group in person.groups.all()])
        asker = Request(messages=(), person_id=str(person.pk), user=person.username, groups=groups)
        return [words async for words in suggest("When are apple trees", asker)]

    assert await suggested(other) == [] and Scripted.calls == []
    say(" pruned?")
    assert await suggested(allowed) == [" pruned?"] and len(Scripted.calls) == 1


async def test_what_a_rule_asks_of_a_model_is_not_known_to_others(allowed: Person, other: Person) -> None:
    await configure(
        {"routes": [{"condition": f'healthy("{SECRET}")', "model": OPEN}, {"condition": "default", "model": OPEN}]}
    )
    reasons = []
    for person in (allowed, other):
        say("Answered.")
        run = await send(person, "")
        reasons.append((run.decision["route"], run.decision["facts"][f"healthy({SECRET})"]))
    assert reasons == [("rule 1", True), ("rule 2", None)]


async def test_a_rule_for_some_groups_is_told_to_nobody_else(allowed: Person, other: Person) -> None:
    kept = {"name": "for research", "condition": f'healthy("{SECRET}")', "model": SECRET, "groups": [GROUP]}
    await configure({"routes": [kept, {"condition": "default", "model": OPEN}]})
    told = []
    for person in (allowed, other):
        say("Answered.")
        run = await send(person, "")
        page = AsyncClient()
        await page.aforce_login(person)
        why = (await page.get(reverse("run-why", args=[run.pk]))).text
        told.append((run.manifest["model"], "for research" in why, run.decision["reason"]))
    assert told == [(SECRET, True, "rule 1, for research"), (OPEN, False, "rule 2, default")]


async def test_who_leaves_the_group_leaves_its_models_at_once(allowed: Person) -> None:
    await configure(NO_ROUTES)
    say("Answered.")
    assert (await send(allowed, SECRET)).state == RunState.DONE
    await database_sync_to_async(allowed.groups.clear)()
    assert (await send(allowed, SECRET)).failure["code"] == "no_model"


def test_the_page_offers_what_a_person_may_use(client: Client, allowed: Person, other: Person) -> None:
    for person, seen in ((allowed, True), (other, False)):
        client.force_login(person)
        page = client.get(reverse("home")).content.decode()
        assert f'data-model="{OPEN}"' in page
        assert (SECRET in page) == seen


def test_a_decision_that_waited_in_a_queue_is_checked_again() -> None:
    """Who lost a model meanwhile is answered by the next in line, or told what an absent model tells."""
    kept = frozenset({GROUP})
    asked = Request(messages=(PromptMessage(role="person", parts=(text_part(QUESTION),)),), groups=(GROUP,))
    lost = replace(asked, groups=())
    decision = decide(asked, known(fast={"groups": kept}), facts=facts_of(asked))
    assert still_fit(decision, asked, known(fast={"groups": kept})).model == "fast"
    assert still_fit(decision, lost, known(fast={"groups": kept})).model == "wide"
    with pytest.raises(NoModel, match="There is no model “fast”"):
        still_fit(replace(decision, fallbacks=()), lost, known(fast={"groups": kept}))


async def test_to_other_programs_too(allowed: Person, other: Person) -> None:
    await configure(NO_ROUTES)
    said = {"messages": [{"role": "user", "content": QUESTION}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=ApiHandler()), base_url="http://onepane") as door:
        for person in (allowed, other):
            _, token = await sync_to_async(tokens.make)(person, name="a notebook")
            door.headers["Authorization"] = f"Bearer {token}"
            say("Answered.")
            listed = (await door.get("/v1/models")).text
            theirs = await door.post("/v1/chat/completions", json={"model": SECRET, **said})
            nobodys = await door.post("/v1/chat/completions", json={"model": ABSENT, **said})
            assert (SECRET in listed) == (person == allowed) and ABSENT not in listed
            assert nobodys.status_code == 404
            if person == allowed:
                assert theirs.status_code == 200 and "Answered." in theirs.text
            else:
                assert (theirs.status_code, theirs.text) == (404, nobodys.text.replace(ABSENT, SECRET))


async def outcome(entry: str, enter: Callable[[Person, str], Awaitable[Run]], person: Person, name: str) -> Any:
    """How it ended and all that the person can read of it, with the name left open and without what differs anyway."""
    Scripted.scripts.clear()
    Scripted.calls.clear()
    script(entry, answered=False)
    run = await enter(person, name)
    decision = dict(run.decision or {})
    decision.pop("configuration", None)
    seen = {"state": run.state, "failure": run.failure, "decision": decision, "text": run.text}
    return json.loads(json.dumps(seen).replace(name, "NAME"))


def script(entry: str, *, answered: bool) -> None:
    """A race needs a first model that is slow; it speaks at last where nobody races it."""
    if entry == "hedge":
        allowance.called()
        slow = asyncio.Event()
        if not answered:
            asyncio.get_running_loop().call_later(0.05, slow.set)
        say(slow, "Slow.")
    say("Answered.")


async def configure(routes: dict[str, Any]) -> None:
    named = {SECRET, ABSENT, OPEN, GONE}
    await database_sync_to_async(save_version)("default", json.dumps({"fallback": GONE, **routes}), models=named)
    catalog.forget()


async def told_before(person: Person, name: str, state: RunState = RunState.DONE) -> tuple[Run, Message]:
    """A question of theirs with an answer."""
    chat = await Chat.objects.acreate(owner=person, title="Before")
    asked = await Message.objects.acreate(
        chat=chat, role="person", author=person, settled=True, parts=[{"kind": "text", "text": QUESTION}]
    )
    run = await Run.objects.acreate(person=person, state=state, text="Before", decision={"model": name}, seq=3)
    done = state == RunState.DONE
    answer = await Message.objects.acreate(chat=chat, parent=asked, role="model", run=run, depth=1, settled=done)
    return run, answer


async def run_of(frame: dict[str, Any]) -> Run:
    return await Run.objects.aget(pk=UUID(frame["run"]))
