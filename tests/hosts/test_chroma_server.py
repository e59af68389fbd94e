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
from channels.db import database_sync_to_async
from django.conf import LazySettings

from retrieval import ingest, verify
from retrieval.models import Collection, Document
from tests.hosts.test_renewal import renew_until
from tests.serving import free_port
from workspace.hosts import link
from workspace.hosts.index_host import Index
from workspace.hosts.supervisor import Supervisor

A = "33333333-0000-0000-0000-000000000000"
NOBODYS = "44444444-0000-0000-0000-000000000000"

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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["copying", "renamed", "exchanged"])
async def test_what_a_broken_off_renewal_left_in_a_server_is_listed_and_ended(
    chroma: str, settings: LazySettings, step: str
) -> None:
    """As when a server takes over the files of an index host that was killed; and others keep theirs there as well."""
    settings.CHROMA_URL = chroma
    index, chunks = Index(chroma), await database_sync_to_async(written)()

    def leave() -> None:
        for id in (A, NOBODYS):
            index._upsert(id, {"document": "d", "ids": chunks, "vectors": [[1.0, 0.0]] * len(chunks)})
            renew_until(step, index, id)
        index._made("copy-of-another-program")
        index._made("c-of-another-program")

    def names() -> list[str]:
        return sorted(one.name for one in index._open().list_collections())

    await asyncio.to_thread(leave)
    host = Supervisor((link.INDEX_HOST,))
    await host.start()
    await host.serving()
    try:
        found = await database_sync_to_async(lambda: list(verify.differences()))()
        told = [(one.kind, one.collection) for one in found]
        assert sorted(told) == [("half renewal", A), ("stray collection", NOBODYS)]
        assert all([await database_sync_to_async(verify.repair)(one) for one in found])
        assert await asyncio.to_thread(names) == [f"c-{A}", "c-of-another-program", "copy-of-another-program"]
        assert sorted(await asyncio.to_thread(link.ids_of, A)) == sorted(chunks), "wherever they were"
        assert await database_sync_to_async(lambda: list(verify.differences()))() == []
    finally:
        await host.stop()


def written() -> list[str]:
    """The passages of a document whose vectors are said to be there."""
    shelf = Collection.objects.create(pk=A, name="Travel", built_in=True)
    document = Document.objects.create(collection=shelf, name="ferry.md", text="It leaves at dawn. " * 90)
    ingest.write_words(document)
    Document.objects.update(state="ready", embedded=document.passages)
    return [str(chunk.pk) for chunk in document.chunks.all()]
