"""Group commit: one thread writes for the live path, and what waits together commits together.

A commit and a thread hop cost more than the rows of one turn, so under load they are shared: a burst of
two hundred questions opens in a few transactions instead of two hundred. It also makes this process its
own only writer on SQLite, so no message is refused because the database is locked. It knows nothing of
what is written.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import close_old_connections, connection, transaction

T = TypeVar("T")

MOST_AT_ONCE = 64  # jobs in one transaction: bounds how long the first of them waits for the last


@dataclass(slots=True)
class _Job:
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Jobs run in the order in which they were submitted, each in its own savepoint."""

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    async def submit(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a transaction and return its result once that is committed."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop)
        with self._ready:
            self._jobs.append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="writer", daemon=True)
                self._thread.start()
            self._ready.notify()
        result: T = await job.future
        return result

    def _write(self) -> None:
        while True:
            with self._ready:
                if not self._jobs and not self._ready.wait_for(lambda: self._jobs, timeout=30):
                    self._thread = None
                    connection.close()
                    return
                batch = [self._jobs.popleft() for _ in range(min(len(self._jobs), MOST_AT_ONCE))]
            self._commit(batch)
            _hand_back(batch)

    def _commit(self, batch: list[_Job]) -> None:
        try:
            close_old_connections()
            with transaction.atomic():
                for job in batch:
                    try:
                        with transaction.atomic(savepoint=len(batch) > 1):
                            job.result = job.work()
                    except Exception as error:
                        if len(batch) == 1:
                            raise
                        job.error = error
        except Exception as error:
            for job in batch:
                job.error = job.error or error


def _hand_back(batch: list[_Job]) -> None:
    for loop in {job.loop for job in batch}:
        mine = [job for job in batch if job.loop is loop]
        try:
            loop.call_soon_threadsafe(_resolve, mine)
        except RuntimeError:
            pass  # that loop closed while we wrote; nobody waits any more


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


writer = Writer()
