"""How long an HTTP endpoint takes to answer: whole answers and first bytes, at several numbers of requests at once.

It knows URL, payload and headers, and nothing of what they mean. A first request to each connection is not counted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from workspace.spread import spread

STREAMS = {"text/event-stream", "application/x-ndjson", "application/jsonl"}  # a large plain body has pieces as well


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """``payload`` is posted as it is; ``None`` makes it a GET."""

    url: str
    payload: bytes | None = None
    headers: Mapping[str, str] | None = None
    requests: int = 100
    timeout: float = 120.0


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds to the first byte of the body and to its end; why it failed, where it did."""

    first: float = 0.0
    whole: float = 0.0
    streamed: bool = False
    failed: str = ""


async def measure(asked: Asked, levels: Sequence[int], transport: httpx.AsyncBaseTransport | None = None) -> list[Any]:
    """One row for each number of requests at once. ``transport`` stands for the network in a test."""
    return [await _level(asked, count, transport) for count in levels]


async def _level(asked: Asked, at_once: int, transport: httpx.AsyncBaseTransport | None) -> dict[str, Any]:
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(transport=transport, limits=limits, timeout=asked.timeout) as client:
        await asyncio.gather(*(_one(client, asked) for _ in range(at_once)))
        left = iter(range(asked.requests))
        took: list[Took] = []

        async def worker() -> None:
            for _ in left:
                took.append(await _one(client, asked))

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        seconds = time.perf_counter() - began
    good = [each for each in took if not each.failed]
    return {
        "at_once": at_once,
        "requests": len(took),
        "failed": len(took) - len(good),
        "failures": sorted({each.failed for each in took if each.failed})[:5],
        "requests_per_s": round(len(good) / seconds, 2),
        "whole_s": spread([each.whole for each in good]),
        "first_byte_s": spread([each.first for each in good]),
        "streamed": bool(good) and all(each.streamed for each in good),
    }


async def _one(client: httpx.AsyncClient, asked: Asked) -> Took:
    method = "GET" if asked.payload is None else "POST"
    headers = {"content-type": "application/json", **(asked.headers or {})}
    began = time.perf_counter()
    first = 0.0
    try:
        async with client.stream(method, asked.url, content=asked.payload, headers=headers) as response:
            async for _ in response.aiter_raw():
                first = first or time.perf_counter() - began
            streamed = response.headers.get("content-type", "").partition(";")[0].strip().lower() in STREAMS
            if response.status_code >= 400:
                return Took(failed=f"HTTP {response.status_code}")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        return Took(failed=type(error).__name__)
    whole = time.perf_counter() - began
    return Took(first=first or whole, whole=whole, streamed=streamed)
