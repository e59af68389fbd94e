"""A running answer as its chat's listeners hear it: events become frames, closed blocks become HTML.

It keeps the frames of each live run, numbered as the journal numbers them, so that a returning client gets
exactly what it missed. Rendering happens in a thread; the run's events wait for it, so order holds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from functools import partial
from typing import Any
from uuid import UUID

import orjson
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.db import transaction
from django.urls import reverse

from chat import access, judging, record
from chat.compare.board import settled_html
from chat.frames import dump
from chat.models import Message
from chat.rendering import render, split_closed
from chat.thread import evidence_html
from workspace.accounts.sessions import topic_of as topic_of_person
from workspace.hub import hub
from workspace.router import catalog
from workspace.router.journal import pieces
from workspace.router.models import RunEvent
from workspace.router.run_rows import Outcome
from workspace.router.runs import Numbered, registry
from workspace.router.states import RunState
from workspace.types import AttemptFailed, Decided, Delta, Event, EvidenceFound, Reasoning, StepTaken, plain
from workspace.wire import RunEventKind, Tell

LAST = 2**31  # of a frame whose number would tell how its model writes


def topic_of(chat_id: UUID) -> str:
    return f"chat.{chat_id}"


class Answer:
    """The observer of one run: what its chat hears, and what is settled with it."""

    def __init__(
        self,
        chat_id: UUID,
        answer_id: UUID,
        run_id: UUID,
        *,
        seq: int = 0,
        tail: str = "",
        hands_over: bool = False,
        background: bool = False,
    ) -> None:
        self.hands_over = hands_over
        self._background = background
        self.chat_id = chat_id
        self.answer_id = answer_id
        self.run_id = run_id
        self._topic = topic_of(chat_id)
        self._hub = hub()
        self._base = seq
        self._frames: list[bytes] = []
        self._told_others = 0
        self._tail = tail
        self._issued: set[int] = set()

    @property
    def seq(self) -> int:
        """The number of the last frame."""
        return self._base + len(self._frames)

    def since(self, seen: int) -> list[bytes]:
        """The frames after number ``seen``."""
        return self._frames[max(0, seen - self._base) :]

    async def heard(self, numbered: Numbered) -> None:
        frame = await self._frame(numbered.seq, numbered.event)
        self._frames.append(frame)
        await self._hub.tell_here(self._topic, frame)

    async def committed(self, seq: int) -> None:
        ready = self._frames[self._told_others : seq - self._base]
        self._told_others += len(ready)
        await self._hub.tell_others(self._topic, ready)

    async def handed_over(self) -> None:
        from chat import tasks  # they write answers with this very class

        await self._hub.tell_others(self._topic, self._frames[self._told_others :])
        await asyncio.to_thread(tasks.queue, [self.answer_id])

    def settle(self, outcome: Outcome) -> None:
        record.settle_answer(self.answer_id, outcome)

    async def settled(self, outcome: Outcome) -> None:
        await self._hub.tell_others(self._topic, self._frames[self._told_others :])
        await announce_settled(self.chat_id, self.answer_id)
        if outcome.state is RunState.DONE and outcome.manifest.support:
            judging.begin(self.answer_id, partial(announce_settled, self.chat_id, self.answer_id, judged=True))
        if self._background and outcome.state in (RunState.DONE, RunState.FAILED):
            await announce_landed(self.answer_id)

    async def _frame(self, seq: int, event: Event) -> bytes:
        about: dict[str, Any] = {"run": self.run_id, "seq": seq}
        match event:
            case Delta(text):
                return await self._delta(text, about)
            case Reasoning(text):
                return dump(Tell.REASONING, text=text, **about)
            case StepTaken(text):
                return dump(Tell.STEP, text=text, **about)
            case EvidenceFound(evidence):
                self._issued = {e.number for e in evidence}
                passages = [plain(e) for e in evidence]
                html = await asyncio.to_thread(evidence_html, self.run_id, passages)
                return dump(Tell.EVIDENCE, html=html, **about)
            case Decided(decision):
                return _decision_frame(decision.model, decision.reason, decision.mode, await catalog.load(), about)
            case AttemptFailed(model, failure):
                return dump(Tell.FAILING, text=f"{model}: {failure.cause}", **about)
            case _:
                raise TypeError(f"{type(event).__name__} does not cross the wire")

    async def _delta(self, text: str, about: dict[str, Any]) -> bytes:
        """Only a new line can close a block, so only then is the tail parsed."""
        self._tail += text
        if "\n" in text:
            html, tail = await asyncio.to_thread(close, self._tail, self._issued)
            if html:
                self._tail = tail
                return dump(Tell.BLOCK, html=html, tail=tail, **about)
        return dump(Tell.DELTA, text=text, **about)


_lingering: set[Answer] = set()


def linger(answer: Answer) -> None:
    """Its run may be over before it is told whole: until it is let go, who comes hears it as one that is written."""
    _lingering.add(answer)


def let_go(answer: Answer) -> None:
    _lingering.discard(answer)


def answers_of(chat_id: UUID) -> list[Answer]:
    """The chat's answers that this process is writing, or still telling."""
    writing = {run.observer for run in registry().all() if isinstance(run.observer, Answer)}
    return [answer for answer in writing | _lingering if answer.chat_id == chat_id]


