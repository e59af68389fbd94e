"""What is deleted from an index goes from its files too, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer
from numpy.typing import NDArray

from workspace.hosts import index_host, link
from workspace.hosts.index_host import Index
from workspace.hosts.supervisor import Supervisor

A, B = str(UUID(int=10)), str(UUID(int=11))
GONE, KEPT = "gone-document", "kept-document"
pytestmark = pytest.mark.timeout(180)


def vectors(count: int, seed: int) -> NDArray[np.float32]:
    """Of length 1 to the last bit, so that they stand in a file as they were given."""
    chance = np.random.default_rng(seed)
    return np.where(chance.random((count, 256)) < 0.5, 1 / 16, -1 / 16).astype(np.float32)


def put(index: str, document: str, rows: NDArray[np.float32]) -> None:
    ids = [f"{document}.{n}" for n in range(len(rows))]
    for start in range(0, len(rows), 200):
        some = rows[start : start + 200].tolist()
        link.upsert(index, document=document, ids=ids[start : start + 200], vectors=some)


def held(folder: Path, rows: NDArray[np.float32]) -> int:
    """How many of the vectors stand in a file, whole."""
    files = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    return sum(any(row.tobytes() in data for data in files) for row in rows)


def named(folder: Path, word: str) -> bool:
    return any(word.encode() in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest_asyncio.fixture
async def host() -> AsyncIterator[None]:
    kept = Supervisor((link.INDEX_HOST,))
    await kept.start()
    try:
        await kept.serving()
        yield
    finally:
        await kept.stop()


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("count", [40, 1_200])  # of which Chroma keeps few in a queue, and many in a graph
async def test_no_file_holds_a_vector_that_was_deleted(count: int, tmp_path: Path) -> None:
    chroma = tmp_path / "chroma"
    gone, kept, beside = vectors(count, 1), vectors(count, 2), vectors(40, 3)

    def filled() -> None:
        put(A, GONE, gone)
        put(A, KEPT, kept)
        put(B, KEPT, beside)
        link.delete(A, document=GONE)

    await asyncio.to_thread(filled)
    assert held(chroma, gone) and named(chroma, GONE), "else there would be nothing to remove"
    await asyncio.to_thread(link.renew, A)
    assert held(chroma, gone) == 0 and not named(chroma, GONE)
    assert held(chroma, kept) == count and held(chroma, beside) == 40
    assert await asyncio.to_thread(link.count, A) == count
    found = await link.aquery({A: [], B: []}, kept[7].tolist(), 5)
    assert found[f"{KEPT}.7"] == pytest.approx(1.0, abs=1e-5)
    assert sorted(await asyncio.to_thread(link.collections)) == [A, B]
    await asyncio.to_thread(link.drop, A)
    assert held(chroma, kept) == 0 and held(chroma, beside) == 40, "what is dropped whole goes as well"


@pytest.mark.usefixtures("host")
async def test_what_is_written_and_deleted_meanwhile_counts(tmp_path: Path) -> None:
    rows = vectors(2_000, 4)
    await asyncio.to_thread(put, A, KEPT, rows)
    renewing = asyncio.create_task(asyncio.to_thread(link.renew, A))
    late = vectors(3, 5)
    seen = []
    while not renewing.done():
        await asyncio.to_thread(put, A, "late", late)
        await asyncio.to_thread(link.delete_ids, A, [f"{KEPT}.{n}" for n in (0, 700, 1_999)])
        seen.append(len(await link.aquery({A: []}, late[0].tolist(), 5)))
    await renewing
    assert set(seen) == {5}, "it is searched all the while"
    ids = await asyncio.to_thread(link.ids_of, A)
    assert len(ids) == 2_000 and {"late.0", "late.1", "late.2"} <= ids.keys()
    assert not ids.keys() & {f"{KEPT}.0", f"{KEPT}.700", f"{KEPT}.1999"}


@pytest.mark.usefixtures("host")
async def test_an_index_that_is_not_there_or_was_half_renewed_is_no_error() -> None:
    await asyncio.to_thread(link.renew, A)
    assert await asyncio.to_thread(link.collections) == []
    await asyncio.to_thread(put, A, KEPT, vectors(10, 6))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.to_thread(link.renew, A), 0.0)
    await asyncio.to_thread(link.renew, A)
    assert await asyncio.to_thread(link.count, A) == 10


@pytest.mark.usefixtures("host")
async def test_what_comes_after_everything_was_deleted_is_found(tmp_path: Path) -> None:
    rows = vectors(30, 7)

    def emptied() -> None:
        put(A, GONE, rows)
        link.delete(A, document=GONE)
        link.renew(A)
        link.drop(A)
        put(B, KEPT, rows[:5])

    await asyncio.to_thread(emptied)
    assert held(tmp_path / "chroma", rows[5:]) == 0
    assert len(await link.aquery({B: []}, rows[2].tolist(), 3)) == 3


def writer(place: Path | str) -> tuple[Index, Any]:
    """An index host's application in this process, whose steps a test can see."""
    index = Index(str(place))
    return index, TestClient(TestServer(index.app()))


