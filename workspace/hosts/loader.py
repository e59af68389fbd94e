"""Brings models into memory and out of it, in a thread of its own; torch is imported when the first is asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from workspace.hosts.ledger import Plan
from workspace.hosts.making import LOADING
from workspace.hosts.sizes import Size
from workspace.hosts.weights import Facts

OURS = 0.9  # of what is free on a GPU


class Loader:
    """``engine`` is there once ``start`` was awaited."""

    def __init__(self) -> None:
        self.engine: Any = None
        self._gpus: dict[str, int] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")

    async def start(self) -> dict[str, int]:
        """The GPUs, and the bytes that models may take on each."""
        if self.engine is None:
            loop = asyncio.get_running_loop()
            self.engine, self._gpus = await loop.run_in_executor(self._thread, _start, loop)
        return self._gpus

    async def load(self, folder: Path, facts: Facts, plan: Plan, progress: Callable[[float], None]) -> Any:
        """Raises MemoryError, RuntimeError or OSError, whatever the libraries raise."""
        loop = asyncio.get_running_loop()
        async with _watched(facts.weights(plan.precision), progress):
            return await loop.run_in_executor(self._thread, _loaded, folder, facts, plan)

    def batch(self, loaded: Any, *, size: Size, most: int | None, room: Callable[[], int], short: bool) -> Any:
        """A loaded model's answers, written from now on, in such a size; ``most`` at once, if that was asked for."""
        from workspace.hosts.batch import Batch

        batch = Batch(loaded, self.engine.tell, tokens=size.tokens, most=most, room=room, short=short)
        self.engine.add(batch)
        return batch

    async def remove(self, batch: Any) -> None:
        """Whoever it was answering is told that it failed."""
        await self.engine.remove(batch)

    async def trim(self) -> None:
        """Give freed memory back to the system."""
        await asyncio.to_thread(_trim)


def _start(loop: asyncio.AbstractEventLoop) -> tuple[Any, dict[str, int]]:
    with LOADING:  # the embedding model's thread imports the same
        import torch
        from transformers.utils import logging as transformers_logging

        from workspace.hosts.engine import Engine

    transformers_logging.disable_progress_bar()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = {f"cuda:{n}": int(torch.cuda.mem_get_info(n)[0] * OURS) for n in range(count)}
    return Engine(loop, _deliver), gpus


def _loaded(folder: Path, facts: Facts, plan: Plan) -> Any:
    if facts.task == "chat":
        from workspace.hosts.loading import load

        return load(folder, device=plan.device, precision=plan.precision, sees=facts.images)
    from workspace.hosts.encoders import Encoder

    return Encoder(folder, task=facts.task, device=plan.device, precision=plan.precision)


def _deliver(told: list[Any]) -> None:
    for job, piece in told:
        job.hear(piece)


@contextlib.asynccontextmanager
async def _watched(expected: int, progress: Callable[[float], None]) -> AsyncIterator[None]:
    """Progress by the memory that the process gains."""
    process = psutil.Process()
    before = process.memory_info().rss

    async def watch() -> None:
        while True:
            await asyncio.sleep(0.2)
            progress(min(0.99, (process.memory_info().rss - before) / max(1, expected)))

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


def _trim() -> None:
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
