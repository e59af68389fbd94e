"""Circuit breakers: a model whose calls keep failing is left alone for a while, then tried with one call.

One breaker for each version of a provider and a model, so a corrected address or key begins afresh. Closed: calls
go through. Open: the router passes the model by, until a time. Half open: that time has come, one call is let
through as a probe, and its end closes or opens the breaker. Kept in memory; with Redis every process hears of the
others' openings and closings. It knows no request and no database.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass

import orjson
from django.conf import settings

from workspace.hub import hub
from workspace.router.catalog import Candidate
from workspace.types import Failure

logger = logging.getLogger(__name__)

FAILURES = 3  # in a row that open a breaker
PAUSE = 15.0  # seconds it stays open the first time; twice as long each time after
LONGEST = 300.0  # seconds
PROBE = 60.0  # seconds after which a probe that told nothing is given up
AT_ONCE = {"auth": 60.0, "quota": 60.0}  # codes that no second call would change: seconds
COUNTED = {
    "overloaded",
    "server_error",
    "unreachable",
    "timeout",
    "cut_off",
    "garbage",
    "out_of_memory",
    "rate_limited",
}
TOPIC = "health"


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    openings: int = 0
    until: float = 0.0  # when a probe may go, by the wall clock: other processes read it too
    cause: str = ""
    probing: float = 0.0  # when the probe began


class Health:
    def __init__(self) -> None:
        self._breakers: dict[str, _Breaker] = {}
        self._lock = threading.Lock()
        self._listening: asyncio.AbstractEventLoop | None = None
        self._telling: set[asyncio.Future[None]] = set()

    def why_not(self, candidate: Candidate) -> str:
        """Why the model is passed by now, in words; empty when it may be called."""
        with self._lock:
            breaker = self._breakers.get(_key(candidate))
            if breaker is None or not breaker.until:
                return ""
            now = time.time()
            if breaker.until <= now and now - breaker.probing > PROBE:
                return ""
            wait = max(1, round(breaker.until - now))
            again = f"it is tried again in {wait} s" if breaker.until > now else "one call is trying it now"
            return f"{candidate.name} keeps failing ({breaker.cause.rstrip('.')}); {again}."

    def begin(self, candidate: Candidate) -> bool:
        """A call is about to begin; of an open breaker it is the probe. False while another call is that: two that
        were decided at once must not both find out if a model works again."""
        with self._lock:
            breaker = self._breakers.get(_key(candidate))
            if breaker is None or not breaker.until:
                return True
            now = time.time()
            if now - breaker.probing <= PROBE:
                return False
            breaker.probing = now
            return True

    def note(self, candidate: Candidate, failure: Failure | None) -> None:
        """How a call ended. What is the request's own fault says nothing of the model."""
        if failure is not None and failure.code not in COUNTED and failure.code not in AT_ONCE:
            return
        key = _key(candidate)
        with self._lock:
            if failure is None:
                changed = self._breakers.pop(key, None)
                news = {"key": key, "until": 0.0} if changed and changed.until else None
            else:
                news = self._failed(key, failure)
        if news and settings.REDIS_URL:
            self._tell(news)

    def forget(self) -> None:
        with self._lock:
            self._breakers.clear()

    async def listen(self) -> None:
        """Hear what other processes find; called once for each event loop that executes runs."""
        loop = asyncio.get_running_loop()
        if settings.REDIS_URL and self._listening is not loop:
            self._listening = loop
            await hub().listen(TOPIC, self._hear)

    def _failed(self, key: str, failure: Failure) -> dict[str, object] | None:
        breaker = self._breakers.setdefault(key, _Breaker())
        breaker.failures += 1
        breaker.probing = 0.0
        pause = AT_ONCE.get(failure.code)
        if failure.code == "rate_limited" and failure.retry_after:
            pause = min(failure.retry_after, LONGEST)
        elif pause is None and (breaker.failures >= FAILURES or breaker.until):
            pause = min(PAUSE * 2**breaker.openings, LONGEST)
            breaker.openings += 1
        if pause is None:
            return None
        breaker.until, breaker.cause = time.time() + pause, failure.cause
        return {"key": key, "until": breaker.until, "cause": failure.cause}

    def _tell(self, news: dict[str, object]) -> None:
        """Go on without waiting; the loop keeps only a weak hold of a task, so it is kept here."""
        task = asyncio.ensure_future(hub().tell_others(TOPIC, [orjson.dumps(news)]))
        self._telling.add(task)
        task.add_done_callback(self._told)

    def _told(self, task: asyncio.Future[None]) -> None:
        self._telling.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.warning("Other processes could not be told of a model's health: %s", error)

    async def _hear(self, frame: bytes) -> None:
        news = orjson.loads(frame)
        with self._lock:
            if not news["until"]:
                self._breakers.pop(news["key"], None)
            else:
                breaker = self._breakers.setdefault(news["key"], _Breaker())
                breaker.until, breaker.cause = news["until"], news["cause"]


health = Health()


def _key(candidate: Candidate) -> str:
    return f"{candidate.provider_version_id}.{candidate.version_id}"
