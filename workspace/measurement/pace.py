"""When a measurement may ask: not while it is paused or has spent enough, no model more often than it may, and not on
and on when everything fails. Every call goes through here, those that count for nothing too."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from workspace.measurement import progress, taking
from workspace.measurement.models import Measurement
from workspace.router.states import RunState
from workspace.writes import writer

LOOK = 5.0  # seconds between two looks for a pause, while a model is waited for
MOST_FAILED = 10  # calls in a row, whoever was asked: something is down


class Pace:
    def __init__(self, measurement: Measurement) -> None:
        self._id = measurement.pk
        self._every = 60 / measurement.per_minute if measurement.per_minute else 0.0
        self._due: dict[str, float] = {}
        self._failed = 0

    async def may_ask(self, model: str) -> bool:
        """Once the model's turn has come; False when nobody is to be asked any more."""
        while True:
            if not await writer.submit(lambda: _may_go_on(self._id)):
                return False
            wait = self._due.get(model, 0.0) - time.monotonic()
            if wait <= 0:
                self._due[model] = time.monotonic() + self._every
                return True
            await asyncio.sleep(min(wait, LOOK))

    async def goes_on(self, ended: RunState) -> bool:
        """Whether the next one is asked. Where the server stops, its next start goes on."""
        self._failed = self._failed + 1 if ended is RunState.FAILED else 0
        if self._failed == MOST_FAILED:
            await writer.submit(lambda: _pause(self._id))
        return ended is not RunState.INTERRUPTED and self._failed < MOST_FAILED


def _may_go_on(id: UUID) -> bool:
    """False when it is paused, taken by another, or has spent what it may."""
    measurement = taking.mine(id).first()
    if measurement is None:
        return False
    if measurement.budget is not None and progress.spent(measurement) >= measurement.budget:
        taking.pause(measurement, f"Its budget of ${measurement.budget:f} is spent. Raise it, and go on.")
        return False
    return True


def _pause(id: UUID) -> None:
    if measurement := taking.mine(id).first():
        taking.pause(
            measurement, f"{MOST_FAILED} calls in a row failed. See why, then go on, or ask the failed ones again."
        )
