"""Telling frames to whoever listens, by topic: inside the process by plain calls, between processes by Redis.

It knows topics and bytes, and not what they mean. The channel layer carries only what another process
must hear: tokens through ``InMemoryChannelLayer`` would be dropped past a hundred and cost more with
every connection, so local listeners are called directly and the layer is used with Redis alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence

from channels.layers import channel_layers
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

Listener = Callable[[bytes], Awaitable[None]]

PROCESS = uuid.uuid4().hex  # names this process to the others, for as long as it lives


class Hub:
    """One for each event loop. Listeners are awaited in turn: they must not wait for anything slow."""

    def __init__(self) -> None:
        self._listeners: dict[str, set[Listener]] = {}
        self._relay = _Relay(self._deliver) if settings.REDIS_URL else None

    async def listen(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.setdefault(topic, set())
        listeners.add(listener)
        if self._relay and len(listeners) == 1:
            await self._relay.join(topic)

    async def leave(self, topic: str, listener: Listener) -> None:
        listeners = self._listeners.get(topic, set())
        listeners.discard(listener)
        if not listeners:
            self._listeners.pop(topic, None)
            if self._relay:
                await self._relay.leave(topic)

    async def tell(self, topic: str, frame: bytes) -> None:
        """To the listeners here and in every other process."""
        await self._deliver(topic, frame)
        await self.tell_others(topic, [frame])

    async def tell_here(self, topic: str, frame: bytes) -> None:
        await self._deliver(topic, frame)

    async def tell_others(self, topic: str, frames: Sequence[bytes]) -> None:
        if self._relay and frames:
            await self._relay.send(topic, frames)

    async def close(self) -> None:
        if self._relay:
            await self._relay.close()

    async def _deliver(self, topic: str, frame: bytes) -> None:
        for listener in tuple(self._listeners.get(topic, ())):
            try:
                await listener(frame)
            except Exception:  # one broken socket must not silence the others
                logger.debug("A listener of %s went away.", topic, exc_info=True)
                self._listeners.get(topic, set()).discard(listener)


class _Relay:
    """This process's one channel on Redis: it joins the groups that somebody here listens to."""

    def __init__(self, deliver: Callable[[str, bytes], Awaitable[None]]) -> None:
        self._deliver = deliver
        self._layer = channel_layers.make_backend("relay")  # its locks are its loop's: never shared
        self._channel: str | None = None
        self._task: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()
        self._closing = False

    async def join(self, topic: str) -> None:
        async with self._opening:
            if self._channel is None:
                self._channel = await self._layer.new_channel("hub")
                self._task = asyncio.create_task(self._receive(self._channel), name="hub relay")
        await self._layer.group_add(topic, self._channel)

    async def leave(self, topic: str) -> None:
        if self._channel is not None:
            await self._layer.group_discard(topic, self._channel)

    async def send(self, topic: str, frames: Sequence[bytes]) -> None:
        await self._layer.group_send(topic, {"type": "hub", "topic": topic, "origin": PROCESS, "frames": list(frames)})

    async def close(self) -> None:
        """Wake the reader, so that it ends by itself: cancelled while it connects, it would leave its socket open."""
        self._closing = True
        if self._task and self._channel and not self._task.done():
            with contextlib.suppress(OSError, RedisError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._layer.send(self._channel, {"type": "hub"})
                    await asyncio.wait([self._task])
        while self._task and not self._task.done():
            self._task.cancel()  # once may not do: redis-py takes it for a lost connection, and tries again
            await asyncio.wait([self._task], timeout=1)
        await self._layer.close_pools()

    async def _receive(self, channel: str) -> None:
        while True:
            try:
                message = await self._layer.receive(channel)
            except (OSError, RedisError):
                if (task := asyncio.current_task()) and task.cancelling():
                    return  # redis-py may tell being cancelled as an error of its own
                logger.warning("Redis does not answer; trying again in a second.")
                await asyncio.sleep(1)
                continue
            if self._closing:
                return
            if message["origin"] != PROCESS:
                for frame in message["frames"]:
                    await self._deliver(message["topic"], frame)


_hubs: dict[asyncio.AbstractEventLoop, Hub] = {}


def hub() -> Hub:
    """The hub of the running loop. Whoever tells something from a loop of their own does not deafen the server's."""
    loop = asyncio.get_running_loop()
    if loop not in _hubs:
        for other in tuple(_hubs):
            if other.is_closed():
                _hubs.pop(other, None)
        _hubs[loop] = Hub()
    return _hubs[loop]
