"""The least that Django and Channels can do: one consumer on Daphne that passes tokens on.

No database, no session, no router, no page. What the workspace adds is measured against this.
``python -m tests.benchmarks.floor PORT UPSTREAM``
"""

from __future__ import annotations

import asyncio
import sys

import aiohttp
import django
import orjson
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from daphne.server import Server
from django.conf import settings
from django.urls import path

UPSTREAM = sys.argv[2] if len(sys.argv) > 2 else ""


class Relay(AsyncWebsocketConsumer):
    session: aiohttp.ClientSession | None = None
    task: asyncio.Task[None] | None = None

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        self.task = asyncio.create_task(self._relay(orjson.loads(text_data or "")))

    async def disconnect(self, code: int) -> None:
        if self.task:
            self.task.cancel()

    async def _relay(self, asked: dict[str, str]) -> None:
        body = {"model": asked["model"], "stream": True, "messages": [{"role": "user", "content": asked["text"]}]}
        async with session().post(f"{UPSTREAM}/chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    choices = orjson.loads(line[6:])["choices"]
                    text = choices and choices[0]["delta"].get("content")
                    if text:
                        await self.send(orjson.dumps({"type": "delta", "text": text}).decode())
        await self.send('{"type":"settled","state":"done"}')


def session() -> aiohttp.ClientSession:
    if Relay.session is None:
        Relay.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=None)
        )
    return Relay.session


def serve(port: int) -> None:
    settings.configure(SECRET_KEY="floor", ALLOWED_HOSTS=["*"], INSTALLED_APPS=["channels"], LOGGING_CONFIG=None)
    django.setup()
    application = ProtocolTypeRouter({"websocket": URLRouter([path("ws/", Relay.as_asgi())])})
    endpoint = f"tcp:port={port}:interface=127.0.0.1:backlog=1024"
    Server(application, endpoints=[endpoint], verbosity=0, ready_callable=lambda: print("ready", flush=True)).run()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