async def stored_since(run_id: UUID, seen: int) -> list[bytes]:
    """What another process's run has journalled after ``seen``, as frames."""
    return await database_sync_to_async(_stored_frames)(run_id, seen)


async def announce_settled(chat_id: UUID, answer_id: UUID, *, judged: bool = False) -> None:
    """Tell the answer as the page would render it; one that was ``judged`` had been told before."""
    told = database_sync_to_async(settled_frame, thread_sensitive=False)
    await hub().tell(topic_of(chat_id), await told(answer_id, judged=judged))


def announce(chat_id: UUID, frame: bytes) -> None:
    """Tell a chat's tabs, from a thread, once what changed is committed."""
    transaction.on_commit(lambda: async_to_sync(_tell)(topic_of(chat_id), frame))


def announce_changed(chat_id: UUID) -> None:
    """Tell a chat's tabs that what it is told by has changed: versions, flags, names."""
    announce(chat_id, dump(Tell.CHANGED, chat=chat_id))


def announce_moved(person_id: UUID, chat_id: UUID, tip: UUID) -> None:
    """Tell a person's own tabs, from a thread, that they stand elsewhere."""
    frame = dump(Tell.MOVED, chat=chat_id, tip=tip)
    transaction.on_commit(lambda: async_to_sync(_tell)(topic_of_person(person_id), frame))


async def _tell(topic: str, frame: bytes) -> None:
    await hub().tell(topic, frame)


async def announce_landed(answer_id: UUID) -> None:
    """Tell whoever asked, wherever they are now, that the answer they did not wait for is there."""
    told = await database_sync_to_async(_landed)(answer_id)
    if told:
        person_id, frame = told
        await hub().tell(topic_of_person(person_id), frame)


async def announce_interrupted(run_id: UUID) -> None:
    """Tell the tabs that wait for an answer whose process is dead, unless somebody goes on with it already."""
    waiting = Message.objects.filter(run_id=run_id, run__state=RunState.INTERRUPTED)
    found = await waiting.values_list("chat_id", "pk").afirst()
    if found:
        await announce_settled(*found)


def settled_frame(answer_id: UUID, *, judged: bool = False) -> bytes:
    message = record.answer(answer_id)
    run = message.run
    assert run is not None
    html = settled_html(message)
    again = {"judged": True} if judged else {}
    return dump(
        Tell.SETTLED,
        chat=message.chat_id,
        run=run.pk,
        seq=LAST if run.withheld else run.seq,
        answer=answer_id,
        state=run.state,
        html=html,
        **again,
    )


def _landed(answer_id: UUID) -> tuple[UUID, bytes] | None:
    """The notice and whom it is for; nothing for somebody who may not read the chat any more."""
    message = record.answer(answer_id)
    run = message.run
    assert run is not None
    if run.person is None or not access.chats_of(run.person).filter(pk=message.chat_id).exists():
        return None
    url = reverse("chat", args=[message.chat_id])
    frame = dump(Tell.LANDED, chat=message.chat_id, answer=answer_id, title=str(message.chat), url=url, state=run.state)
    return run.person.pk, frame


def close(tail: str, issued: Collection[int] = ()) -> tuple[str, str]:
    """The HTML of the closed blocks of a text, and its open tail."""
    closed, open_tail = split_closed(tail)
    return (str(render(closed, issued=issued)), open_tail) if closed else ("", tail)


def _stored_frames(run_id: UUID, seen: int) -> list[bytes]:
    rows = RunEvent.objects.filter(run_id=run_id, seq__gt=seen).values_list("kind", "data", "seq")
    numbered = ((kind, seq, data) for kind, content, last in rows for seq, data in pieces(kind, content, last))
    return [_stored_frame(run_id, seq, RunEventKind(kind), data) for kind, seq, data in numbered if seq > seen]


def _stored_frame(run_id: UUID, seq: int, kind: RunEventKind, data: str) -> bytes:
    about: dict[str, Any] = {"run": run_id, "seq": seq}
    match kind:
        case RunEventKind.DELTA:
            return dump(Tell.DELTA, text=data, **about)
        case RunEventKind.REASONING:
            return dump(Tell.REASONING, text=data, **about)
        case RunEventKind.STEP:
            return dump(Tell.STEP, **orjson.loads(data), **about)
        case RunEventKind.EVIDENCE:
            return dump(Tell.EVIDENCE, html=evidence_html(run_id, orjson.loads(data)), **about)
        case RunEventKind.DECISION:
            decision = orjson.loads(data)
            known = catalog.load_sync()
            return _decision_frame(decision["model"], decision["reason"], decision["mode"], known, about)
        case RunEventKind.FAILING:
            failing = orjson.loads(data)
            return dump(Tell.FAILING, text=f"{failing['model']}: {failing['failure']['cause']}", **about)


def _decision_frame(model: str, reason: str, mode: str, known: catalog.Catalog, about: dict[str, Any]) -> bytes:
    candidate = known.candidates.get(model)
    mark = candidate.mark if candidate else 0
    price = float(candidate.price_output) if candidate and candidate.price_output is not None else None
    return dump(Tell.DECISION, model=model, mark=mark, reason=reason, mode=mode, price=price, **about)
