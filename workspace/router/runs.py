"""Runs as durable things: started, numbered, journalled, stopped, settled.

A run belongs to no socket. It is executed by one process, which numbers its events, joins deltas that come
within ``COALESCE`` into one, writes them to the journal and tells its observer. It knows rows of runs, and
nothing of chats: what else is settled with a run is its observer's business, in the same transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import orjson
from django.conf import settings
from django.utils import timezone

from retrieval.search import Found
from workspace.hub import hub
from workspace.router import overrides
from workspace.router.decisions import DecisionLog
from workspace.router.execute import Execution
from workspace.router.journal import Entry, Journal
from workspace.router.models import Run
from workspace.router.run_rows import INTERRUPTED, Outcome, queue_row, settle_row
from workspace.router.states import RunState
from workspace.types import (
    AttemptFailed,
    Decided,
    Decision,
    Delta,
    Event,
    EvidenceFound,
    Failure,
    Finished,
    Reasoning,
    Request,
    StepTaken,
    UsageReported,
    canonical,
    plain,
)
from workspace.wire import RunEventKind
from workspace.writes import writer

logger = logging.getLogger(__name__)

COALESCE = 0.04  # seconds: under what an eye notices, and it halves the frames of a fast model
HEARTBEAT = 2.0  # seconds: one UPDATE for all runs of the process


@dataclass(frozen=True, slots=True)
class Numbered:
    """An event as the journal has it and listeners hear it."""

    seq: int
    event: Event


class Observer(Protocol):
    @property
    def hands_over(self) -> bool:
        """Whether a run whose route is a background one is left to a worker."""

    async def handed_over(self) -> None:
        """After the run's row is queued."""

    async def heard(self, numbered: Numbered) -> None:
        """An event, in order. The run waits, so that order holds."""

    def settle(self, outcome: Outcome) -> None:
        """In the writer's thread and the transaction that settles the run: write what belongs to it."""

    async def settled(self, outcome: Outcome) -> None:
        """After that transaction is committed."""

    async def committed(self, seq: int) -> None:
        """Events up to ``seq`` are on disk: other processes may hear them now."""


