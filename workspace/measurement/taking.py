"""Whose a measurement is: taken by one process, kept by signs of life, paused, and taken again when its process died.

It knows the row and nothing of what is measured.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from workspace.hub import PROCESS
from workspace.measurement.models import GOING, Measurement
from workspace.writes import writer

State = Measurement.State
BEAT = 5.0  # seconds between signs of life
DEAD_AFTER = timedelta(seconds=15)  # without one, another process goes on with it


def take(id: UUID) -> Measurement | None:
    """The measurement, if this process may go on with it."""
    taken = Measurement.objects.filter(pk__in=waiting(), pk=id).update(
        state=State.RUNNING, worker=PROCESS, heartbeat=timezone.now(), why=""
    )
    return Measurement.objects.select_related("suite", "owner").get(pk=id) if taken else None


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
    found = Measurement.objects.filter(Q(state=State.QUEUED) | _dead())
    return list(found.order_by("created").values_list("pk", flat=True))


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


def _dead() -> Q:
    return Q(state=State.RUNNING) & (Q(heartbeat=None) | Q(heartbeat__lt=timezone.now() - DEAD_AFTER))
