"""The log of decisions: what a run leaves in it, what it drops, when it forgets, and its page."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.conf import LazySettings
from django.db import connection
from django.test import Client
from django.utils import timezone

from chat import turns
from chat.frames import Continue, Send
from chat.record import Opened
from tests.chat.test_turns import Heard
from tests.decided import log
from tests.scripted import add_model, say
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.router import catalog, decisions, runs
from workspace.router.configuration import save_version
from workspace.router.decision_admin import PAGE, page_of
from workspace.router.decisions import DecisionLog
from workspace.router.models import LoggedDecision, Run
from workspace.router.run_rows import Outcome
from workspace.router.runs import registry
from workspace.router.states import RunState
from workspace.types import Decision, Manifest

PATH = "/admin/router/loggeddecision/"
DECISION = Decision(model="plum", model_version=1, reason="rule 1", chosen_by="route", route="rule 1")


@pytest.fixture
def models(transactional_db: Any) -> None:
    add_model("plum", price="1")
    add_model("peach", price="2")
    routes = [{"name": "short", "condition": "len(prompt) < 20", "model": "plum"}]
    save_version(catalog.ACTIVE, json.dumps({"routes": routes, "fallback": "peach"}))
    catalog.forget()


async def ask(person: Person, text: str, model: str = "") -> Opened:
    opened = await turns.send(person.pk, Send(client_id=uuid4(), text=text, model=model))
    assert opened.answer.run_id
    return opened


async def logged(opened: Opened) -> LoggedDecision:
    if run := registry().get(opened.answer.run_id):  # type: ignore[arg-type]
        await run.task
    await registry().decisions.flush()
    return await LoggedDecision.objects.aget(run=opened.answer.run_id)


def outcome(person: Person | None = None) -> Outcome:
    manifest = Manifest(decision=DECISION)
    return Outcome(new_id(), RunState.DONE, "", "", manifest, None, 1, str(person.pk) if person else "")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "models")
async def test_a_routed_answer_is_logged_with_what_it_came_to_and_none_of_its_words(alice: Person) -> None:
    say("A secret answer")
    opened = await ask(alice, "A secret")
    row = await logged(opened)
    run = await Run.objects.aget(pk=opened.answer.run_id)
    assert (row.person_id, row.route, row.model, row.chosen_by) == (alice.pk, "short", "plum", "route")
    assert (row.state, row.router_version_id, row.routed) == ("done", run.router_version_id, "")
    assert (row.tokens_input, row.tokens_output, row.cost) == (run.tokens_input, run.tokens_output, run.cost)
    assert (row.first_token_s, row.total_s) == (run.first_token_s, run.total_s)
    assert row.facts["len(prompt)"] == 8 and "prompt" not in row.facts
    assert "secret" not in json.dumps(row.facts)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "models")
async def test_an_override_is_labelled_with_what_the_routes_would_have_said(alice: Person) -> None:
    say("One")
    short = await logged(await ask(alice, "Short", model="peach"))
    say("Two")
    long = await logged(await ask(alice, "Something rather longer", model="plum"))
    assert [(row.chosen_by, row.model, row.routed) for row in (short, long)] == [
        ("person", "peach", "plum"),
        ("person", "plum", "peach"),
    ]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live", "scripted", "models")
async def test_a_server_that_stops_writes_what_waits_and_a_continued_run_keeps_one_row(alice: Person) -> None:
    say("Half ", asyncio.Event())
    heard = Heard(1)
    opened = await ask(alice, "Go on")
    await heard.at(opened)
    await registry().close()
    before = await LoggedDecision.objects.aget()
    assert before.state == "interrupted"
    runs._registry = None
    say("whole")
    await turns.resume(alice.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk))
    after = await logged(opened)
    assert (after.pk, after.created, after.state) == (before.pk, before.created, "done")


@pytest.mark.django_db(transaction=True)
async def test_what_finds_no_room_is_dropped_and_counted_and_the_rest_is_written() -> None:
    before, queue = decisions.dropped(), DecisionLog(most=3)
    for _ in range(5):
        queue.note(outcome())
    await queue.flush()
    assert decisions.dropped() - before == 2
    assert await LoggedDecision.objects.acount() == 3
    queue.note(outcome())  # there is room again
    await queue.flush()
    assert (decisions.dropped() - before, await LoggedDecision.objects.acount()) == (2, 4)


@pytest.mark.django_db(transaction=True)
async def test_a_batch_that_cant_be_written_is_counted_and_the_next_is_written(
    charlie: Person, caplog: pytest.LogCaptureFixture
) -> None:
    before, queue = decisions.dropped(), DecisionLog()
    gone = outcome(charlie)
    await Person.objects.filter(pk=charlie.pk).adelete()
    queue.note(gone)
    await queue.flush()
    assert decisions.dropped() - before == 1
    assert "1 decisions could not be logged" in caplog.text
    queue.note(outcome())
    await queue.flush()
    assert await LoggedDecision.objects.acount() == 1


@pytest.mark.django_db(transaction=True)
async def test_what_is_older_than_the_retention_is_forgotten_and_no_more(settings: LazySettings) -> None:
    settings.RETENTION_DAYS = 30
    now = timezone.now()
    rows = [
        LoggedDecision(run=new_id(), model="plum", chosen_by="route", mode="interactive", state="done", created=when)
        for when in [now - timedelta(days=31)] * (decisions.BATCH + 5) + [now - timedelta(days=29)] * 3
    ]
    await LoggedDecision.objects.abulk_create(rows)
    await decisions.forget_old()
    assert await LoggedDecision.objects.acount() == 3


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def test_the_page_shows_the_newest_first_and_leads_to_the_older(owner: Client, alice: Person) -> None:
    rows = [log(DECISION, route=f"rule {n}", person=alice) for n in range(PAGE + 2)]
    first = owner.get(PATH)
    assert f"rule {PAGE + 1}<" in first.text and "rule 1<" not in first.text
    older = first.text.split('href="?before=')[1].split('"')[0]
    assert older == str(rows[2].pk)
    last = owner.get(PATH, {"before": older}).text
    assert "rule 1<" in last and "rule 0<" in last and "rule 2<" not in last and "Older" not in last
    assert "No decision was dropped" in last or "not logged since" in last
    assert owner.get(PATH, {"before": "nonsense"}).status_code == 404


@pytest.mark.parametrize(
    "asked", [{"person": "bob"}, {"model": "fig"}, {"route": "tax"}, {"chosen_by": "fallback"}, {"state": "failed"}]
)
def test_each_filter_narrows_the_page(owner: Client, bob: Person, asked: dict[str, str]) -> None:
    log(DECISION, total_s=11.0)
    log(DECISION, **(asked | ({"person": bob} if "person" in asked else {})), total_s=22.0)
    page = owner.get(PATH, asked).text
    assert "22.00 s" in page and "11.00 s" not in page


def test_a_person_nobody_knows_is_said(owner: Client) -> None:
    page = owner.get(PATH, {"person": "nobody"}).text
    assert "There is nobody called “nobody”" in page


def test_a_page_counts_nothing(owner: Client, django_assert_max_num_queries: Any) -> None:
    log(DECISION)
    with django_assert_max_num_queries(10) as told:
        owner.get(PATH)
    assert not [query for query in told.captured_queries if "COUNT(" in query["sql"]]


@pytest.mark.parametrize("field", ["", "person", "model", "route", "chosen_by", "state"])
def test_every_page_reads_an_index_from_its_newest_row_on(alice: Person, field: str) -> None:
    """No sort, and no look at rows that are not shown."""
    if connection.vendor != "sqlite":
        pytest.skip("other planners go by statistics, and an empty table has none")
    names = {"": "", "person": str(alice.pk), "chosen_by": "route", "state": "done", "model": "plum", "route": "rule 1"}
    wanted = {field: alice if field == "person" else names[field]} if field else {}
    rows = page_of(wanted, before=new_id())
    plan = rows.explain()
    assert "SCAN router_loggeddecision" not in plan and "TEMP B-TREE" not in plan, plan
    if field:
        assert f"decisions_by_{field}" in plan, plan
