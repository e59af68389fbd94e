"""The supervisor with a real index host: it starts, is found again after a kill, and goes with its parent."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from workspace.hosts import link, supervisor
from workspace.hosts.supervisor import Child, Supervisor

A, B = "11111111-0000-0000-0000-000000000000", "22222222-0000-0000-0000-000000000000"


class Watched(Supervisor):
    """Tells of each process it started."""

    def __init__(self) -> None:
        super().__init__((link.INDEX_HOST,))
        self.spawned: asyncio.Queue[int] = asyncio.Queue()

    async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
        child.serving.clear()
        process = await super()._spawn(child)
        self.spawned.put_nowait(process.pid)
        return process


async def test_a_killed_host_comes_back_with_its_vectors(sockets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", (0.0,))
    kept = Watched()
    await kept.start()
    try:
        first = await kept.spawned.get()
        assert kept.status()[link.INDEX_HOST]["state"] == "starting"
        await kept.serving()
        status = kept.status()[link.INDEX_HOST]
        assert status["state"] == "running"
        assert status["pid"] == first
        assert int(status["memory"]) > 10_000_000
        assert stat.S_IMODE(link.socket_of(link.INDEX_HOST).stat().st_mode) == 0o600

        vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        await asyncio.to_thread(link.upsert, A, document="d", ids=["x", "y"], vectors=vectors)
        os.kill(first, 9)
        assert await kept.spawned.get() != first
        await kept.serving()
        assert kept.status()[link.INDEX_HOST]["restarts"] == 1
        assert await asyncio.to_thread(link.count, A) == 2
        found = await link.aquery({A: []}, [1.0, 0.1, 0.0], 5)
        assert list(found) == ["x", "y"]
        assert found["x"] == pytest.approx(0.995, abs=1e-3)
        one = await link.aquery({A: ["y", "gone"]}, [1.0, 0.1, 0.0], 1)
        assert one == {"x": pytest.approx(0.995, abs=1e-3), "y": pytest.approx(0.0995, abs=1e-3)}
        assert await link.aquery({A: ["y", "gone"]}, [1.0, 0.1, 0.0], 0) == {"y": one["y"]}, "those alone"
        assert await link.aquery({B: []}, [1.0, 0.0, 0.0], 5) == {}
        await asyncio.to_thread(link.upsert, B, document="e", ids=["z"], vectors=[[0.9, 0.3, 0.0]])
        both = await link.aquery({A: [], B: []}, [1.0, 0.1, 0.0], 2)
        assert list(both) == ["x", "z"], "the nearest of all, whichever collection they lie in"
        assert (await link.aquery({A: ["y"], B: []}, [1.0, 0.1, 0.0], 2)).keys() == {"x", "z", "y"}

        assert (await asyncio.to_thread(link.ids_of, A)).keys() == {"x", "y"}
        assert set(await asyncio.to_thread(link.collections)) >= {A}
        await asyncio.to_thread(link.delete, A, document="other")
        assert await asyncio.to_thread(link.count, A) == 2
        await asyncio.to_thread(link.delete, A, document="d")
        assert await asyncio.to_thread(link.count, A) == 0
        with pytest.raises(link.HostUnavailable, match="400"):
            await asyncio.to_thread(link._post, link.INDEX_HOST, f"/collections/{A}/upsert", {})
    finally:
        await kept.stop()
    assert kept.status()[link.INDEX_HOST] == {"state": "stopped", "restarts": 1}
    assert not link.socket_of(link.INDEX_HOST).exists()


async def test_a_host_that_cant_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unlucky(Watched):
        tried = 0

        async def _spawn(self, child: Child) -> asyncio.subprocess.Process:
            self.tried += 1
            if self.tried == 1:
                raise BlockingIOError("Resource temporarily unavailable")
            return await super()._spawn(child)

    monkeypatch.setattr(supervisor, "PATIENCE", (0.0,))
    kept = Unlucky()
    await kept.start()
    try:
        async with asyncio.timeout(60):
            await kept.serving()
        assert kept.tried == 2
    finally:
        await kept.stop()


async def test_a_host_that_does_nothing_more_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is busy for too long, and one that does not answer; one that works is left alone."""
    monkeypatch.setattr(supervisor, "LOOK", 0.01)
    monkeypatch.setattr(supervisor, "STUCK", 0.2)

    async def at_one_thing() -> float:
        return 1.0

    async def silent() -> float:
        raise link.HostUnavailable("it does not answer")

    async def well() -> float:
        return 0.1

    for busy_for in (at_one_thing, silent, well):
        monkeypatch.setattr(link, "busy_for", busy_for)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
        watching = asyncio.create_task(supervisor._watch(process))
        if busy_for is well:
            await asyncio.wait([watching], timeout=0.5)
            assert not watching.done()
            watching.cancel()
            process.kill()
        async with asyncio.timeout(20):
            assert await process.wait() == -9


def arguments(folder: Path) -> list[str]:
    return [sys.executable, "-m", "workspace.hosts.index_host", str(folder / "i.sock"), str(folder / "chroma")]


def test_a_host_goes_when_its_standard_input_ends(sockets: Path) -> None:
    with subprocess.Popen(
        arguments(sockets), stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.BASE_DIR
    ) as host:
        assert host.stdin is not None
        assert host.stdout is not None
        assert host.stdout.readline() == b"serving\n"
        host.stdin.close()
        assert host.wait(10) == 0
    assert not (sockets / "i.sock").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux does this")
def test_a_host_goes_with_a_parent_that_was_killed(sockets: Path) -> None:
    parent_of = (
        "import subprocess, sys\n"
        "host = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "host.stdout.readline()\n"
        "print(host.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", parent_of, *arguments(sockets)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=settings.BASE_DIR) as parent:
        assert parent.stdout is not None
        host = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        _, alive = psutil.wait_procs([host], timeout=10)
    assert all(process.status() == psutil.STATUS_ZOMBIE for process in alive)  # nobody may reap it in a container
