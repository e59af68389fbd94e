"""A lane as its chat's tabs hear it. One of a blind comparison tells nothing but text, and all lanes at one pace.

Lockstep: every lane is shown as far as the slowest one that still writes has come, in steps of one size, so neither
who is quick nor who speaks in bursts can be told. Only an answer's length shows, when it ends.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.db import transaction

from chat import judging, record
from chat.compare.board import board_of, gathered_html, lane_html
from chat.compare.masks import mask, names_in, sure
from chat.compare.rows import OpenedLane
from chat.frames import dump
from chat.live import Answer, let_go, linger
from chat.models import Comparison
from chat.record import Opened
from workspace.hub import hub
from workspace.ids import new_id
from workspace.router import catalog
from workspace.router.models import Run
from workspace.router.run_rows import Outcome
from workspace.router.runs import Numbered
from workspace.router.states import RunState
from workspace.types import Delta, Event, EvidenceFound, plain
from workspace.wire import Tell

TICK = 0.05  # seconds
PATIENCE = 2.0  # seconds that another process is waited for
STEP = 60  # characters a tick, at most


class LaneAnswer(Answer):
    """The observer of one lane. It answers here and now, whatever its route says: its neighbours are waited for."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.hands_over = False

    async def settled(self, outcome: Outcome) -> None:
        await self._hub.tell_others(self._topic, self._frames[self._told_others :])
        await announce_lane(self.answer_id)
        judge(self.answer_id, outcome)

    async def _frame(self, seq: int, event: Event) -> bytes:
        if isinstance(event, EvidenceFound):
            return await self._gathered(seq, event)
        return await super()._frame(seq, event)

    async def _gathered(self, seq: int, event: EvidenceFound) -> bytes:
        """The board shows it once, from whichever lane comes first."""
        self._issued = {e.number for e in event.evidence}
        html = await asyncio.to_thread(gathered_html, [plain(e) for e in event.evidence])
        return dump(Tell.EVIDENCE, html=html, run=self.run_id, seq=seq)


class BlindAnswer(LaneAnswer):
    """A lane whose writer is withheld. Its frames have numbers of their own: the journal's would tell who is quick.
    What it said before it was interrupted is its first frame: the page shows nothing of a lane that is held back."""

    def __init__(self, *args: Any, pace: Pace, asked: str, so_far: str = "", closed: str = "", **options: Any) -> None:
        super().__init__(*args, **options)
        self._base = 0
        self._pace = pace
        self._said = asked
        self.text = so_far
        self.shown = len(so_far)
        self.is_over = False
        self._outcome: Outcome | None = None
        if so_far:
            about = {"run": self.run_id, "seq": 1}
            self._frames.append(dump(Tell.BLOCK, html=closed, tail=self._tail, **about))
        pace.join(self)

    @property
    def reached(self) -> int:
        """How far it can be shown: to its end, or to where a name may be under way."""
        return len(self.text) if self.is_over else max(self.shown, sure(self.text))

    async def heard(self, numbered: Numbered) -> None:
        match numbered.event:
            case Delta(text):
                self.text += text
                self._pace.wake()
            case EvidenceFound(evidence):
                self._said += "".join(passage.text for passage in evidence)
                self._frames.append(await self._gathered(self.seq + 1, numbered.event))
                await self._hub.tell(self._topic, self._frames[-1])

    async def committed(self, seq: int) -> None:
        """Told to other processes as it is told here."""

    async def settled(self, outcome: Outcome) -> None:
        self.text = outcome.text
        self.is_over = True
        self._outcome = outcome
        self._pace.wake()

    async def show(self, upto: int) -> None:
        """Tell the text up to that character."""
        names = names_in(await catalog.load())
        until = min(upto, len(self.text))
        piece = mask(self.text[: self.reached], names, self._said)[self.shown : until]
        self.shown = max(self.shown, until)
        if piece:
            self._frames.append(await self._delta(piece, {"run": self.run_id, "seq": self.seq + 1}))
            await self._hub.tell(self._topic, self._frames[-1])

    async def retell(self, reply: bytes) -> None:
        """To another process, for somebody who came late, under the topic that it names."""
        await self._hub.tell(reply.decode(), b"\n".join(self._frames))

    async def end(self) -> None:
        """Who comes later must hear it too, while other lanes are being written. Marks would tell who wrote it: they
        wait until it is revealed, which it may have been meanwhile."""
        self._frames.append(await announce_lane(self.answer_id, seq=self.seq + 1))
        if self._outcome and not await Run.objects.filter(pk=self.run_id, withheld=True).aexists():
            judge(self.answer_id, self._outcome)