class LiveRun:
    """One run in this process, from its start until it has settled."""

    def __init__(
        self,
        run_id: UUID,
        request: Request,
        observer: Observer,
        registry: Registry,
        *,
        seq: int,
        reasoning: str,
        decided: Decision | None,
        looking: asyncio.Future[Found] | None,
    ) -> None:
        self.run_id = run_id
        self.request = request
        self.observer = observer
        self.seq = seq
        self._registry = registry
        self._execution = Execution(request, run_id=str(run_id), decided=decided, looking=looking)
        self._text: list[str] = [request.so_far] if request.so_far else []
        self._reasoning: list[str] = [reasoning] if reasoning else []
        self._pending: list[str] = []
        self._pending_kind: type[Delta] | type[Reasoning] = Delta
        self._spoke = 0.0
        self._flushing = asyncio.Lock()
        self._settling = False
        self._final = RunState.STOPPED  # what a cancellation means; a shutdown changes it
        self.task = asyncio.create_task(self._go(), name=f"run {run_id}")

    @property
    def model(self) -> str:
        """The name of the model that answers now; a fallback's once the chosen one failed."""
        return self._execution.model

    @property
    def has_pending(self) -> bool:
        return bool(self._pending)

    @property
    def quiet(self) -> bool:
        """Whether a flush can go on without waiting: no block of text may be closed by a new line."""
        return not self._flushing.locked() and not any("\n" in piece for piece in self._pending)

    def stop(self, final: RunState = RunState.STOPPED) -> None:
        """End the answer where it is. One that is settling is over already, and must not be torn from its rows."""
        if not self._settling:
            self._final = final
            self.task.cancel()

    async def _go(self) -> None:
        failure: Failure | None = None
        state = RunState.DONE
        handed: Decision | None = None
        try:
            async with contextlib.aclosing(self._execution.events()) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        failure = event.failure
                        state = RunState.FAILED if failure else RunState.DONE
                    elif not isinstance(event, UsageReported):  # the manifest has it
                        await self._take(event)
                    if isinstance(event, Decided) and self._hands_over(event.decision):
                        handed = event.decision
                        break
        except asyncio.CancelledError:
            state = self._final
            failure = INTERRUPTED if state is RunState.INTERRUPTED else None
        except Exception:
            logger.exception("Run %s broke.", self.run_id)
            state = RunState.FAILED
            failure = Failure(
                code="internal", cause="Onepane itself failed on this answer.", action="Retry. The log has the details."
            )
        self._settling = True
        await asyncio.shield(self._hand_over(handed) if handed else self._settle(state, failure))

    def _hands_over(self, decision: Decision) -> bool:
        return decision.mode == "background" and self.request.mode == "interactive" and self.observer.hands_over

    async def _hand_over(self, decision: Decision) -> None:
        """Its events are stored before the run leaves this process: who joins then finds them there or here."""
        await self._take(StepTaken("waiting"))
        await self._registry.journal.flush()
        self._registry.gone(self)
        await writer.submit(lambda: queue_row(self.run_id, decision, self.seq))
        await self.observer.handed_over()

    async def _take(self, event: Event) -> None:
        """Deltas wait for the next tick, but the first goes at once; all else goes at once, in order."""
        if isinstance(event, Delta | Reasoning):
            if self._pending and type(event) is not self._pending_kind:
                await self.flush()
            self._pending_kind = type(event)
            self._pending.append(event.text)
            if time.monotonic() - self._spoke >= COALESCE and self.quiet:
                await self.flush()
            else:
                self._registry.wake()
        else:
            await self.flush()
            await self._tell(event)

    async def flush(self) -> None:
        """Turn what is pending into one numbered event."""
        async with self._flushing:
            if self._pending:
                text = "".join(self._pending)
                self._pending.clear()
                (self._text if self._pending_kind is Delta else self._reasoning).append(text)
                self._spoke = time.monotonic()
                await self._tell(self._pending_kind(text))

    async def _tell(self, event: Event) -> None:
        self.seq += 1
        kind, data = _entry_of(event)
        self._registry.journal.append(Entry(self.run_id, self.seq, kind, data))
        await self.observer.heard(Numbered(self.seq, event))

    async def _settle(self, state: RunState, failure: Failure | None) -> None:
        try:
            await self.flush()
            text = "".join(self._text)
            manifest = self._execution.manifest(text, stopped=state is RunState.STOPPED)
            self.seq += 1
            outcome = Outcome(
                self.run_id, state, text, "".join(self._reasoning), manifest, failure, self.seq, self.request.person_id
            )
            self._registry.journal.drop(self.run_id)
            wrote = await writer.submit(lambda: self._write(outcome))
            await self.observer.settled(outcome)
            if wrote:
                self._registry.decisions.note(
                    outcome, routed=self._execution.routed(), shadow=self._execution.shadowed()
                )
        except Exception:
            logger.exception("Run %s could not be settled; the reaper will find it.", self.run_id)
        finally:
            self._registry.gone(self)
        if state is RunState.DONE and self.request.instead_of:
            await overrides.note(self.request.prompt, left=self.request.instead_of, taken=self.request.model)

    def _write(self, outcome: Outcome) -> bool:
        changed = settle_row(outcome)
        if changed:
            self.observer.settle(outcome)
        return changed


