"""Answers that nobody waits for: a background route's run is queued in its row, written by a worker, and told when it
lands in its place.

The queue is only a way to wake a worker. What is to be done stands in the run's row, so a lost message or a killed
worker costs nothing: what is still queued, or was interrupted, is queued again at the next start.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from django.db.models import Q

from chat import turns
from chat.models import Message
from workspace.router.states import RunState


async def write(answer_id: UUID) -> None:
    """Write a queued answer, or go on with an interrupted one; nothing when somebody else has taken it."""
    if run := await turns.take_up(answer_id):
        await run.task


def waiting(runs: Collection[UUID] | None = None) -> list[UUID]:
    """The answers that a worker should write: queued, or interrupted in the background; of these runs, or of all."""
    left = Q(run__state=RunState.QUEUED) | Q(
        run__state=RunState.INTERRUPTED, run__decision__mode="background", run__failure__code="interrupted"
    )
    found = Message.objects.filter(left)
    if runs is not None:
        found = found.filter(run_id__in=runs)
    return list(found.order_by("pk").values_list("pk", flat=True))
