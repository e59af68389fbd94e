"""Recorded traffic played through the whole path of its provider, and what comes out held against what should.

A folder holds PROTOCOL/NAME.meta.json beside bodies; ``expect`` in each says what the bytes mean. Usage is
compared after the same unification that a provider does (our input includes what was cached, our output the
reasoning). A refusal counts as text; reasoning of several parts is joined by a blank line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import orjson

from workspace.providers import http
from workspace.providers.anthropic import billed_of
from workspace.providers.base import Address, Call, Ended, ProviderError, Source, ToolCall
from workspace.providers.registry import provider
from workspace.types import Delta, PromptMessage, Reasoning, Usage, text_part

KINDS = {
    "openai_compatible": "openai",
    "anthropic": "anthropic",
    "gemini": "gemini",
    "openai_responses": "openai-responses",
}

Cut = Callable[[bytes], list[bytes]]


@dataclass(frozen=True, slots=True)
class Case:
    """One recorded exchange: its description and the body as it came."""

    name: str
    protocol: str
    meta: Mapping[str, Any]
    body: bytes

    @property
    def expect(self) -> Mapping[str, Any]:
        return self.meta["expect"]


@dataclass(slots=True)
class Heard:
    """All that one call yielded."""

    text: str = ""
    reasoning: str = ""
    tools: list[ToolCall] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    usage: Usage | None = None
    finish: str = ""
    error: ProviderError | None = None


def cases_in(folder: Path) -> list[Case]:
    """Every case below ``folder`` whose protocol we speak, in order of name."""
    found = []
    for path in sorted(folder.rglob("*.meta.json")):
        meta = orjson.loads(path.read_bytes())
        body = (path.parent / meta["body_file"]).read_bytes()
        found.append(Case(f"{meta['protocol']}/{meta['name']}", meta["protocol"], meta, body))
    return found


def in_one(body: bytes) -> list[bytes]:
    return [body]


def byte_by_byte(body: bytes) -> list[bytes]:
    return [body[place : place + 1] for place in range(len(body))]


async def differences(case: Case, cut: Cut = in_one) -> list[str]:
    """What comes out other than it should; nothing when all is right."""
    return compare(case, await hear(case, cut))


async def hear(case: Case, cut: Cut = in_one) -> Heard:
    """The case through its provider, the body arriving in the pieces that ``cut`` makes."""
    pieces = cut(case.body)

    def answer(_request: httpx.Request) -> httpx.Response:
        usual = "text/event-stream" if case.meta["body_file"].endswith("sse") else "application/json"
        headers = {"content-type": usual} | case.meta["response_headers"]
        return httpx.Response(case.meta["http_status"], headers=headers, stream=_Pieces(pieces))

    heard = Heard()
    with http.answered_by(httpx.MockTransport(answer)):
        try:
            async with asyncio.timeout(60):
                await _listen(provider(KINDS[case.protocol]).stream(_call(case)), heard)
        except ProviderError as error:
            heard.error = error
            heard.finish = error.finish_reason
    return heard


def compare(case: Case, heard: Heard) -> list[str]:
    expect, error = case.expect, heard.error
    parts = expect.get("reasoning_parts")
    pairs: dict[str, tuple[Any, Any]] = {
        "text": (expect["text"] + (expect.get("refusal") or ""), heard.text),
        "reasoning": ("\n\n".join(parts) if parts else expect["reasoning"] or "", heard.reasoning),
        "tool_calls": (
            _tools(expect["tool_calls"], heard.tools),
            [_heard_tool(tool) for tool in heard.tools],
        ),
        "finish_reason": (expect["finish_reason"] or "", heard.finish),
        "usage": (_usage(expect["usage"], case.protocol), heard.usage),
        "sources": (_sources(expect["sources"]), [(source.url, source.title) for source in heard.sources]),
        "error": (_error(expect["error"]), _heard_error(error)),
    }
    if expect["error"] and expect["error"].get("retry_hint_s"):
        pairs["retry_after"] = (expect["error"]["retry_hint_s"], error.failure.retry_after if error else None)
    return [f"{name}: {wanted!r} came as {came!r}" for name, (wanted, came) in pairs.items() if wanted != came]


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def _call(case: Case) -> Call:
    messages = (PromptMessage(role="person", parts=(text_part("recorded"),)),)
    address = Address(base_url="http://recorded.invalid/v1", key="")
    return Call(address=address, model=case.meta.get("model") or "recorded", messages=messages)


async def _listen(said: AsyncIterator[Any], heard: Heard) -> None:
    async for piece in said:
        if isinstance(piece, Delta):
            heard.text += piece.text
        elif isinstance(piece, Reasoning):
            heard.reasoning += piece.text
        elif isinstance(piece, ToolCall):
            heard.tools.append(piece)
        elif isinstance(piece, Source):
            heard.sources.append(piece)
        elif isinstance(piece, Usage):
            heard.usage = piece
        elif isinstance(piece, Ended):
            heard.finish = piece.finish_reason


def _tools(expected: list[Mapping[str, Any]], heard: list[ToolCall]) -> list[tuple[Any, ...]]:
    """Recordings of parsed JSON know no raw arguments: there only the parsed ones are compared."""
    raw = [tool.arguments_raw for tool in heard]
    written = [tool.get("arguments_raw") for tool in expected]
    return [
        (
            tool["id"] or "",
            tool["name"] or "",
            tool["arguments"],
            given if given is not None else "".join(raw[n : n + 1]),
        )
        for n, (tool, given) in enumerate(zip(expected, written, strict=True))
    ]


def _heard_tool(tool: ToolCall) -> tuple[Any, ...]:
    return (tool.id, tool.name, tool.arguments, tool.arguments_raw)


def _sources(expected: list[Mapping[str, Any]]) -> list[tuple[str, str]]:
    first: dict[str, tuple[str, str]] = {}
    for source in expected:
        url, title = source["url"] or "", source["title"] or ""
        first.setdefault(url or title, (url, title))
    return list(first.values())


def _usage(expected: Mapping[str, Any] | None, protocol: str) -> Usage | None:
    if not expected:
        return None
    counts: dict[str, Any] = {
        name: expected.get(name) or 0 for name in ("input", "output", "cached", "cache_write", "reasoning")
    }
    if not any(isinstance(expected.get(name), int) for name in ("input", "output", "total")):
        return None
    if protocol == "anthropic":
        billed = billed_of(expected.get("raw") or {})
        if (expected.get("raw") or {}).get("iterations"):
            counts |= dict(zip(("input", "output", "cached", "cache_write"), billed.values(), strict=True))
        counts["input"] += counts["cached"] + counts["cache_write"]
    if protocol == "gemini":
        counts["input"] += expected.get("tool_prompt") or 0
        counts["output"] += counts["reasoning"]
    if protocol == "openai_compatible" and counts["reasoning"]:
        apart = expected.get("total") == counts["input"] + counts["output"] + counts["reasoning"]
        counts["output"] += counts["reasoning"] if apart else 0
    return Usage(**counts)


def _error(expected: Mapping[str, Any] | None) -> tuple[Any, ...] | None:
    if not expected:
        return None
    return (expected["type"], expected["code"], expected["message"], expected.get("http_status"))


def _heard_error(error: ProviderError | None) -> tuple[Any, ...] | None:
    """An error of ours alone (the connection broke, the model refused) is none on the wire."""
    if error is None or error.wire is None:
        return None
    return (error.wire.type, error.wire.code, error.wire.message, error.wire.status)
