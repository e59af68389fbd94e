"""Measurements in Celery: a task is one call of a function that a test can call too."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings

from workspace import loops
from workspace.measurement import measuring, taking


@shared_task
def go_on(measurement_id: str) -> None:
    """In the server it only directs; a worker's task lasts as long as the measurement."""
    running = loops.submit(measuring.measure(UUID(measurement_id)))
    if loops.is_own():
        running.result()


def queue(measurement_id: UUID) -> None:
    go_on.delay(str(measurement_id))


def revive() -> None:
    """Whatever a worker had that died is queued for another, though none starts."""
    for id in taking.revive():
        queue(id)


@worker_ready.connect
def _resume(**kwargs: object) -> None:
    if settings.REDIS_URL:  # another worker's that is dead is not known to be, yet
        for id in taking.running():
            go_on.apply_async([str(id)], countdown=taking.DEAD_AFTER.total_seconds() + 1)
    else:
        taking.forsake()
    for id in taking.waiting():
        queue(id)