async def fill(client: Any, id: str, count: int) -> None:
    body = {"document": KEPT, "ids": [f"{KEPT}.{n}" for n in range(count)], "vectors": vectors(count, 8).tolist()}
    assert (await client.post(f"/collections/{id}/upsert", json=body)).status == 200


async def counted(client: Any, id: str) -> int:
    return int((await (await client.post(f"/collections/{id}/count", json={})).json())["count"])


async def test_a_renewal_that_is_begun_in_another_loses_no_vector(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_host, "COPIED", 10)
    index, client = writer(tmp_path)
    loop, far, copied = asyncio.get_running_loop(), asyncio.Event(), []
    copy = index._copy

    def seen(id: str, ids: list[str]) -> None:
        copy(id, ids)
        copied.append(len(ids))
        if len(copied) == 5:
            loop.call_soon_threadsafe(far.set)

    monkeypatch.setattr(index, "_copy", seen)
    async with client:
        await fill(client, A, 80)
        first = asyncio.create_task(client.post(f"/collections/{A}/renew", json={}))
        await far.wait()
        second = await client.post(f"/collections/{A}/renew", json={})
        assert ((await first).status, second.status) == (200, 200)
        assert await counted(client, A) == 80
        assert copied == [10] * 16, "one after the other"


def renew_until(step: str, index: Index, id: str) -> None:
    """As far as a kill would let it come."""
    ids = index._begin_copy(id)
    index._copy(id, ids[: 5 if step == "copying" else len(ids)])
    names = {"copying": (), "renamed": ("old",), "exchanged": ("old", "c")}[step]
    for name, one in zip(names, (index._fresh(id), index._copies[id]), strict=False):
        one.modify(name=f"{name}-{id}")


@pytest.mark.parametrize("step", ["copying", "renamed", "exchanged"])
async def test_a_kill_in_the_middle_of_a_renewal_loses_no_vector(tmp_path: Path, step: str) -> None:
    """As a host finds it that is started after the kill."""
    index, client = writer(tmp_path)
    async with client:
        await fill(client, A, 20)
        await asyncio.to_thread(renew_until, step, index, A)
    index, client = writer(tmp_path)
    async with client:
        assert await counted(client, A) == 20
        assert [one.name for one in index._open().list_collections()] == [f"c-{A}"], "and nothing else is left"
        await client.post(f"/collections/{A}/renew", json={})
        assert await counted(client, A) == 20


async def test_a_renewal_that_goes_on_is_not_called_broken_off(tmp_path: Path) -> None:
    index, client = writer(tmp_path)
    async with client:
        await fill(client, A, 20)
        await asyncio.to_thread(renew_until, "copying", index, A)
        answer = await client.post("/collections", json={})
        assert await answer.json() == {"ids": [A], "half_renewed": [A]}, "it failed and the host lives on"
        async with index._renewing[A]:
            answer = await client.post("/collections", json={})
            assert await answer.json() == {"ids": [A], "half_renewed": []}
            ending = asyncio.create_task(client.post(f"/collections/{A}/settle", json={}))
            await client.post("/collections", json={})
            assert not ending.done()
        assert (await ending).status == 200
        assert [one.name for one in index._open().list_collections()] == [f"c-{A}"]
        assert await counted(client, A) == 20


async def test_what_is_dropped_while_it_is_written_anew_is_gone(tmp_path: Path) -> None:
    index, client = writer(tmp_path)
    async with client:
        await fill(client, A, 20)
        await asyncio.to_thread(index._begin_copy, A)
        await client.post(f"/collections/{A}/drop", json={})
        assert index._open().list_collections() == []


async def test_the_index_of_a_server_that_others_write_to_as_well_is_left_as_it_is() -> None:
    _, client = writer("http://127.0.0.1:1")  # where nobody is
    async with client:
        answer = await client.post(f"/collections/{A}/renew", json={})
        assert (answer.status, await answer.json()) == (200, {"count": 0})
