"""A background route: the chat goes on, and the answer lands in its place whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from celery import current_app
from channels.db import database_sync_to_async

from chat import background, tasks, turns
from chat.frames import Send, Stop
from chat.models import Message
from chat.record import Opened
from tests.scripted import Scripted, add_model, say
from workspace.accounts.models import Person
from workspace.hub import hub
from workspace.providers.models import LanguageModel
from workspace.router import catalog, run_rows, runs
from workspace.router.configuration import save_version
from workspace.router.models import Run
from workspace.router.runs import registry
from workspace.router.states import RunState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

DUAL = """{"routes": [
  {"name": "short", "condition": "len(prompt) < 20", "model": "fast"},
  {"name": "long", "condition": "default", "model": "deep", "mode": "background"}
], "fallback": "fast"}"""
LONG = "Write all of it down, at length and in order."


@pytest.fixture
def person(alice: Person) -> Person:
    add_model("fast")
    add_model("deep")
    save_version("default", DUAL)
    catalog.forget()
    return alice


@pytest.fixture
def queued(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a worker would be woken for."""
    names: list[str] = []
    monkeypatch.setattr(tasks.write_answer, "delay", names.append)
    return names


async def ask(person: Person, text: str, **fields: Any) -> Opened:
    opened = await turns.send(person.pk, Send(client_id=uuid4(), text=text, **fields))
    assert opened.answer.run_id
    if run := registry().get(opened.answer.run_id):
        await run.task
    return opened


async def run_of(opened: Opened) -> Run:
    return await Run.objects.aget(pk=opened.answer.run_id)


async def test_a_long_answer_waits_for_a_worker_while_the_chat_goes_on(person: Person, queued: list[str]) -> None:
    long = await ask(person, LONG)
    run = await run_of(long)
    assert (run.state, run.decision["model"], run.owner) == (RunState.QUEUED, "deep", "")
    assert queued == [str(long.answer.pk)]
    say("Short.")
    short = await ask(person, "And now?", chat=long.chat.pk, parent=long.answer.pk)
    assert (await run_of(short)).state == RunState.DONE
    said = [(m.role, m.parts[0].text) for m in Scripted.calls[-1].messages]
    assert said == [("person", LONG), ("person", "And now?")]

    told: list[dict[str, Any]] = []
    hear = _keep(told)
    await hub().listen(f"person.{person.pk}", hear)
    say("All of it, ", "in order.")
    await background.write(long.answer.pk)
    run = await run_of(long)
    answer = await Message.objects.aget(pk=long.answer.pk)
    assert (run.state, run.text, run.manifest["decision"]["mode"]) == (
        RunState.DONE,
        "All of it, in order.",
        "background",
    )
    assert (answer.settled, answer.parent_id) == (True, long.question.pk)
    assert [(f["type"], f["answer"], f["state"]) for f in told] == [("landed", str(long.answer.pk), "done")]


async def test_it_is_written_once_however_often_workers_are_woken(person: Person, queued: list[str]) -> None:
    opened = await ask(person, LONG)
    say("Once.")
    await asyncio.gather(*(background.write(opened.answer.pk) for _ in range(3)))
    assert (await run_of(opened)).text == "Once." and len(Scripted.calls) == 1


async def test_one_that_waits_is_stopped_at_once(person: Person, queued: list[str]) -> None:
    opened = await ask(person, LONG)
    await turns.stop(person.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk))
    assert (await run_of(opened)).state == RunState.STOPPED
    await background.write(opened.answer.pk)
    assert Scripted.calls == []


async def test_one_that_is_written_is_stopped_with_what_there_is(person: Person, queued: list[str]) -> None:
    opened = await ask(person, LONG)
    spoke = asyncio.Event()
    say("Half ", asyncio.Event())
    topic = f"chat.{opened.chat.pk}"
    await hub().listen(topic, _when(spoke, "delta"))
    writing = asyncio.create_task(background.write(opened.answer.pk))
    await spoke.wait()
    await turns.stop(person.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk))
    await writing
    run = await run_of(opened)
    assert (run.state, run.text) == (RunState.STOPPED, "Half ")


async def test_a_restart_queues_again_what_waits_and_goes_on_with_what_was_cut_off(
    person: Person, queued: list[str]
) -> None:
    waits, cut = await ask(person, LONG), await ask(person, LONG)
    spoke = asyncio.Event()
    say("The first half, ", asyncio.Event())
    await hub().listen(f"chat.{cut.chat.pk}", _when(spoke, "delta"))
    writing = asyncio.create_task(background.write(cut.answer.pk))
    await spoke.wait()
    await registry().close()
    await writing
    assert (await run_of(cut)).state == RunState.INTERRUPTED
    assert await database_sync_to_async(run_rows.reap)(all_but="nobody") == []
    assert await database_sync_to_async(background.waiting)() == sorted([waits.answer.pk, cut.answer.pk])

    runs._registry = None
    say("the second half.")
    await background.write(cut.answer.pk)
    assert (await run_of(cut)).text == "The first half, the second half."
    assert Scripted.calls[-1].so_far == "The first half, "


async def test_a_command_that_waits_is_answered_here_and_now(person: Person, queued: list[str]) -> None:
    say("Here.")
    opened = await turns.send(person.pk, Send(client_id=uuid4(), text=LONG), waits=True)
    assert opened.answer.run_id
    run = registry().get(opened.answer.run_id)
    assert run is not None
    await run.task
    assert (await run_of(opened)).text == "Here." and queued == []


async def test_a_model_that_is_taken_away_meanwhile_is_not_called(person: Person, queued: list[str]) -> None:
    opened = await ask(person, LONG)
    await LanguageModel.objects.filter(name="deep").aupdate(enabled=False)
    catalog.forget()
    say("From the fallback.")
    await background.write(opened.answer.pk)
    run = await run_of(opened)
    assert (run.manifest["model"], run.text) == ("fast", "From the fallback.")
    assert "deep is switched off." in [drop["reason"] for drop in run.manifest["decision"]["dropped"]]


def test_the_task_is_known_to_every_worker() -> None:
    current_app.loader.import_default_modules()
    assert "chat.tasks.write_answer" in current_app.tasks


def _keep(told: list[dict[str, Any]]) -> Any:
    async def hear(frame: bytes) -> None:
        told.append(json.loads(frame))

    return hear


def _when(event: asyncio.Event, kind: str) -> Any:
    async def hear(frame: bytes) -> None:
        if json.loads(frame)["type"] == kind:
            event.set()

    return hear
