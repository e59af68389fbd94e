"""One streamed exchange with a provider over HTTP, whatever its protocol: deadlines, bytes to events, the end.

A ``Reader`` knows a protocol and no network; this knows the network and no protocol.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

import httpx
import orjson

from workspace.providers import http
from workspace.providers.base import Call, Cited, Ended, ProviderError, Said, Source, ToolCall
from workspace.providers.errors import failed
from workspace.providers.masking import Mask
from workspace.providers.sse import Decoder
from workspace.types import Delta, Part, Reasoning, Usage

logger = logging.getLogger(__name__)
MISSHAPEN = (AttributeError, IndexError, KeyError, TypeError, ValueError)

# For protocols that can't be told to go on inside an answer: the answer so far, then this.
GO_ON = "Go on exactly where the answer above breaks off. Repeat nothing of it and add no introduction."


class Reader(Protocol):
    """Pieces of one answer out of what the wire brings. All but ``known`` raise ProviderError."""

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        """One event of a stream."""
        ...

    def whole(self, body: bytes) -> Iterator[Said]:
        """An answer that came in one JSON body."""
        ...

    def known(self) -> Iterator[Said]:
        """What only the end shows, or an error half-way: held text, tool calls, usage."""
        ...

    def ended(self) -> Ended:
        """Why it ended. A stream that never said was cut off."""
        ...


async def exchange(
    call: Call, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str], reader: Reader
) -> AsyncGenerator[Said, None]:
    """Post and read the answer. After an error half-way, what is known comes out first."""
    try:
        try:
            async with aclosing(_answer(call, path, body, headers=headers, reader=reader)) as pieces:
                async for said in pieces:
                    yield _sound(said)
        except MISSHAPEN as error:
            logger.warning("an answer of another shape than its protocol's", exc_info=True)
            raise failed("garbage", type(error).__name__) from None
    except ProviderError as error:
        for said in _known(reader):
            yield said
        if error.failure.code != "cut_off":
            raise
    else:
        for said in _known(reader):
            yield said
    yield _ended(reader)  # a connection that broke after the finish reason lost nothing


async def image_of(part: Part, call: Call) -> str:
    """An image's bytes in base64."""
    if call.read_blob is None:
        raise failed("bad_request", "the image can't be read")
    return base64.b64encode(await call.read_blob(part.digest)).decode()


def tool_call(id: str, name: str, raw: str) -> ToolCall:
    """A call with its arguments parsed: none at all are {}, and broken JSON is None."""
    try:
        arguments = orjson.loads(raw) if raw.strip() else {}
    except orjson.JSONDecodeError:
        arguments = None
    return ToolCall(id=id, name=name, arguments=arguments if isinstance(arguments, dict) else None, arguments_raw=raw)


def object_of(data: bytes) -> dict[str, Any]:
    """JSON that must be an object."""
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        content = None
    if not isinstance(content, dict):
        raise failed("garbage", data[:200].decode("utf-8", "replace"))
    return content


async def _answer(
    call: Call, path: str, body: Mapping[str, Any], *, headers: Mapping[str, str], reader: Reader
) -> AsyncGenerator[Said, None]:
    left = max(0.0, call.deadline - time.monotonic())
    async with http.posting(
        call.address,
        path,
        orjson.dumps(body),
        headers={"accept-encoding": "identity", **headers},
        first=min(call.first_token_deadline, left),
        idle=min(call.idle_deadline, left),
    ) as response:
        if "json" in response.headers.get("content-type", ""):
            async with asyncio.timeout(min(call.idle_deadline, max(0.0, call.deadline - time.monotonic()))):
                whole = await response.aread()
            for said in reader.whole(Mask(call.address.key)(whole)):
                yield said
        else:
            async with aclosing(_streamed(call, response, reader)) as pieces:
                async for said in pieces:
                    yield said


def _known(reader: Reader) -> list[Said]:
    try:
        return [_sound(said) for said in reader.known()]
    except MISSHAPEN:
        return []  # counts or calls that can't be read never cost the words


def _ended(reader: Reader) -> Ended:
    try:
        ended = reader.ended()
        return Ended(finish_reason=str(ended.finish_reason), model=str(ended.model))
    except MISSHAPEN as error:
        raise failed("garbage", type(error).__name__) from None


def _sound(said: Said) -> Said:
    """What leaves here holds what its type says, whatever the wire held."""
    if isinstance(said, Delta | Reasoning):
        sound = isinstance(said.text, str)
    elif isinstance(said, Usage):
        sound = all(
            isinstance(n, int) for n in (said.input, said.output, said.cached, said.cache_write, said.reasoning)
        )
    elif isinstance(said, ToolCall):
        sound = all(isinstance(text, str) for text in (said.id, said.name, said.arguments_raw))
    else:
        sound = not isinstance(said, Source | Cited) or (isinstance(said.url, str) and isinstance(said.title, str))
    if not sound:
        raise TypeError(f"{type(said).__name__} of another type")
    if isinstance(said, Delta | Reasoning) and "\x00" in said.text:  # PostgreSQL stores none
        return type(said)(said.text.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
    return said


async def _streamed(call: Call, response: httpx.Response, reader: Reader) -> AsyncGenerator[Said, None]:
    """Until the first word one deadline holds for all; then each piece, be it only a keep-alive, begins another. The
    answer's own stands over both: one timer a piece, for they are many."""
    loop, decoder, masked = asyncio.get_running_loop(), Decoder(), Mask(call.address.key)
    pieces = aiter(response.aiter_bytes())
    last = loop.time() + call.deadline - time.monotonic()
    limit, spoke = min(last, loop.time() + call.first_token_deadline), False
    while True:
        try:
            async with asyncio.timeout_at(limit):
                piece = await anext(pieces)
        except StopAsyncIteration:
            break
        except TimeoutError:
            raise failed("timeout", _silence(spoke=spoke, over=loop.time() >= last)) from None
        for name, data in decoder.feed(piece):
            for said in reader.read(name, masked(data)):
                spoke = True
                yield said
        if spoke:
            limit = min(last, loop.time() + call.idle_deadline)
    for name, data in decoder.end():
        try:
            for said in reader.read(name, masked(data)):
                yield said
        except ProviderError as error:
            if error.failure.code != "garbage":  # half an event: the end says that it was cut off
                raise


def _silence(*, spoke: bool, over: bool) -> str:
    if over:
        return "the whole answer took longer than it may"
    return "the answer stopped coming" if spoke else "no word of an answer came"
