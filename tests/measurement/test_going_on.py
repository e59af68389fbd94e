"""A measurement that is paused, fails or loses its process goes on, and nothing is asked twice."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from channels.db import database_sync_to_async
from django.test import Client
from django.utils import timezone

from chat import reports
from tests.measurement.test_judging import lines, thing
from tests.scripted import Scripted, add_model, broken
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.measurement import asking, drift, importing, measuring, starting, taking
from workspace.measurement import tasks as measurement_tasks
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Measurement, Outcome
from workspace.measurement.pace import MOST_FAILED
from workspace.providers.base import Call, Ended, Said, Sent
from workspace.router import run_rows
from workspace.router.models import Run
from workspace.router.states import RunState
from workspace.types import Delta, Usage, text_of
from workspace.writes import writer

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "clerk"),
    pytest.mark.timeout(240),
]

ITEMS = 24
COST = Decimal("0.0003")  # of an answer: 30 tokens at $10 a million


class Clerk(Scripted):
    """Right about everything; waits in ``gate`` before thing 5, and fails while it is ``down``."""

    asked: ClassVar[list[Call]] = []
    gate: ClassVar[asyncio.Event | None] = None
    held: ClassVar[asyncio.Event | None] = None
    down: ClassVar[bool] = False

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        said = text_of(call.messages[-1].parts)
        self.asked.append(call)
        if Clerk.gate and Clerk.held and len(self.asked) == 5:
            Clerk.held.set()
            await Clerk.gate.wait()
        if Clerk.down:
            raise broken("refused", "Nobody is in.", permanent=True)
        yield Sent(parameters=dict(call.parameters))
        yield Delta(f"It is number {thing(said)} [1].")
        yield Usage(input=20, output=10)
        yield Ended(finish_reason="stop", model=call.model)


@pytest.fixture
def clerk(scripted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Clerk.asked.clear()
    Clerk.gate, Clerk.held, Clerk.down = None, None, False
    monkeypatch.setattr(Scripted, "stream", Clerk.stream)
    monkeypatch.setattr(Scripted, "asked", Clerk.asked, raising=False)
    monkeypatch.setattr(measurement_tasks.go_on, "delay", lambda *_: None)
    add_model("clerk", price="10")


@database_sync_to_async
def begun(person: Person, *models: str, **options: Any) -> Measurement:
    """Without warm-ups unless they are asked for."""
    suite = importing.add(person, "things.jsonl", lines())
    warmups = options.pop("warmups", 0)
    measurement = starting.begin(person, suite, models or ("clerk",), **options)
    Measurement.objects.filter(pk=measurement.pk).update(warmups=warmups)
    return measurement


def asked() -> Counter[str]:
    return Counter(text_of(call.messages[-1].parts) for call in Clerk.asked)


async def test_who_is_told_to_go_on_while_an_answer_is_written_asks_nothing_twice(alice: Person) -> None:
    measurement = await begun(alice)
    Clerk.gate, Clerk.held = asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(measuring.measure(measurement.pk))
    await Clerk.held.wait()
    await database_sync_to_async(taking.pause)(measurement)
    await Measurement.objects.filter(pk=measurement.pk).aupdate(state="queued")
    second = asyncio.create_task(measuring.measure(measurement.pk))
    await asyncio.sleep(0)
    Clerk.gate.set()
    await asyncio.gather(first, second)
    assert await Outcome.objects.acount() == ITEMS and set(asked().values()) == {1}
    assert (await Measurement.objects.aget(pk=measurement.pk)).state == "done"


async def test_nobody_is_asked_once_it_was_paused_however_late(alice: Person) -> None:
    measurement = await begun(alice)
    taken = await writer.submit(lambda: taking.take(measurement.pk))
    assert taken

    async def may_ask(model: str) -> bool:
        await database_sync_to_async(taking.pause)(measurement)
        return True

    assert await asking.warm_up(taken, 0, 0, may_ask) is RunState.INTERRUPTED
    assert not Clerk.asked and not await Run.objects.aexists()


async def test_one_asks_at_a_time_and_what_a_dead_process_asked_for_is_spent(alice: Person) -> None:
    measurement = await begun(alice)
    taken = await writer.submit(lambda: taking.take(measurement.pk))
    lost = await Run.objects.acreate(state="running", owner="dead", heartbeat=timezone.now(), person=alice)
    assert taken and await writer.submit(lambda: taking.claim(taken.pk, lost.pk))
    assert not await writer.submit(lambda: taking.claim(taken.pk, new_id()))
    waiting = asyncio.create_task(taking.wait(taken.pk))
    assert await asyncio.wait({waiting}, timeout=0.2) == (set(), {waiting}), "it lives"
    long_ago = timezone.now() - timedelta(seconds=run_rows.DEAD_AFTER + 1)
    await Run.objects.filter(pk=lost.pk).aupdate(heartbeat=long_ago, cost=COST)
    await waiting
    await taken.arefresh_from_db()
    assert taken.asking_id is None and taken.aside == COST
    assert (await Run.objects.aget(pk=lost.pk)).state == "interrupted"


async def test_one_that_is_deleted_while_an_answer_is_written_leaves_its_run_alone(alice: Person) -> None:
    measurement = await begun(alice)
    Clerk.gate, Clerk.held = asyncio.Event(), asyncio.Event()
    going = asyncio.create_task(measuring.measure(measurement.pk))
    await Clerk.held.wait()
    await database_sync_to_async(taking.pause)(measurement)
    await Measurement.objects.all().adelete()
    Clerk.gate.set()
    await going
    assert not await Outcome.objects.aexists()
    assert [run.state async for run in Run.objects.all()] == ["done"] * 5


async def test_when_everything_fails_it_pauses_and_what_failed_is_asked_again(alice: Person) -> None:
    measurement = await begun(alice)
    Clerk.down = True
    await measuring.measure(measurement.pk)
    paused = await Measurement.objects.aget(pk=measurement.pk)
    assert paused.state == "paused" and f"{MOST_FAILED} calls in a row failed" in paused.why
    assert await Outcome.objects.filter(cell=Cell.UNSCORED).acount() == MOST_FAILED
    Clerk.down = False
    assert await database_sync_to_async(click)(alice, measurement, "again") == 302
    await measuring.measure(measurement.pk)
    assert await Outcome.objects.filter(cell=Cell.CORRECT).acount() == ITEMS
    assert (await Measurement.objects.aget(pk=measurement.pk)).state == "done"


async def test_one_lane_that_always_fails_stops_nobody(alice: Person) -> None:
    await database_sync_to_async(add_model)("absent", enabled=True)
    measurement = await begun(alice, "clerk", "absent")
    stream = Scripted.stream

    async def alone(self: Scripted, call: Call) -> AsyncIterator[Said]:
        if call.model == "absent":
            raise broken("refused", "Nobody is in.", permanent=True)
        async for said in stream(self, call):
            yield said

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Scripted, "stream", alone)
        await measuring.measure(measurement.pk)
    assert await Outcome.objects.filter(cell=Cell.CORRECT).acount() == ITEMS
    assert await Outcome.objects.filter(cell=Cell.UNSCORED).acount() == ITEMS


async def test_what_a_dead_process_had_is_queued_again_once(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[str] = []
    monkeypatch.setattr(measurement_tasks.go_on, "delay", queued.append)
    dead, living = await begun(alice), await begun(alice)
    queued.clear()
    for one, ago in ((dead, taking.DEAD_AFTER), (living, timedelta(0))):
        beat = timezone.now() - ago - timedelta(seconds=1)
        await Measurement.objects.filter(pk=one.pk).aupdate(state="running", worker="another", heartbeat=beat)
    await database_sync_to_async(measurement_tasks.revive)()
    await database_sync_to_async(measurement_tasks.revive)()
    assert queued == [str(dead.pk)]
    await measuring.measure(dead.pk)
    await measuring.measure(living.pk)
    states = {one.pk: one.state async for one in Measurement.objects.all()}
    assert states == {dead.pk: "done", living.pk: "running"}


async def test_a_command_that_was_killed_goes_on_with_its_measurement(alice: Person) -> None:
    suite = await database_sync_to_async(importing.add)(alice, "things.jsonl", lines())
    begin = database_sync_to_async(starting.begin)
    killed = await begin(alice, suite, ["clerk"], queued=False, goes_on=True)
    await Measurement.objects.filter(pk=killed.pk).aupdate(state="running", worker="dead", warmups=3)
    await database_sync_to_async(taking.forsake)()
    assert (await begin(alice, suite, ["clerk"], repeats=2, queued=False, goes_on=True)).pk != killed.pk
    again = await begin(alice, suite, ["clerk"], budget=Decimal(9), queued=False, goes_on=True)
    assert again.pk == killed.pk
    await measuring.measure(again.pk)
    done = await Measurement.objects.aget(pk=killed.pk)
    assert done.state == "done" and done.budget == 9 and await done.outcomes.acount() == ITEMS
    assert (await begin(alice, suite, ["clerk"], queued=False, goes_on=True)).pk != killed.pk, "what is done is done"


async def test_drift_is_looked_for_while_others_go_on_writing(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    looked, written = threading.Event(), threading.Event()

    def look(measurement: Measurement) -> None:
        looked.set()
        assert written.wait(20), "the thread that writes everybody's answers waits for the report"

    monkeypatch.setattr(drift, "look", look)
    measurement = await begun(alice)
    going = asyncio.create_task(measuring.measure(measurement.pk))
    await asyncio.to_thread(looked.wait, 60)
    assert await writer.submit(Run.objects.count) == ITEMS
    written.set()
    await going
    assert (await Measurement.objects.aget(pk=measurement.pk)).state == "done"


def click(person: Person, measurement: Measurement, to: str) -> int:
    client = Client()
    client.force_login(person)
    assert "Ask again for the 10 answers that failed" in client.get(f"/measure/{measurement.pk}/").content.decode()
    return client.post(f"/measure/{measurement.pk}/change/", {"to": to}).status_code


async def test_while_it_runs_its_page_asks_for_progress_alone(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    measurement = await begun(alice)
    page, part = await database_sync_to_async(looked_at)(alice, measurement)
    assert f'from="/measure/{measurement.pk}/progress/"' in page and 'every="2000"' in page
    monkeypatch.setattr(reports, "report", None)
    await measuring.measure(measurement.pk)
    _, done = await database_sync_to_async(looked_at)(alice, measurement, page=False)
    assert f"0 of {ITEMS}" in part and 'every="2000"' in part
    assert "every=" not in done, "the page is had anew, with its report"


def looked_at(person: Person, measurement: Measurement, *, page: bool = True) -> tuple[str, str]:
    client = Client()
    client.force_login(person)
    address = f"/measure/{measurement.pk}/"
    whole = client.get(address).content.decode() if page else ""
    return whole, client.get(f"{address}progress/").content.decode()
