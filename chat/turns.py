"""The story of a turn: its rows are opened, everybody in the chat is told, its run starts.

A consumer, a command and a test call the same four functions. They return as soon as the rows are
committed; the answer is written by the run, whoever listens.
"""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.urls import reverse

from chat import record
from chat.compare import joining, rows
from chat.compare.board import board_html
from chat.compare.lanes import Pace, lane_observer
from chat.compare.rows import OpenedComparison
from chat.frames import Compare, Continue, Fuse, Join, Refused, Retry, Send, Stop, dump
from chat.live import Answer, announce_settled, close, topic_of
from chat.models import Comparison, Lane, Message
from chat.record import Opened
from retrieval.search import Found
from workspace.accounts.sessions import topic_of as topic_of_person
from workspace.hub import hub
from workspace.router.grounding import look_up
from workspace.router.runs import LiveRun, registry
from workspace.wire import Tell
from workspace.writes import writer


async def send(person_id: UUID, frame: Send, *, waits: bool = False) -> Opened:
    """``waits`` is for a caller that wants the answer itself: a background route then answers here and now."""
    return await _begin(await _open(lambda: record.open_send(person_id, frame), frame), frame.client_id, waits=waits)


async def compare(person_id: UUID, frame: Compare) -> tuple[OpenedComparison, bytes]:
    """All lanes begin at once, and wait for one search. With the frame that whoever listens has been told."""
    opened: OpenedComparison = await _open(lambda: rows.open_compare(person_id, frame), frame)
    told = await compared_frame(opened, frame.client_id)
    if opened.fresh:
        await hub().tell(topic_of(opened.chat.pk), told)
        await _moved(str(person_id), opened.chat.pk, opened.lanes[0].answer.pk)
        looking = asyncio.create_task(look_up(opened.search)) if opened.search else None
        pace = Pace(len(opened.lanes)) if frame.blind else None
        for one in opened.lanes:
            observer = lane_observer(one, opened.chat.pk, pace=pace)
            await registry().start(observer.run_id, one.request, observer, looking=looking)
    return opened, told


async def join(person_id: UUID, frame: Join) -> OpenedComparison:
    """Tabs draw the board anew, and hear the lane from there on."""
    opened: OpenedComparison = await _open(lambda: joining.open_join(person_id, frame), frame)
    for one in opened.lanes:
        await hub().tell(topic_of(opened.chat.pk), voted_frame(opened))
        observer = lane_observer(one, opened.chat.pk, pace=None)
        await registry().start(observer.run_id, one.request, observer)
    return opened


def voted_frame(opened: OpenedComparison) -> bytes:
    return dump(Tell.VOTED, chat=opened.chat.pk, comparison=opened.comparison.pk)


async def fuse(person_id: UUID, frame: Fuse) -> Opened:
    return await _begin(await _open(lambda: rows.open_fuse(person_id, frame), frame), frame.client_id)


async def retry(person_id: UUID, frame: Retry) -> Opened:
    return await _begin(
        await _open(lambda: rows.fused_again(record.open_retry(person_id, frame), frame.message), frame),
        frame.client_id,
    )


async def resume(person_id: UUID, frame: Continue) -> Opened:
    """Of a blind comparison, every interrupted lane goes on: one alone would show its pace."""
    opened: list[Opened] = await _open(lambda: rows.open_continue(person_id, frame), frame)
    first = opened[0]
    pace = Pace(len(opened)) if first.answer.run and first.answer.run.withheld else None
    searches = [one.request for one in opened if one.request.evidence is None and one.request.grounding.is_wanted]
    looking = asyncio.create_task(look_up(searches[0])) if len(searches) > 1 else None
    for one in opened:
        await _begin(one, None, pace=pace, looking=looking if one.request.evidence is None else None)
    return first


async def stop(person_id: UUID, frame: Stop) -> None:
    run_id = await writer.submit(lambda: record.running_answer(person_id, frame))
    if await writer.submit(lambda: record.stop_queued(frame.message, run_id)):
        await announce_settled(frame.chat, frame.message)
    else:
        await registry().stop(run_id)


