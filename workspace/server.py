"""The embedded server: Daphne for HTTP and websockets, and all that lives and dies with it.

The web process serves and directs. Children hold torch and Chroma, a thread runs Celery's tasks. It knows
how these start and stop, and nothing of what they do.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

from channels.db import database_sync_to_async
from daphne.server import Server as Daphne  # first: it installs the reactor
from django.conf import settings
from twisted.internet import defer, reactor

from chat import live, tasks
from workspace import control, loops
from workspace.celery import EmbeddedWorker
from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor
from workspace.hub import hub
from workspace.measurement import starting
from workspace.measurement import tasks as tasks_of_measurement
from workspace.providers import discovery, http
from workspace.router import catalog, decisions, rollouts, run_rows, runs, score
from workspace.router.models import Rollout, RouterLabel
from workspace.wire import MAX_FRAME
from workspace.writes import writer

logger = logging.getLogger(__name__)

BACKLOG = 1024  # Daphne's own 50 refuses connections in a burst
STOP_WITHIN = 8.0  # seconds from Ctrl-C until answers are kept and all parts have ended, or are left
GIVE_UP_AFTER = 12.0  # seconds from Ctrl-C to the end of the process, whatever holds it
LOOK_AROUND = 60.0  # seconds between two looks for model servers on this machine
LEARN = 60.0  # seconds between two looks for new labels of the learned score
JUDGE = 6 * 3600.0  # seconds between two trials of it on held-out prompts
WATCH = 60.0  # seconds between two looks at how a version on trial does
FORGET = 3600.0  # seconds between two looks for decisions that have been kept long enough
MEASURE = 60.0  # seconds between two looks for measurements that are due
REAP = 5.0  # seconds between two looks for answers of dead processes


class Server:
    """``serve`` returns when the process is told to stop. ``ready`` is called once connections are taken."""

    def __init__(self, *, host: str, port: int, ready: Callable[[], None]) -> None:
        self._host = host
        self._port = port
        self._ready = ready
        self._supervisor = Supervisor() if settings.LOCAL_MODELS else None
        self._worker = EmbeddedWorker() if not settings.REDIS_URL else None
        self._tasks: list[asyncio.Task[None]] = []

    def serve(self) -> None:
        from workspace.asgi import application

        # Each send of the loop gives the interpreter away; at the default of 5 ms a thread that writes rows would
        # hold every token up that long.
        sys.setswitchinterval(0.0005)

        interface = self._host.replace(":", "\\:")
        daphne = Daphne(
            application,
            endpoints=[f"tcp:port={self._port}:interface={interface}:backlog={BACKLOG}"],
            ready_callable=self._begin,
            websocket_max_message_size=2 * MAX_FRAME,
            websocket_max_frame_size=2 * MAX_FRAME,
            application_close_timeout=2,
            server_name="onepane",
            verbosity=0,
        )
        # The stubs have these two arguments the other way round.
        reactor.addSystemEventTrigger("before", "shutdown", self._ended)  # type: ignore[arg-type]
        daphne.run()

    def _begin(self) -> None:
        reactor.callWhenRunning(lambda: asyncio.ensure_future(self._start()))

    async def _start(self) -> None:
        loops.settle_in(asyncio.get_running_loop())
        _bound_the_stop(asyncio.get_running_loop())
        if self._supervisor:
            await self._supervisor.start()
        if self._worker:
            await asyncio.to_thread(self._worker.start)
        await control.listen()
        self._every(REAP, _reap)
        self._every(LEARN, _learn)
        self._every(JUDGE, _judge)
        self._every(FORGET, decisions.forget_old)
        self._every(WATCH, _watch)
        self._every(MEASURE, _measure)
        if settings.DISCOVER:
            self._every(LOOK_AROUND, _discover)
        await self._warm_up()
        await asyncio.to_thread(self._ready)

    async def _warm_up(self) -> None:
        """A burst of first requests would otherwise pay for imports, caches and the writer's connection."""
        await catalog.load()
        await writer.submit(lambda: None)
        runs.registry()
        await asyncio.to_thread(_render_once)
        # What is loaded now stays: the collector would walk it, 100 ms at a time, in the middle of answers.
        gc.collect()
        gc.freeze()

    def _ended(self) -> defer.Deferred[None]:
        return defer.Deferred.fromFuture(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        """Answers keep their text first; everything else has what is left of the deadline."""
        for task in self._tasks:
            task.cancel()
        stops: list[Awaitable[Any]] = [runs.registry().close()]
        if self._supervisor:
            stops.append(self._supervisor.stop())
        if self._worker:
            stops.append(asyncio.to_thread(self._worker.stop, STOP_WITHIN / 2))
        await asyncio.wait([asyncio.ensure_future(stop) for stop in stops], timeout=STOP_WITHIN)
        for closing in (control.close(), hub().close(), http.close(), link.close()):
            await closing

    def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        async def repeat() -> None:
            while True:
                try:
                    await work()
                except Exception:
                    logger.exception("%s failed; it is tried again in %.0f s.", work.__name__.strip("_"), seconds)
                await asyncio.sleep(seconds)

        self._tasks.append(asyncio.create_task(repeat(), name=work.__name__.strip("_")))


def _bound_the_stop(loop: asyncio.AbstractEventLoop) -> None:
    """Count from the signal itself, in a thread: what is stuck may be the loop."""
    for number in (signal.SIGINT, signal.SIGTERM):
        stop: Any = signal.getsignal(number)

        def told(number: int, frame: FrameType | None, stop: Any = stop) -> None:
            timer = threading.Timer(GIVE_UP_AFTER, _give_up, [loop])
            timer.daemon = True
            timer.start()
            stop(number, frame)

        signal.signal(number, told)


def _give_up(loop: asyncio.AbstractEventLoop) -> None:
    """Daphne waits for every request and socket, and some library may wait for a peer. Answers are kept by now."""
    held = [f"{task.get_name()}: {task.get_coro()}" for task in asyncio.all_tasks(loop)]
    logger.error("Stopped while something still ran: %s", "; ".join(held) or "no task")
    faulthandler.dump_traceback()
    os._exit(1)


async def _discover() -> None:
    found = await discovery.discover(settings.DISCOVER)
    await writer.submit(lambda: discovery.store(found))


async def _learn() -> None:
    await database_sync_to_async(score.refresh)()


async def _watch() -> None:
    if await Rollout.objects.filter(ended=None).aexists():
        await database_sync_to_async(rollouts.watch)()


async def _measure() -> None:
    await database_sync_to_async(starting.begin_due)()
    await database_sync_to_async(tasks_of_measurement.revive)()


async def _judge() -> None:
    if await RouterLabel.objects.aexists():
        await database_sync_to_async(score.judge)()


async def _reap() -> None:
    """Answers of processes that died: only with several processes is there anything to find."""
    dead = await writer.submit(run_rows.reap)
    for run_id in dead:
        await live.announce_interrupted(run_id)
    if dead:
        await database_sync_to_async(tasks.go_on)(dead)


def _render_once() -> None:
    from chat.rendering import render

    render("`warm`")
