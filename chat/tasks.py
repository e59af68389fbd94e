"""Background answers in Celery: a task is one call of a function that a test can call too."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready

from chat import background
from chat.replay import making
from workspace import loops


@shared_task
def write_answer(answer_id: str) -> None:
    """In the server it only directs, and the answer is written on the server's loop, several at once; a worker's task
    lasts as long as the answer."""
    written = loops.submit(background.write(UUID(answer_id)))
    if loops.is_own():
        written.result()


@shared_task
def make_replay(replay_id: str) -> None:
    made = loops.submit(making.make(UUID(replay_id)))
    if loops.is_own():
        made.result()


def queue_replays(replay_ids: Collection[UUID]) -> None:
    for replay_id in replay_ids:
        make_replay.delay(str(replay_id))


def queue(answer_ids: Collection[UUID]) -> None:
    for answer_id in answer_ids:
        write_answer.delay(str(answer_id))


def go_on(runs: Collection[UUID] | None = None) -> None:
    """With what was cut off: of these runs, whose process died, or whatever is left."""
    queue(background.waiting(runs))
    queue_replays(making.waiting(runs))


@worker_ready.connect
def _resume(**kwargs: object) -> None:
    go_on()
