"""A provider's server in one function: it remembers what it was asked and answers what a test wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson

from workspace.providers import http
from workspace.providers.base import Address, Call
from workspace.types import PromptMessage, text_part


class Body(httpx.AsyncByteStream):
    """Pieces as they come; an exception among them breaks the connection."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def aclose(self) -> None:
        self.closed = True


class Upstream:
    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [orjson.loads(request.content) for request in self.requests]

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def upstream(*answers: httpx.Response | Exception) -> Iterator[Upstream]:
    server = Upstream(*answers)
    with http.answered_by(httpx.MockTransport(server.answer)):
        yield server


def events(*pieces: bytes | Exception) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Body(*pieces))


def call(question: str = "Hello", *, base_url: str = "http://server.invalid/v1", **options: Any) -> Call:
    address = Address(base_url=base_url, key="sk-a-secret-0123456789")
    messages = options.pop("messages", (PromptMessage(role="person", parts=(text_part(question),)),))
    return Call(address=address, model="m", messages=messages, **options)
