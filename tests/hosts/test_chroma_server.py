"""Services mode: vectors in a Chroma server of its own, reached over HTTP, by two index hosts at once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from django.conf import LazySettings

from tests.serving import free_port
from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor

A = "33333333-0000-0000-0000-000000000000"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def chroma(tmp_path: Path) -> Iterator[str]:
    """``chroma run``, as its documentation starts it."""
    port = free_port()
    command = [str(Path(sys.executable).parent / "chroma"), "run", "--path", str(tmp_path / "server")]
    server = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/api/v2/heartbeat")
        yield url
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(address: str) -> None:
    deadline = time.monotonic() + 60
    with httpx.Client() as client:
        while time.monotonic() < deadline:
            try:
                if client.get(address).is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    raise TimeoutError(address)


async def test_vectors_live_in_the_server_and_are_seen_by_every_host(
    chroma: str, settings: LazySettings, tmp_path: Path, sockets: Path
) -> None:
    settings.CHROMA_URL = chroma
    first = Supervisor((link.INDEX_HOST,))
    await first.start()
    await first.serving()
    try:
        vectors = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
        await asyncio.to_thread(link.upsert, A, document="d", ids=["x", "y"], vectors=vectors)
        assert not (tmp_path / "chroma").exists(), "nothing is kept on this side"

        settings.SOCKET_DIR = sockets / "2"
        second = Supervisor((link.INDEX_HOST,))
        await second.start()
        await second.serving()
        try:
            assert await link.aquery({A: []}, [1.0, 0.1, 0.0], 1) == {"x": pytest.approx(0.995, abs=1e-3)}
            only = await link.aquery({A: []}, [1.0, 0.1, 0.0], 5, documents=["other"])
            assert only == {}, "a filter on documents is part of the query"
            await asyncio.to_thread(link.upsert, A, document="e", ids=["z"], vectors=[[1.0, 0.2, 0.0]])
        finally:
            await second.stop()

        settings.SOCKET_DIR = sockets
        found = await link.aquery({A: ["y"]}, [1.0, 0.1, 0.0], 2)
        assert list(found) == ["z", "x", "y"], "what another host stored is found at once"
        await asyncio.to_thread(link.delete, A, document="d")
        assert (await asyncio.to_thread(link.ids_of, A)) == {"z": "e"}
        await asyncio.to_thread(link.drop, A)
        assert A not in await asyncio.to_thread(link.collections)
    finally:
        await first.stop()
