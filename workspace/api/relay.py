"""A run that somebody waits for at the other end of HTTP: begun, heard, and stopped when they leave.

It is a stored run like every other. Its row is written while the provider is already asked, but nobody hears a word
of it before the row is there.
"""

from __future__ import annotations

import asyncio
from functools import partial

from workspace.api.refusals import from_failure
from workspace.api.tokens import Caller
from workspace.ids import new_id
from workspace.router.run_rows import INTERRUPTED, Outcome, open_row
from workspace.router.runs import LiveRun, Numbered, registry
from workspace.router.states import RunState
from workspace.types import Decided, Decision, Delta, Event, Failure, Reasoning, Request
from workspace.writes import writer

BROKEN = Failure(code="internal", cause="Onepane itself failed on this answer.", action="The log has the details.")


class Relay:
    """The observer of one run, and its only listener. ``start`` it, wait for ``begun``, then read on; ``close`` stops a
    run that is not over, and may be called at any time."""

    hands_over = False  # somebody waits for the answer itself

    def __init__(self, request: Request, caller: Caller) -> None:
        self.run_id = new_id()
        self.decision: Decision | None = None
        self.outcome: Outcome | None = None
        self._request = request
        self._heard: asyncio.Queue[Event | Outcome | None] = asyncio.Queue()
        self._opened = asyncio.ensure_future(
            writer.submit(partial(open_row, pk=self.run_id, person_id=caller.person_id))
        )
        self._live: LiveRun

    @property
    def model(self) -> str:
        return self._live.model

    @property
    def reason(self) -> str:
        """Why this model; a fallback's says that the chosen one failed."""
        if self.decision is None:
            return ""
        chosen, reason = self.decision.model, self.decision.reason
        return reason if self.model == chosen else f"fallback: {chosen} failed"

    async def start(self) -> None:
        self._live = await registry().start(self.run_id, self._request, self)
        self._live.task.add_done_callback(lambda _: self._heard.put_nowait(None))

    async def begun(self) -> Delta | Reasoning | None:
        """The first piece; ``None`` when the run is over without one. Raises Refusal when it failed."""
        piece = await self.next()
        await self._opened
        return piece

    async def next(self) -> Delta | Reasoning | None:
        """The next piece, with all that have come since; ``None`` at the end, when ``outcome`` is there. Raises
        Refusal for an answer that failed."""
        while True:
            match await self._heard.get():
                case Delta() | Reasoning() as piece:
                    return piece
                case Decided(decision):
                    self.decision = decision
                case Outcome() as outcome:
                    self._end(outcome)
                    return None
                case None:
                    raise from_failure(BROKEN, run=str(self.run_id))

    async def whole(self) -> Outcome:
        """Once the answer is complete. Raises Refusal when it failed."""
        while await self.next() is not None:
            pass
        await self._opened
        assert self.outcome is not None
        return self.outcome

    def close(self) -> None:
        if live := registry().get(self.run_id):
            live.stop()

    async def heard(self, numbered: Numbered) -> None:
        self._heard.put_nowait(numbered.event)

    def settle(self, outcome: Outcome) -> None:
        """Nothing beside the run itself is kept."""

    async def settled(self, outcome: Outcome) -> None:
        self._heard.put_nowait(outcome)

    async def handed_over(self) -> None:
        """Never: nothing is left to a worker."""

    async def committed(self, seq: int) -> None:
        """Nobody in another process listens."""

    def _end(self, outcome: Outcome) -> None:
        self.outcome = outcome
        if outcome.state not in (RunState.DONE, RunState.STOPPED):
            raise from_failure(outcome.failure or INTERRUPTED, run=str(self.run_id))
