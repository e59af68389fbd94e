"""Keeps the hosts alive: starts them, starts them again when they die, takes them along when the server goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from django.conf import settings

from workspace.hosts import link, machine
from workspace.hosts.at_work import KILLED_FOR_MEMORY
from workspace.hosts.link import INDEX_HOST, MODEL_HOST, socket_of

logger = logging.getLogger(__name__)

PATIENCE = (0.2, 1.0, 5.0, 15.0)  # seconds before the first, second, ... restart in a row
LOOK = 10.0  # seconds between two looks whether the model host still does something
STUCK = 300.0  # seconds; a part of a prompt takes a fraction of it even where a large model runs on a CPU
KILLED = "killed"
HEALTHY_AFTER = 30.0  # seconds of life after which a death counts as the first again
SHARE = 0.6  # of the memory, for local models, while no budget is set
# Chroma writes the room of a graph to its file before it is filled, and with it what some freed memory held: vectors
# that were deleted. So its process overwrites what it frees (glibc).
OVERWRITING = {"MALLOC_PERTURB_": "90"}
FIRST_TO_GO = 800  # oom_score_adj of the model host: the kernel takes it before the server


@dataclass(slots=True)
class Child:
    """One host's process over its lives."""

    name: str
    arguments: tuple[str, ...]
    oom_score_adj: int = 0
    environment: Mapping[str, str] = field(default_factory=dict)
    after: Mapping[str, str] = field(default_factory=dict)  # what the next process is told of the end of the last
    process: asyncio.subprocess.Process | None = None
    since: float = 0.0
    restarts: int = 0
    stopped: bool = False
    serving: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def words(self) -> str:
        return self.name.replace("_", " ")


class Supervisor:
    """Keeps the named hosts, both unless told otherwise."""

    def __init__(self, hosts: Sequence[str] = (MODEL_HOST, INDEX_HOST)) -> None:
        chroma = settings.CHROMA_URL or str(Path(settings.DATA_DIR) / "chroma")
        children = [
            Child(
                MODEL_HOST,
                (str(socket_of(MODEL_HOST)), str(settings.DATA_DIR), str(memory_budget())),
                oom_score_adj=FIRST_TO_GO,
            ),
            Child(INDEX_HOST, (str(socket_of(INDEX_HOST)), chroma), environment=OVERWRITING),
        ]
        self._children = [child for child in children if child.name in hosts]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Returns at once: hosts load while the server already answers."""
        make_private(settings.SOCKET_DIR)
        self._tasks = [asyncio.create_task(self._keep(child), name=child.name) for child in self._children]

    async def stop(self) -> None:
        for child in self._children:
            child.stopped = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_end(child.process) for child in self._children if child.process))

    async def serving(self) -> None:
        """Wait until every host takes connections; models may still load."""
        await asyncio.gather(*(child.serving.wait() for child in self._children))

    def status(self) -> dict[str, dict[str, float | int | str]]:
        """For each host: state, process id, memory in bytes, seconds it has been up, restarts."""
        return {child.name: _status(child) for child in self._children}

    async def _keep(self, child: Child) -> None:
        deaths = 0
        while True:
            child.since = time.monotonic()
            kills = machine.killed_for_memory()
            how = await self._live(child)
            killed = how == KILLED and machine.killed_for_memory() > kills
            deaths = 1 if time.monotonic() - child.since > HEALTHY_AFTER else deaths + 1
            wait = PATIENCE[min(deaths, len(PATIENCE)) - 1]
            child.restarts += 1
            child.after = {"HOST_RESTARTS": str(child.restarts), "HOST_ENDED": KILLED_FOR_MEMORY if killed else how}
            logger.warning("The %s ended (%s); it is started again in %.1f s.", child.words, how, wait)
            await asyncio.sleep(wait)

    async def _live(self, child: Child) -> str:
        """One process from its start to its end; how that came."""
        try:
            child.process = await self._spawn(child)
        except OSError as error:  # no memory or no number left for a process: later there may be
            return f"it can't be started: {error}"
        assert child.process.stdout is not None
        if await child.process.stdout.readline():
            child.serving.set()
        watching = asyncio.create_task(_watch(child.process)) if child.name == MODEL_HOST else None
        try:
            code = await child.process.wait()
        finally:
            child.serving.clear()
            if watching:
                watching.cancel()
        return KILLED if code == -signal.SIGKILL else f"exit status {code}"

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            f"workspace.hosts.{child.name}",
            *child.arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            cwd=settings.BASE_DIR,
            env={
                **os.environ,
                "TOKENIZERS_PARALLELISM": "false",
                "ANONYMIZED_TELEMETRY": "false",
                **child.environment,
                **child.after,
            },
        )
        if child.oom_score_adj:
            _offer(process.pid, child.oom_score_adj)
        return process


async def _watch(process: asyncio.subprocess.Process) -> None:
    """End a model host that lives and does nothing more: it does not answer, or its thread that writes is at one thing
    for ever."""
    heard = time.monotonic()
    while time.monotonic() - heard < STUCK:
        await asyncio.sleep(LOOK)
        with contextlib.suppress(link.HostUnavailable):
            if await link.busy_for() < STUCK:
                heard = time.monotonic()
    logger.warning("The model host has done nothing for %.0f s: it is ended.", STUCK)
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def memory_budget() -> int:
    """Bytes that local models may take: what is set, or most of what this machine or its container has."""
    if settings.LOCAL_MEMORY_GIB:
        return int(settings.LOCAL_MEMORY_GIB * 2**30)
    return int(machine.total() * SHARE)


def make_private(folder: Path) -> None:
    """The folder of the sockets, open to this user alone. Its name can be guessed and it lies among temporary files, so
    one that somebody else made first is refused: who owns the folder could put a socket of theirs in our place."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else. Remove it, or set TMPDIR to a folder of your own.")
    folder.chmod(0o700)


def _offer(pid: int, score: int) -> None:
    """Tell the kernel which process to take first when memory runs out; elsewhere than on Linux, nothing."""
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(score))


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(2.0):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _status(child: Child) -> dict[str, float | int | str]:
    process = child.process
    if process is None or process.returncode is not None:
        return {"state": "stopped" if child.stopped else "starting", "restarts": child.restarts}
    try:
        memory = psutil.Process(process.pid).memory_info().rss
    except psutil.Error:
        memory = 0
    return {
        "state": "running" if child.serving.is_set() else "starting",
        "pid": process.pid,
        "memory": memory,
        "up_s": round(time.monotonic() - child.since, 1),
        "restarts": child.restarts,
    }
