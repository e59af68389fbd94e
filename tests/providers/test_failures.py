"""What goes wrong on the way: each failure has a cause and a next step, and the words that came stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import pytest

from tests.providers.upstream import Body, call, events, upstream
from workspace.providers.base import Ended, ProviderError
from workspace.providers.errors import failed, from_response
from workspace.providers.registry import provider
from workspace.types import Delta, Failure

WORD = b'data: {"choices":[{"delta":{"content":"word "}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'


async def hear(*answers: httpx.Response | Exception, **options: float) -> tuple[str, Failure | None]:
    text, failure = "", None
    with upstream(*answers):
        try:
            async for piece in provider("openai").stream(call(**options)):
                text += piece.text if isinstance(piece, Delta) else ""
        except ProviderError as error:
            failure = error.failure
    return text, failure


def code(heard: tuple[str, Failure | None]) -> str:
    assert heard[1] is not None
    return heard[1].code


async def test_an_end_without_a_reason_keeps_the_words_and_says_that_it_was_cut() -> None:
    heard = await hear(events(WORD, WORD))
    assert heard[0] == "word word "
    assert code(heard) == "cut_off"


async def test_a_broken_connection_keeps_the_words() -> None:
    heard = await hear(events(WORD, httpx.ReadError("gone")))
    assert (heard[0], code(heard)) == ("word ", "cut_off")


async def test_a_connection_that_breaks_after_the_end_lost_nothing() -> None:
    assert await hear(events(WORD, STOP, httpx.ReadError("gone"))) == ("word ", None)


async def test_a_server_that_is_not_there_is_told_with_its_address() -> None:
    heard = await hear(httpx.ConnectError("refused"))
    assert code(heard) == "unreachable"
    assert heard[1] and "http://server.invalid/v1" in heard[1].cause


async def test_an_answer_of_another_shape_is_garbage_and_no_crash() -> None:
    assert code(await hear(events(b'data: {"choices":[7]}\n\n'))) == "garbage"
    assert code(await hear(events(b"data: <html>\n\n"))) == "garbage"


async def test_a_sign_that_no_database_takes_is_replaced() -> None:
    said = rb'data: {"choices":[{"delta":{"content":"a\u0000b"}}]}' + b"\n\n"
    assert await hear(events(said, STOP)) == ("a\N{REPLACEMENT CHARACTER}b", None)


class Silent(Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in super().__aiter__():
            yield piece
        await asyncio.Event().wait()


@pytest.mark.parametrize("pieces", [(), (b": keep-alive\n\n",), (WORD,)])
async def test_silence_ends_at_its_deadline(pieces: tuple[bytes, ...]) -> None:
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Silent(*pieces))
    heard = await hear(answer, first_token_deadline=0.05, idle_deadline=0.05)
    assert code(heard) == "timeout"
    assert heard[0] == ("word " if WORD in pieces else "")


class Endless(Body):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield WORD
            await asyncio.sleep(0.001)


async def test_an_answer_that_goes_on_and_on_ends_at_its_own_deadline_with_its_words() -> None:
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Endless())
    heard = await hear(answer, deadline=time.monotonic() + 0.1)
    assert code(heard) == "timeout"
    assert heard[0].startswith("word ")


async def test_closing_the_answer_closes_the_connection() -> None:
    body = Body(WORD, WORD, STOP)
    with upstream(httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=body)):
        said = provider("openai").stream(call())
        async for piece in said:
            if isinstance(piece, Delta):
                break
        assert not body.closed
        await said.aclose()  # type: ignore[attr-defined]
    assert body.closed


async def test_the_end_is_the_last_thing_said() -> None:
    with upstream(events(WORD, STOP)):
        said = [piece async for piece in provider("openai").stream(call())]
    assert said[-1] == Ended(finish_reason="stop")


@pytest.mark.parametrize(
    ("status", "body", "expected", "permanent"),
    [
        (429, b'{"error":{"message":"You exceeded your current quota","code":"insufficient_quota"}}', "quota", True),
        (429, b'{"error":{"message":"Slow down","code":"rate_limit_exceeded"}}', "rate_limited", False),
        (400, b'{"code":"invalid-argument","error":"Incorrect API key provided."}', "auth", True),
        (400, b'{"error":{"code":"context_length_exceeded","message":"Too long"}}', "context_overflow", True),
        (404, b'{"error":{"message":"model m not found"}}', "not_found", True),
        (502, b"<html><title>Bad gateway</title></html>", "server_error", False),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded", False),
        (500, b'{"error":{"message":"CUDA out of memory"}}', "out_of_memory", False),
        (503, b"", "overloaded", False),
    ],
)
def test_a_refusal_has_one_of_our_codes(status: int, body: bytes, expected: str, permanent: bool) -> None:
    failure = from_response(status, {}, body).failure
    assert (failure.code, failure.permanent) == (expected, permanent)


@pytest.mark.parametrize(
    ("headers", "said", "seconds"),
    [
        ({"retry-after": "12"}, "", 12),
        ({"retry-after-ms": "250"}, "", 0.25),
        ({"retry-after": "0", "retry-after-ms": "0"}, "", None),
        ({}, "Please try again in 6ms.", 0.006),
        ({}, "Please try again in 1m47.5s.", 107.5),
        ({}, "Please try again in 9m38.016s.", 578.016),
        ({}, "Please retry in 86400 seconds.", 3600),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, "", None),
    ],
)
def test_a_hint_when_to_try_again_is_read_and_capped(headers: dict[str, str], said: str, seconds: float | None) -> None:
    body = b'{"error":{"message":"' + said.encode() + b'"}}'
    wait = from_response(429, headers, body).failure.retry_after
    assert wait == (pytest.approx(seconds) if seconds else None)


def test_a_key_in_the_provider_s_words_is_not_passed_on() -> None:
    assert "sk-proj" not in failed("auth", "Incorrect API key provided: sk-proj-abcdefgh12345678.").failure.cause