async def take_up(answer_id: UUID) -> LiveRun | None:
    """A worker begins or goes on with an answer that waits; ``None`` when another has it."""
    opened = await writer.submit(lambda: rows.open_background(answer_id))
    if opened is None:
        return None
    await _begin(opened, None, background=True)
    return registry().get(opened.answer.run_id) if opened.answer.run_id else None


async def compared_frame(opened: OpenedComparison, client_id: UUID) -> bytes:
    """What tabs need to show a comparison before a word of it has come."""
    answer = opened.lanes[0].answer if opened.lanes else await _first_answer(opened.comparison)
    html = await database_sync_to_async(board_html)(answer)
    return dump(
        Tell.COMPARED,
        chat=opened.chat.pk,
        client_id=client_id,
        title=opened.chat.title,
        url=reverse("chat", args=[opened.chat.pk]),
        parent=opened.question.parent_id,
        question=_question(opened.question),
        html=html,
    )


async def _first_answer(comparison: Comparison) -> Message:
    lane = await Lane.objects.select_related("answer").aget(comparison=comparison, place=0, replaced=False)
    return lane.answer


def started_frame(opened: Opened, client_id: UUID | None, *, closed: str = "", tail: str = "") -> bytes:
    """What tabs need to show the turn before a word of it has come; of a continued answer, what it has already."""
    question = opened.question
    withheld = bool(opened.answer.run and opened.answer.run.withheld)
    return dump(
        Tell.STARTED,
        chat=opened.chat.pk,
        client_id=client_id,
        run=opened.answer.run_id,
        answer=opened.answer.pk,
        seq=0 if withheld else opened.seq,
        title=opened.chat.title,
        url=reverse("chat", args=[opened.chat.pk]),
        parent=question.parent_id,
        question=_question(question) if opened.asked else None,
        sibling_of=opened.sibling_of,
        model="" if withheld else opened.request.model,
        closed="" if withheld else closed,
        tail="" if withheld else tail,
    )


async def _open(opening: Any, frame: Send | Retry | Continue | Fuse | Join) -> Any:
    try:
        return await writer.submit(opening)
    except Refused as refused:
        refused.client_id = refused.client_id or str(getattr(frame, "client_id", ""))
        raise


async def _begin(
    opened: Opened,
    client_id: UUID | None,
    *,
    waits: bool = False,
    background: bool = False,
    pace: Pace | None = None,
    looking: asyncio.Task[Found] | None = None,
) -> Opened:
    """Tell first, then start: nobody hears a word of an answer that they have not heard begin."""
    if opened.fresh:
        run_id = opened.answer.run_id
        assert run_id is not None
        closed, tail = await asyncio.to_thread(close, opened.request.so_far) if opened.request.so_far else ("", "")
        started = started_frame(opened, client_id, closed=closed, tail=tail)
        await hub().tell(topic_of(opened.chat.pk), started)
        if client_id and not background:
            await _moved(opened.request.person_id, opened.chat.pk, opened.answer.pk)
        how: dict[str, Any] = {"seq": opened.seq, "tail": tail, "hands_over": not waits, "background": background}
        if opened.is_lane:
            how |= {"so_far": opened.request.so_far, "closed": closed}
            observer: Answer = lane_observer(opened, opened.chat.pk, pace=pace, **how)
        else:
            observer = Answer(opened.chat.pk, opened.answer.pk, run_id, **how)
        await registry().start(
            run_id, opened.request, observer, seq=opened.seq, reasoning=opened.reasoning, decided=opened.decided,
            looking=looking,
        )  # fmt: skip
    return opened


async def _moved(person_id: str, chat_id: UUID, tip: UUID) -> None:
    """Whoever asks stands there: their other tabs follow."""
    if person_id:
        await hub().tell(topic_of_person(UUID(person_id)), dump(Tell.MOVED, chat=chat_id, tip=tip))


def _question(question: Message) -> dict[str, Any]:
    parts = record.parts_of(question)
    return {
        "id": question.pk,
        "author": question.who,
        "text": "\n\n".join(part.text for part in parts if part.kind == "text"),
        "images": [reverse("blob", args=[part.digest]) for part in parts if part.kind == "image"],
    }
