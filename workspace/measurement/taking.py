"""Whose a measurement is: taken by one process, kept by signs of life, paused, and taken again when its process died.

It knows the row and nothing of what is measured.

Who has it may be paused, or taken for dead, while a model still writes an answer: whoever takes it then must not ask
for that answer again, and pay for it twice. So a process *claims* each call: one UPDATE, which fails unless the
measurement is its own, names the run in the row in the transaction that opens the run, and the run's end takes the
name out in the transaction that keeps its answer. Taking a measurement changes the same row, so a claim is either seen
by the one that takes it, who waits for that run to end, or it fails and nobody is asked. A run whose process died is
given up as every run is, by its own signs of life.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils import timezone

from workspace.hub import PROCESS
from workspace.measurement.models import GOING, Measurement
from workspace.router import run_rows
from workspace.router.models import Run
from workspace.router.states import RunState
from workspace.writes import writer

State = Measurement.State
BEAT = 5.0  # seconds between signs of life
LOOK = 1.0  # seconds between two looks at a run of another process
DEAD_AFTER = timedelta(seconds=15)  # without one, another process goes on with it


def take(id: UUID) -> Measurement | None:
    """The measurement, if this process may go on with it."""
    taken = Measurement.objects.filter(_waits(), pk=id).update(
        state=State.RUNNING, worker=PROCESS, heartbeat=timezone.now(), why=""
    )
    return Measurement.objects.select_related("suite", "owner").get(pk=id) if taken else None


def claim(id: UUID, run_id: UUID) -> bool:
    """Say which run is about to ask, before it does; False when it may not: one asks at a time."""
    return bool(mine(id).filter(asking=None).update(asking=run_id))


def release(id: UUID, run_id: UUID) -> bool:
    """The run has ended; False when nobody waited for it: the measurement is gone."""
    return bool(Measurement.objects.filter(pk=id, asking=run_id).update(asking=None))


async def wait(id: UUID) -> None:
    """Until the run has ended that was claimed by whoever had it before."""
    while True:
        if not await writer.submit(lambda: _is_asking(id)):
            return
        await asyncio.sleep(LOOK)


def _is_asking(id: UUID) -> bool:
    """False when it is paused meanwhile, too. What a dead process had asked for is lost, and spent."""
    run = Run.objects.filter(pk__in=mine(id).values("asking")).first()
    if run is None:
        return False
    if run.state == RunState.RUNNING and not run_rows.reap(only=run.pk):
        return True
    run.refresh_from_db(fields=["cost"])
    Measurement.objects.filter(pk=id, asking=run).update(asking=None, aside=F("aside") + (run.cost or 0))
    return False


def mine(id: UUID) -> QuerySet[Measurement]:
    """The measurement while this process has it: not once it is paused, or taken by another."""
    return Measurement.objects.filter(pk=id, state=State.RUNNING, worker=PROCESS)


async def keep_beating(id: UUID) -> None:
    """Say that this process lives, however long one answer takes."""
    while True:
        await asyncio.sleep(BEAT)
        await writer.submit(lambda: mine(id).update(heartbeat=timezone.now()))


def finish(id: UUID) -> None:
    mine(id).update(state=State.DONE, finished=timezone.now(), worker="", heartbeat=None)


def pause(measurement: Measurement, why: str = "Somebody paused it.") -> None:
    Measurement.objects.filter(pk=measurement.pk, state__in=GOING).update(
        state=State.PAUSED, why=why[:300], worker="", heartbeat=None
    )


def waiting() -> list[UUID]:
    """Measurements that somebody should go on with."""
    return list(Measurement.objects.filter(_waits()).order_by("created").values_list("pk", flat=True))


def running() -> list[UUID]:
    """Measurements that some process has, or had when it died."""
    return list(Measurement.objects.filter(state=State.RUNNING).values_list("pk", flat=True))


def revive() -> list[UUID]:
    """Give back what dead processes had; each is told to one caller alone, who queues it."""
    dead = Measurement.objects.filter(_dead()).values_list("pk", flat=True)
    return [id for id in dead if Measurement.objects.filter(_dead(), pk=id).update(state=State.QUEUED, worker="")]


def forsake() -> None:
    """The only process of a workspace starts: whoever measured before is dead."""
    Measurement.objects.filter(state=State.RUNNING).exclude(worker=PROCESS).update(heartbeat=None)


def _waits() -> Q:
    return Q(state=State.QUEUED) | _dead()


def _dead() -> Q:
    return Q(state=State.RUNNING) & (Q(heartbeat=None) | Q(heartbeat__lt=timezone.now() - DEAD_AFTER))
