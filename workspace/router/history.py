"""What the last answers of each model tell: how long the first token took, and how long answers are.

Read from the settled runs of all processes, off the request path: who asks gets what was read last, and an old
reading is renewed behind their back.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from channels.db import database_sync_to_async

from workspace.router.models import Run

LOOKED_AT = 2_000  # the newest runs, of all models together
OF_EACH = 50
FRESH = 15.0  # seconds


@dataclass(frozen=True, slots=True)
class Past:
    """``p50_ms`` and ``tokens_output`` are medians; ``None`` without an answer to tell."""

    p50_ms: float | None = None
    tokens_output: float | None = None


_kept: tuple[Mapping[str, Past], float] | None = None
_reading: asyncio.Task[Mapping[str, Past]] | None = None


async def load() -> Mapping[str, Past]:
    """By the name of the model."""
    if _kept is None:
        return await database_sync_to_async(read)()
    if time.monotonic() - _kept[1] >= FRESH:
        _renew()
    return _kept[0]


def forget() -> None:
    global _kept
    _kept = None


def read() -> Mapping[str, Past]:
    global _kept
    rows = (
        Run.objects.filter(first_token_s__isnull=False, model_version__isnull=False)
        .order_by("-id")
        .values_list("model_version__model__name", "first_token_s", "tokens_output")[:LOOKED_AT]
    )
    firsts: defaultdict[str, list[float]] = defaultdict(list)
    lengths: defaultdict[str, list[int]] = defaultdict(list)
    for name, first, length in rows:
        if first is not None and len(firsts[name]) < OF_EACH:
            firsts[name].append(first * 1000)
        if length is not None and len(lengths[name]) < OF_EACH:
            lengths[name].append(length)
    past = {
        name: Past(statistics.median(firsts[name]), statistics.median(lengths[name]) if lengths[name] else None)
        for name in firsts
    }
    _kept = (past, time.monotonic())
    return past


def _renew() -> None:
    global _reading
    if _reading is None or _reading.done():
        _reading = asyncio.create_task(database_sync_to_async(read)(), name="history")
