"""Where Celery's threads hand asynchronous work to: the server's own loop, or a worker's in a thread of its own.

Answers are told to listeners of one loop, and a provider's connections belong to one loop, so a process has one for
all its background work.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None
_own = False


def settle_in(loop: asyncio.AbstractEventLoop) -> None:
    """The server says which loop is its own."""
    global _loop, _own
    with _lock:
        _loop, _own = loop, False


def submit(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Run it there. Called from another thread."""
    return asyncio.run_coroutine_threadsafe(work, _home())


def is_own() -> bool:
    """Whether this process lives for background work alone: then a task lasts as long as what it began."""
    return _own


def _home() -> asyncio.AbstractEventLoop:
    global _loop, _own
    with _lock:
        if _loop is None or _loop.is_closed():
            _loop, _own = asyncio.new_event_loop(), True
            threading.Thread(target=_loop.run_forever, name="background", daemon=True).start()
        return _loop
