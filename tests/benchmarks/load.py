"""People who all send at once, on one core: raw protocols, because this reader must never be the slow one.

A ``Reader`` holds one open connection and one answer at a time. It counts stamped tokens and their age,
and knows neither who serves them nor what is measured with them.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import struct
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

STAMP = re.compile(rb"@(\d{6,})")


@dataclass(slots=True)
class Answer:
    """What one reader saw of one answer. Times are of the monotonic clock, in seconds."""

    rid: str
    sent: float
    first: float = 0.0
    end: float = 0.0
    arrivals: list[tuple[float, float]] = field(default_factory=list)  # when a token was read, and its age
    outcome: str = "lost"

    @property
    def tokens(self) -> int:
        return len(self.arrivals)


class Reader(asyncio.Protocol):
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._answer: Answer | None = None
        self._done: asyncio.Future[Answer]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass of it
        self.greet()

    def connection_lost(self, error: Exception | None) -> None:
        self.finish("lost")
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed before it was open"))

    def ask(self, model: str, rid: str) -> asyncio.Future[Answer]:
        self._done = asyncio.get_running_loop().create_future()
        self._answer = Answer(rid, time.monotonic())
        self._transport.write(self.question(model, f"Say something. rid:{rid}"))
        return self._done

    def close(self) -> None:
        self._transport.abort()

    def read_tokens(self, data: bytes | bytearray, now: float) -> None:
        answer = self._answer
        if answer is None:
            return
        stamps = STAMP.findall(data)
        if stamps and not answer.first:
            answer.first = now
        answer.arrivals += [(now, now - int(stamp) / 1e6) for stamp in stamps]

    def finish(self, outcome: str) -> None:
        if self._answer is not None:
            self._answer.end, self._answer.outcome = time.monotonic(), outcome
            self._answer, answer = None, self._answer
            if not self._done.done():
                self._done.set_result(answer)

    def greet(self) -> None:
        self.ready.set_result(None)

    def question(self, model: str, text: str) -> bytes:
        raise NotImplementedError


class ChatReader(Reader):
    """A browser's websocket, signed in by its session."""

    def __init__(self, host: str, cookie: str = "") -> None:
        super().__init__()
        self._host = host
        self._cookie = cookie

    def greet(self) -> None:
        lines = [
            "GET /ws/ HTTP/1.1", f"Host: {self._host}", f"Origin: http://{self._host}", "Upgrade: websocket",
            "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}", f"Cookie: sessionid={self._cookie}",
        ]  # fmt: skip
        self._transport.write("\r\n".join([*lines, "", ""]).encode())

    def question(self, model: str, text: str) -> bytes:
        frame = {"type": "send", "client_id": str(uuid.uuid4()), "text": text, "model": model, "documents": False}
        return framed(json.dumps(frame).encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        if not self.ready.done() and not self._opened():
            return
        while (payload := self._next()) is not None:
            self._heard(payload, now)

    def _opened(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return False
        self._buffer = rest
        if b" 101 " in head[:20]:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(ConnectionError(head[:60].decode()))
        return self.ready.exception() is None

    def _next(self) -> bytes | None:
        """One frame's payload. A server's frames are not masked."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, at = buffer[1] & 127, 2
        if size >= 126:
            at = 4 if size == 126 else 10
            if len(buffer) < at:
                return None
            size = int.from_bytes(buffer[2:at], "big")
        if len(buffer) < at + size:
            return None
        payload = bytes(buffer[at : at + size])
        del buffer[: at + size]
        return payload

    def _heard(self, payload: bytes, now: float) -> None:
        kind = payload[:24]
        if b'"delta"' in kind or b'"block"' in kind:
            self.read_tokens(payload, now)
        elif b'"settled"' in kind:
            self.finish(json.loads(payload)["state"])
        elif b'"refused"' in kind:
            self.finish("refused: " + json.loads(payload)["cause"])


class DirectReader(Reader):
    """The provider itself, with nothing in between."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def question(self, model: str, text: str) -> bytes:
        body = json.dumps({"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}).encode()
        lines = ["POST /v1/chat/completions HTTP/1.1", f"Host: {self._host}", "Content-Type: application/json"]
        return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        whole, found, rest = self._buffer.rpartition(b"\n\n")
        if not found:
            return
        self._buffer = rest
        self.read_tokens(whole, now)
        if b"data: [DONE]" in whole:
            self.finish("done")


class ProgramReader(DirectReader):
    """Another program: chat completions with a token, streamed or whole, until the answer has left altogether."""

    def __init__(self, host: str, token: str, *, stream: bool) -> None:
        super().__init__(host)
        self._token = token
        self._stream = stream

    def question(self, model: str, text: str) -> bytes:
        asked = {"model": model, "stream": self._stream, "messages": [{"role": "user", "content": text}]}
        body = json.dumps(asked).encode()
        lines = [
            "POST /v1/chat/completions HTTP/1.1", f"Host: {self._host}", f"Authorization: Bearer {self._token}",
            "Content-Type: application/json", f"Content-Length: {len(body)}",
        ]  # fmt: skip
        return "\r\n".join([*lines, "", ""]).encode() + body

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._buffer += data
        head, _, body = bytes(self._buffer).partition(b"\r\n\r\n")
        self.read_tokens(data, now)
        length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
        if len(body) >= int(length[1]) if length else body.endswith(b"0\r\n\r\n"):
            self._buffer.clear()
            self.finish("done" if head.startswith(b"HTTP/1.1 200 ") else head.split(b"\r\n")[0].decode())


def framed(payload: bytes) -> bytes:
    """A text frame of a client, masked with zeros."""
    size = len(payload)
    head = bytes([0x81, 0x80 | size]) if size < 126 else b"\x81\xfe" + struct.pack(">H", size)
    return head + bytes(4) + payload


async def connect(url: str, make: Callable[[], Reader]) -> Reader:
    address = urlsplit(url)
    _, reader = await asyncio.get_running_loop().create_connection(make, address.hostname, address.port)
    await asyncio.wait_for(reader.ready, 30)
    return reader


async def one_by_one(reader: Reader, model: str, *, samples: int, label: str) -> list[Answer]:
    return [await asyncio.wait_for(reader.ask(model, f"{label}.{number}"), 60) for number in range(samples)]


async def without_pause(readers: Sequence[Reader], model: str, *, seconds: float, label: str) -> list[Answer]:
    """Every reader asks again as soon as it is answered, until the time is over or its connection is lost."""
    over = time.monotonic() + seconds

    async def ask(number: int, reader: Reader) -> list[Answer]:
        answers: list[Answer] = []
        while time.monotonic() < over and not (answers and answers[-1].outcome == "lost"):
            answers.append(await asyncio.wait_for(reader.ask(model, f"{label}.{number}.{len(answers)}"), 60))
        return answers

    return [answer for part in await asyncio.gather(*map(ask, range(len(readers)), readers)) for answer in part]


async def within_a_second(readers: Sequence[Reader], model: str, *, label: str, limit: float = 120) -> list[Answer]:
    """Every reader asks once, spread over one second."""

    async def ask(number: int, reader: Reader) -> Answer:
        await asyncio.sleep(number / len(readers))
        rid = f"{label}.{number}"
        try:
            return await asyncio.wait_for(asyncio.shield(reader.ask(model, rid)), limit)
        except TimeoutError:
            return Answer(rid, 0.0)

    return list(await asyncio.gather(*(ask(number, reader) for number, reader in enumerate(readers))))
