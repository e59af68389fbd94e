"""Suggestions for one socket: the newest draft alone is asked for, and the one before it is given up at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from chat.frames import Suggest, dump
from workspace.router.suggest import suggest
from workspace.types import Request
from workspace.wire import Tell


class Suggesting:
    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._task: asyncio.Task[None] | None = None

    def begin(self, asker: Request, frame: Suggest) -> None:
        self.end()
        self._task = asyncio.create_task(self._tell(asker, frame), name="suggestion")

    def end(self) -> None:
        if self._task:
            self._task.cancel()

    async def _tell(self, asker: Request, frame: Suggest) -> None:
        async with contextlib.aclosing(suggest(frame.text, asker)) as texts:
            async for text in texts:
                await self._send(dump(Tell.SUGGESTION, id=frame.id, text=text))
