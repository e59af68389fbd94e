"""The one thread that generates: every loaded model's batch gets a round in turn.

Whoever hands it an answer hears of it in an event loop, in one call for all that a round told.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import torch

from workspace.hosts.batch import Batch
from workspace.hosts.jobs import Failed, Job, Piece
from workspace.hosts.making import MAKING
from workspace.hosts.shortage import is_lost

logger = logging.getLogger(__name__)

NICE = 10  # the socket, and the server beside us, go before the next token
BROKE_DOWN = 70  # exit status
GONE = "the model was unloaded"


class Engine:
    """``hear`` is called in the loop with what was told, in order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, hear: Callable[[list[tuple[Job, Piece]]], None]) -> None:
        self._loop = loop
        self._hear = hear
        self._told: list[tuple[Job, Piece]] = []
        self._batches: list[Batch] = []
        self._asked: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._wake = threading.Condition()
        self._since = 0.0  # when what runs now began
        threading.Thread(target=self._run, name="engine", daemon=True).start()

    @property
    def busy_for(self) -> float:
        """Seconds that what runs now has taken: a round, or what was asked to be done between two."""
        return time.monotonic() - since if (since := self._since) else 0.0

    def add(self, batch: Batch) -> None:
        self._soon(lambda: self._batches.append(batch))

    async def remove(self, batch: Batch) -> None:
        """Let go of a model; whoever it was answering is told that it failed."""

        def drop() -> None:
            self._batches.remove(batch)
            batch.fail(GONE, 503)

        # The model goes even if whoever asked for it leaves.
        await asyncio.shield(asyncio.wrap_future(self._soon(drop)))

    async def do(self, work: Callable[[], Any]) -> Any:
        """Run something between two rounds: tokenizers are not made for two threads at once."""
        return await asyncio.wrap_future(self._soon(work))

    def submit(self, batch: Batch, job: Job) -> None:
        """Have it written; it is told that it failed where the model has gone meanwhile."""

        def add() -> None:
            if batch in self._batches:
                batch.waiting.append(job)
            else:
                self.tell(job, Failed(503, GONE))

        self._soon(add)

    def tell(self, job: Job, piece: Piece) -> None:
        """What a batch has to tell; in the engine's thread."""
        self._told.append((job, piece))

    def _soon(self, work: Callable[[], Any]) -> Future[Any]:
        done: Future[Any] = Future()
        with self._wake:
            self._asked.append((work, done))
            self._wake.notify()
        return done

    def _run(self) -> None:
        """Without this thread no answer is written any more: when it ends, so does the process, which is started
        again."""
        try:
            self._rounds()
        except BaseException:
            if self._loop.is_closed():
                return  # the process ends already, and there is nobody to tell
            logger.critical("The thread that writes answers broke down: the model host ends.", exc_info=True)
            os._exit(BROKE_DOWN)

    def _rounds(self) -> None:
        if hasattr(os, "setpriority"):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        with torch.inference_mode():
            while True:
                self._take()
                for batch in self._batches:
                    if batch.busy:
                        self._round(batch)

    def _take(self) -> None:
        """What was asked for; waits for it while there is nothing to write."""
        while True:
            with self._wake:
                while not self._asked and not any(batch.busy for batch in self._batches):
                    self._since = 0.0
                    self._wake.wait()
                asked, self._asked = self._asked, deque()
            if not asked:
                return
            self._since = time.monotonic()
            for work, done in asked:
                if not done.set_running_or_notify_cancel():
                    continue  # whoever asked has left
                try:
                    done.set_result(work())
                except Exception as error:
                    done.set_exception(error)
            self._flush()

    def _round(self, batch: Batch) -> None:
        self._since = time.monotonic()
        try:
            with MAKING:
                batch.round()
        except Exception as error:  # whatever a model's own code raises is the error of its answers alone
            if is_lost(error):
                raise
            logger.warning("a %s failed", type(batch.loaded.model).__name__, exc_info=True)
            batch.fail(f"{type(error).__name__}: {error}")
        self._flush()

    def _flush(self) -> None:
        if self._told:
            told, self._told = self._told, []
            self._loop.call_soon_threadsafe(self._hear, told)
