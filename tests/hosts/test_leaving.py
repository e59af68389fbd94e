"""A reader who leaves at the very moment that a piece comes: the answer ends, whichever is noticed first."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from workspace.hosts.jobs import Piece, Text
from workspace.hosts.model_host import ModelHost


@pytest.mark.parametrize("later", range(4))
async def test_a_piece_that_comes_as_the_reader_leaves_keeps_nobody_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    """``later`` turns of the loop lie between the piece and the leave."""
    host, begun = ModelHost(tmp_path, 0), asyncio.get_running_loop().create_future()

    async def work(body: dict[str, Any], told: asyncio.Queue[Piece]) -> None:
        begun.set_result(told)
        await asyncio.Event().wait()

    async def read() -> None:
        async with contextlib.aclosing(host._answer({})) as pieces:
            async for _ in pieces:
                await asyncio.sleep(0)

    monkeypatch.setattr(host, "_work", work)
    reader = asyncio.create_task(read())
    told = await begun
    told.put_nowait(Text("word"))
    for _ in range(later):
        await asyncio.sleep(0)
    reader.cancel()
    await asyncio.wait([reader], timeout=5)
    assert reader.cancelled()