class Pace:
    """The lanes of one blind comparison in lockstep, until the last has been shown whole."""

    def __init__(self, lanes: int) -> None:
        self._expected = lanes
        self._lanes: list[BlindAnswer] = []
        self._awake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def join(self, lane: BlindAnswer) -> None:
        self._lanes.append(lane)
        linger(lane)
        if len(self._lanes) == self._expected:
            self._task = asyncio.create_task(self._run(), name="pace of a blind comparison")
            _paces.add(self._task)
            self._task.add_done_callback(_paces.discard)

    def wake(self) -> None:
        self._awake.set()

    async def _run(self) -> None:
        for lane in self._lanes:
            await hub().listen(_asked(lane.run_id), lane.retell)
        try:
            await self._show_all()
        finally:
            for lane in self._lanes:
                await hub().leave(_asked(lane.run_id), lane.retell)
                let_go(lane)

    async def _show_all(self) -> None:
        shown = max(lane.shown for lane in self._lanes)
        left = list(self._lanes)
        while left:
            reached = min((lane.reached for lane in left if not lane.is_over), default=shown + STEP)
            if reached <= shown:
                await self._awake.wait()
                self._awake.clear()
                continue
            shown = min(reached, shown + STEP)
            for lane in list(left):
                await lane.show(shown)
                if lane.is_over and lane.shown >= len(lane.text):
                    await lane.end()
                    left.remove(lane)
            await asyncio.sleep(TICK)


def lane_observer(opened: Opened | OpenedLane, chat_id: UUID, *, pace: Pace | None, **how: Any) -> LaneAnswer:
    """Of a blind comparison, with the pace of its lanes."""
    assert opened.answer.run_id is not None
    ids = (chat_id, opened.answer.pk, opened.answer.run_id)
    if pace:
        return BlindAnswer(*ids, pace=pace, asked=opened.request.prompt, **how)
    return LaneAnswer(*ids, **{name: value for name, value in how.items() if name not in ("so_far", "closed")})


async def told_elsewhere(run_id: UUID) -> list[bytes]:
    """What another process has told so far of a blind lane that it writes: nobody else knows. Nothing where it does not
    answer in time."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    reply = f"{_asked(run_id)}.{new_id().hex}"

    async def hear(frames: bytes) -> None:
        if not told.done():
            told.set_result(frames)

    await hub().listen(reply, hear)
    try:
        await hub().tell(_asked(run_id), reply.encode())
        async with asyncio.timeout(PATIENCE):
            return (await told).splitlines()
    except TimeoutError:
        return []
    finally:
        await hub().leave(reply, hear)


def _asked(run_id: UUID) -> str:
    return f"told.{run_id}"


_paces: set[asyncio.Task[None]] = set()  # the loop keeps only a weak hold of a task


async def announce_lane(answer_id: UUID, *, seq: int | None = None) -> bytes:
    """Tell a lane as the page would draw it; when it was the last, the whole board is drawn anew. The frame."""
    frame, chat_id, over = await database_sync_to_async(_lane_frame, thread_sensitive=False)(answer_id, seq)
    topic = f"chat.{chat_id}"
    await hub().tell(topic, frame)
    if over:
        await hub().tell(topic, dump(Tell.VOTED, chat=chat_id, comparison=over))
    return frame


def judge(answer_id: UUID, outcome: Outcome) -> None:
    if outcome.state is RunState.DONE and outcome.manifest.support:
        judging.begin(answer_id, partial(announce_again, answer_id))


def judge_revealed(comparison: Comparison) -> None:
    """Let the lanes of a comparison that was blind be judged, from a thread, once that is committed."""
    done = {"answer__run__state": RunState.DONE, "answer__run__judgement": None}
    answers = list(comparison.lanes.filter(**done).values_list("answer", flat=True))

    async def begin() -> None:
        for answer in answers:
            judging.begin(answer, partial(announce_again, answer))

    transaction.on_commit(async_to_sync(begin))


async def announce_again(answer_id: UUID) -> None:
    """Its support has been judged since."""
    await announce_lane(answer_id)


def _lane_frame(answer_id: UUID, seq: int | None) -> tuple[bytes, UUID, UUID | None]:
    message = record.answer(answer_id)
    run = message.run
    assert run is not None
    board = board_of(message)
    frame = dump(
        Tell.SETTLED,
        chat=message.chat_id,
        run=run.pk,
        seq=seq or run.seq,
        answer=answer_id,
        state=run.state,
        html=lane_html(board, message),
    )
    return frame, message.chat_id, board.comparison.pk if board.is_over else None
