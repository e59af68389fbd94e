"""What is deleted from an index goes from its files too, and nothing else does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from workspace.hosts import link
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
