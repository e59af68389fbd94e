"""A question goes in; rows, frames and an answer come out, and nothing said is ever lost."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from chat import live, turns
from chat.frames import Continue, Refused, Retry, Send, Stop
from chat.models import Chat, Message, Place
from chat.record import Opened
from tests.scripted import Scripted, add_model, broken, say
from workspace.accounts.models import Person
from workspace.hosts import link
from workspace.hub import PROCESS, hub
from workspace.router import run_rows, runs
from workspace.router.configuration import save_version
from workspace.router.models import RouterLabel, Run, RunEvent
from workspace.router.runs import registry
from workspace.router.states import RunState

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]


@pytest.fixture
def models(transactional_db: Any) -> None:
    add_model("plain")
    add_model("other")


@pytest.fixture
def person(alice: Person, models: None) -> Person:
    return alice


async def ask(person: Person, text: str = "What is a branch?", *, model: str = "plain", **fields: Any) -> Opened:
    return await turns.send(person.pk, Send(client_id=uuid4(), text=text, model=model, **fields))


async def settled(opened: Opened) -> Run:
    assert opened.answer.run_id
    if run := registry().get(opened.answer.run_id):
        await run.task
    return await Run.objects.aget(pk=opened.answer.run_id)


async def test_an_answer_is_written_settled_and_shown_to_everybody_in_the_chat(person: Person) -> None:
    say("A branch ", "is a pointer.")
    opened = await ask(person)
    run = await settled(opened)
    answer = await Message.objects.aget(pk=opened.answer.pk)
    assert (run.state, run.text) == (RunState.DONE, "A branch is a pointer.")
    assert (answer.parts, answer.settled) == ([{"kind": "text", "text": "A branch is a pointer."}], True)
    assert run.manifest["model"] == "plain" and run.manifest["digest"]
    assert not await RunEvent.objects.filter(run=run).aexists()
    assert (await Place.objects.aget(chat=opened.chat, person=person)).tip_id == answer.pk


async def test_the_same_question_sent_twice_is_one_question(person: Person) -> None:
    say("Once.")
    send = Send(client_id=uuid4(), text="Only once?", model="plain")
    first, second = await turns.send(person.pk, send), await turns.send(person.pk, send)
    await settled(first)
    assert second.answer.pk == first.answer.pk and not second.fresh
    assert await Chat.objects.acount() == 1 and await Message.objects.acount() == 2


async def test_a_retry_is_a_sibling_with_another_model(person: Person) -> None:
    say("One.")
    opened = await ask(person)
    await settled(opened)
    say("Two.")
    retry = Retry(client_id=uuid4(), chat=opened.chat.pk, message=opened.answer.pk, model="other")
    again = await turns.retry(person.pk, retry)
    run = await settled(again)
    assert run.manifest["model"] == "other"
    texts = [m.parts[0]["text"] async for m in Message.objects.filter(parent=opened.question).order_by("id")]
    assert texts == ["One.", "Two."]


async def test_an_edit_is_a_sibling_of_the_question(person: Person) -> None:
    say("One.")
    opened = await ask(person, "First wording")
    await settled(opened)
    say("Two.")
    edited = await ask(person, "Second wording", chat=opened.chat.pk, parent=opened.question.parent_id)
    await settled(edited)
    roots = [m.parts[0]["text"] async for m in Message.objects.filter(chat=opened.chat, depth=0).order_by("id")]
    assert roots == ["First wording", "Second wording"]


async def test_a_model_is_told_the_branch_and_not_its_siblings(person: Person) -> None:
    say("One.")
    opened = await ask(person, "First?")
    await settled(opened)
    say("Side.")
    await settled(await ask(person, "Other first?", chat=opened.chat.pk))
    say("Three.")
    await settled(await ask(person, "Then?", chat=opened.chat.pk, parent=opened.answer.pk))
    said = [(m.role, m.parts[0].text) for m in Scripted.calls[-1].messages]
    assert said == [("person", "First?"), ("model", "One."), ("person", "Then?")]


async def test_a_stopped_answer_keeps_what_was_seen(person: Person) -> None:
    never = asyncio.Event()
    say("Half an ", never, "answer.")
    heard = Heard(1)
    opened = await ask(person)
    await heard.at(opened)
    await turns.stop(person.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk))
    run = await settled(opened)
    assert (run.state, run.text) == (RunState.STOPPED, "Half an ")
    assert run.manifest["finish_reason"] == "stopped" and run.manifest["usage"]["estimated"]


async def test_a_failure_after_the_first_words_keeps_them_and_says_why(person: Person) -> None:
    say("Some words", broken("refused_content", "The provider refused to answer this."))
    run = await settled(await ask(person))
    assert (run.state, run.text) == (RunState.FAILED, "Some words")
    assert run.failure["cause"] == "The provider refused to answer this."


async def test_a_connection_that_breaks_is_gone_on_with_from_the_words_there_are(person: Person) -> None:
    say("The first half of it, ", broken("cut_off", "The connection broke."))
    say("the first half of it, ", "and the second.")
    run = await settled(await ask(person))
    assert (run.state, run.text) == (RunState.DONE, "The first half of it, the first half of it, and the second.")
    assert Scripted.calls[-1].so_far == "The first half of it, "
    assert [(a["offset"], (a["failure"] or {}).get("code")) for a in run.manifest["attempts"]] == [
        (0, "cut_off"),
        (22, None),
    ]


async def test_a_deleted_model_ends_in_a_clear_failure_and_a_stored_question(person: Person) -> None:
    run = await settled(await ask(person, model="gone"))
    assert run.state == RunState.FAILED and "gone" in run.failure["cause"] and run.failure["action"]
    assert await Message.objects.filter(role="person").acount() == 1


async def test_a_server_that_stops_leaves_an_answer_that_can_be_continued(person: Person) -> None:
    say("First half", asyncio.Event())
    heard = Heard(1)
    opened = await ask(person)
    await heard.at(opened)
    await registry().close()
    run = await Run.objects.aget(pk=opened.answer.run_id)
    assert (run.state, run.text) == (RunState.INTERRUPTED, "First half")
    runs._registry = None
    say(", second half.")
    resumed = await turns.resume(person.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk))
    assert Scripted.calls[-1].so_far == "First half" if Scripted.calls[1:] else True
    run_after = await settled(resumed)
    assert (run_after.state, run_after.text) == (RunState.DONE, "First half, second half.")
    assert run_after.seq > run.seq
    with pytest.raises(Refused, match="not interrupted"):
        await turns.resume(person.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk))


async def test_an_answer_that_was_asked_about_is_not_changed_under_the_question(person: Person) -> None:
    say("First half", asyncio.Event())
    heard = Heard(1)
    opened = await ask(person)
    await heard.at(opened)
    await registry().close()
    runs._registry = None
    say("Half of what?")
    frame = Send(client_id=uuid4(), chat=opened.chat.pk, parent=opened.answer.pk, text="Half of what?", model="plain")
    await settled(await turns.send(person.pk, frame))
    with pytest.raises(Refused, match="as it is"):
        await turns.resume(person.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk))
    run = await Run.objects.aget(pk=opened.answer.run_id)
    assert (run.state, run.text) == (RunState.INTERRUPTED, "First half")


async def test_a_grounded_answer_keeps_its_evidence_and_its_support(person: Person) -> None:
    from channels.db import database_sync_to_async

    from retrieval import guide

    await database_sync_to_async(guide.ensure)()
    await database_sync_to_async(guide.ingest_words)()
    say("Ollama on port 11434 is found by itself. [1]")
    run = await settled(await ask(person, "On which port is Ollama found?", documents=True))
    assert run.state == RunState.DONE
    assert "11434" in run.evidence[0]["text"] and run.manifest["evidence"] == run.evidence
    assert run.manifest["support"]["supported"] == 1
    assert Scripted.calls[-1].grounded and "<passage" in Scripted.calls[-1].system


async def test_who_asks_for_reasoning_is_routed_by_it_and_gets_it_of_a_model_that_can(person: Person) -> None:
    from channels.db import database_sync_to_async

    def configure() -> None:
        add_model("thinker", abilities=("reasoning",))
        thinks = {"condition": "requires_reasoning", "model": "thinker"}
        save_version("default", json.dumps({"routes": [thinks], "fallback": "plain"}), models=["thinker", "plain"])

    await database_sync_to_async(configure)()
    for reasoning, model, effort in ((True, "thinker", "medium"), (False, "plain", None)):
        say("Hello.")
        opened = await ask(person, "Hi", model="", reasoning=reasoning)
        assert (await settled(opened)).decision["model"] == model
        assert Scripted.calls[-1].parameters.get("reasoning_effort") == effort
        say("Hello again.")
        again = await turns.retry(person.pk, Retry(client_id=uuid4(), chat=opened.chat.pk, message=opened.answer.pk))
        assert (await settled(again)).decision["model"] == model  # the question keeps its wish
    say("Hello.")
    await settled(await ask(person, "Hi", model="plain", reasoning=True))
    assert "reasoning_effort" not in Scripted.calls[-1].parameters  # it can't


async def test_asking_another_model_in_place_of_the_routers_is_a_label_of_both(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    from channels.db import database_sync_to_async

    async def embed(texts: list[str]) -> list[list[float]]:
        assert texts == ["What is a branch?"]
        return [[0.5] * 4]

    monkeypatch.setattr(link, "aembed", embed)
    await database_sync_to_async(lambda: add_model("spare"))()
    say("One.")
    opened = await ask(person, model="")
    assert (await settled(opened)).decision["chosen_by"] != "person"

    async def again(model: str, message: UUID) -> Opened:
        say("Two.")
        return await turns.retry(person.pk, Retry(client_id=uuid4(), chat=opened.chat.pk, message=message, model=model))

    await settled(await again("", opened.answer.pk))  # no choice, no label
    await settled(await again("plain", opened.answer.pk))  # the same model once more says nothing
    taken = await again("spare", opened.answer.pk)
    await settled(taken)
    await settled(await again("plain", taken.answer.pk))  # nor does leaving what the person chose
    labels = [
        (label.model.name, label.outcome, label.source) async for label in RouterLabel.objects.select_related("model")
    ]
    assert sorted(labels) == [("plain", 0.0, "override"), ("spare", 1.0, "override")]


async def test_a_killed_process_loses_no_journalled_word(person: Person) -> None:
    """The rows as ``kill -9`` leaves them: a running run of a process that is gone, its words in the journal."""
    say("Never sent")
    opened = await ask(person)
    await settled(opened)
    run = await Run.objects.acreate(state=RunState.RUNNING, owner="gone", person=person)
    for seq, text in enumerate(["Kept ", "words"], start=1):
        await RunEvent.objects.acreate(run=run, seq=seq, kind="delta", data=json.dumps([text]))
    from channels.db import database_sync_to_async

    found = await database_sync_to_async(run_rows.reap)(all_but=PROCESS)
    await run.arefresh_from_db()
    assert found == [run.pk] and (run.state, run.text) == (RunState.INTERRUPTED, "Kept words")


class Heard:
    """Wait until an answer has told ``count`` pieces of text: no test waits by the clock."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._enough = asyncio.Event()
        self._told = 0

    async def __call__(self, frame: bytes) -> None:
        self._told += b'"delta"' in frame or b'"block"' in frame
        if self._told >= self._count:
            self._enough.set()

    async def at(self, opened: Opened) -> None:
        await hub().listen(live.topic_of(opened.chat.pk), self)
        for answer in live.answers_of(opened.chat.pk):
            for frame in answer.since(0):
                await self(frame)
        await self._enough.wait()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"chat": uuid4()}, "not_found"),
        ({"chat": "hers", "parent": uuid4()}, "wrong_parent"),
        ({"chat": "hers", "parent": "question"}, "wrong_parent"),
        ({"blobs": ("0" * 64,)}, "not_found"),
    ],
)
async def test_a_question_out_of_place_is_refused_and_stores_nothing(
    person: Person, fields: dict[str, Any], code: str
) -> None:
    say("One.")
    opened = await ask(person)
    await settled(opened)
    before = await Message.objects.acount()
    named = {"hers": opened.chat.pk, "question": opened.question.pk}
    with pytest.raises(Refused) as refused:
        await ask(person, **{k: named.get(v, v) if isinstance(v, str) else v for k, v in fields.items()})
    assert refused.value.failure.code == code
    assert await Message.objects.acount() == before


async def test_somebody_elses_chat_looks_absent(person: Person, charlie: Person) -> None:
    say("One.")
    opened = await ask(person)
    await settled(opened)
    strange: list[Any] = [
        turns.send(charlie.pk, Send(client_id=uuid4(), text="Mine?", chat=opened.chat.pk)),
        turns.retry(charlie.pk, Retry(client_id=uuid4(), chat=opened.chat.pk, message=opened.answer.pk)),
        turns.stop(charlie.pk, Stop(chat=opened.chat.pk, message=opened.answer.pk)),
        turns.resume(charlie.pk, Continue(chat=opened.chat.pk, message=opened.answer.pk)),
    ]
    for attempt in strange:
        with pytest.raises(Refused) as refused:
            await attempt
        assert refused.value.failure.code == "not_found"


async def test_a_person_who_was_deactivated_is_signed_out(person: Person) -> None:
    person.is_active = False
    await person.asave(update_fields=["is_active"])
    with pytest.raises(Refused) as refused:
        await ask(person)
    assert refused.value.failure.code == "signed_out"


def test_ids_sort_by_time(db: None) -> None:
    from workspace.ids import new_id

    made = [new_id() for _ in range(50)]
    assert made == sorted(made) and all(isinstance(i, UUID) for i in made)
