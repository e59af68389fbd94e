"""Model servers of known pace on loopback, in OpenAI's protocol: what a measurement holds the workspace against.

A model's answer is made of its prompt alone, so the same question has the same answer however it was routed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
from aiohttp import web

from workspace.types import sha256


@dataclass(frozen=True, slots=True)
class Pace:
    """``first`` seconds until the first token, then one each ``gap`` seconds, ``tokens`` in all."""

    first: float
    gap: float
    tokens: int


@asynccontextmanager
async def serving(models: Mapping[str, Pace]) -> AsyncIterator[str]:
    """The base URL of a server of these models, while it lasts."""

    async def complete(request: web.Request) -> web.StreamResponse:
        asked = orjson.loads(await request.read())
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        pace = models[asked["model"]]
        began = time.monotonic() + pace.first
        for number, token in enumerate(_words(asked["messages"][-1]["content"], pace.tokens)):
            await asyncio.sleep(max(0.0, began + number * pace.gap - time.monotonic()))
            await response.write(_chunk({"choices": [{"index": 0, "delta": {"content": token}}]}))
        await response.write(_chunk({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        await response.write(b"data: [DONE]\n\n")
        return response

    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/v1/chat/completions", complete)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


def _words(prompt: str, count: int) -> list[str]:
    """As many as asked, each following from the one before and from the prompt."""
    seed = sha256(prompt)
    return [f"{sha256(f'{seed}{number}')[:5]} " for number in range(count)]


def _chunk(content: dict[str, object]) -> bytes:
    return b"data: " + orjson.dumps({"id": "p", "object": "chat.completion.chunk", **content}) + b"\n\n"