class Registry:
    """The runs of this process. One for each event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._runs: dict[UUID, LiveRun] = {}
        self._awake = asyncio.Event()
        self._flushes: set[asyncio.Task[None]] = set()
        self.journal = Journal(self._committed)
        self.decisions = DecisionLog()
        self._tasks = [
            asyncio.create_task(self._tick(), name="runs tick"),
            asyncio.create_task(self._beat(), name="runs heartbeat"),
            asyncio.create_task(self.decisions.drain(), name="runs decisions"),
        ]

    def get(self, run_id: UUID) -> LiveRun | None:
        return self._runs.get(run_id)

    def all(self) -> list[LiveRun]:
        return list(self._runs.values())

    def wake(self) -> None:
        self._awake.set()

    def gone(self, run: LiveRun) -> None:
        if self._runs.get(run.run_id) is run:
            del self._runs[run.run_id]

    async def start(
        self,
        run_id: UUID,
        request: Request,
        observer: Observer,
        *,
        seq: int = 0,
        reasoning: str = "",
        decided: Decision | None = None,
        looking: asyncio.Future[Found] | None = None,
    ) -> LiveRun:
        """Execute a run. A continued one goes on after ``seq`` and the text in ``request.so_far``; one that was queued
        has been ``decided``; runs that share their evidence share the search for it, ``looking``."""
        run = self._runs[run_id] = LiveRun(
            run_id, request, observer, self, seq=seq, reasoning=reasoning, decided=decided, looking=looking
        )
        if settings.REDIS_URL:
            await hub().listen(_control(run_id), self._control)
            run.task.add_done_callback(lambda _: asyncio.ensure_future(hub().leave(_control(run_id), self._control)))
        return run

    async def stop(self, run_id: UUID) -> None:
        """Stop a run wherever it is executed."""
        if run := self._runs.get(run_id):
            run.stop()
        else:
            await hub().tell_others(_control(run_id), [orjson.dumps({"stop": str(run_id)})])

    async def close(self) -> None:
        """The server stops: every run keeps its text and can be continued."""
        runs = self.all()
        for run in runs:
            run.stop(RunState.INTERRUPTED)
        await asyncio.gather(*(run.task for run in runs), return_exceptions=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.decisions.flush()
        await writer.submit(lambda: None)  # what was handed to the writer before is on disk now

    async def _control(self, frame: bytes) -> None:
        if run := self._runs.get(UUID(orjson.loads(frame)["stop"])):
            run.stop()

    async def _tick(self) -> None:
        """One timer for all runs: cheaper than one each, and frames leave together."""
        while True:
            await self._awake.wait()
            await asyncio.sleep(COALESCE)
            self._awake.clear()
            for run in self.all():
                if run.has_pending:
                    if run.quiet:
                        await run.flush()
                    else:
                        self._later(run.flush())

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        """Go on without waiting; the loop keeps only a weak hold of a task, so it is kept here."""
        task = asyncio.create_task(work)
        self._flushes.add(task)
        task.add_done_callback(self._flushes.discard)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT)
            if ids := list(self._runs):
                await writer.submit(lambda: Run.objects.filter(pk__in=ids).update(heartbeat=timezone.now()))

    async def _committed(self, entries: list[Entry]) -> None:
        last = {entry.run_id: entry.seq for entry in entries}
        for run_id, seq in last.items():
            if run := self._runs.get(run_id):
                await run.observer.committed(seq)


_registry: Registry | None = None


def registry() -> Registry:
    global _registry
    if _registry is None or _registry._loop is not asyncio.get_running_loop():
        _registry = Registry()
    return _registry


def _entry_of(event: Event) -> tuple[RunEventKind, str]:
    match event:
        case Delta(text):
            return RunEventKind.DELTA, text
        case Reasoning(text):
            return RunEventKind.REASONING, text
        case StepTaken(text):
            return RunEventKind.STEP, canonical({"text": text}).decode()
        case EvidenceFound(evidence):
            return RunEventKind.EVIDENCE, canonical([plain(e) for e in evidence]).decode()
        case Decided(decision):
            return RunEventKind.DECISION, canonical(plain(decision)).decode()
        case AttemptFailed(model, failure):
            return RunEventKind.FAILING, canonical({"model": model, "failure": plain(failure)}).decode()
        case _:
            raise TypeError(f"{type(event).__name__} is not an event of the journal")


def _control(run_id: UUID) -> str:
    return f"control.{run_id}"
