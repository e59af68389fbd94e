"""Anthropic's Messages. Reference: https://docs.anthropic.com/en/api/messages-streaming"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import orjson

from workspace.providers import http
from workspace.providers.asking import Question, ask
from workspace.providers.base import Address, Call, Cited, Ended, Said, Secret, Source, Wire
from workspace.providers.errors import failed, from_object
from workspace.providers.exchange import GO_ON, image_of, object_of, tool_call
from workspace.providers.quirks import quirks_of, takes_sampling, thinking_of
from workspace.types import Delta, Evidence, PromptMessage, Reasoning, Usage

VERSION = "2023-06-01"
MAX_TOKENS = 8_192  # the protocol wants a limit; this one every current model takes
COUNTED = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
MIN_BUDGET = 1_024  # the least they take
NOT_PARAMETERS = {"messages", "model", "stream", "system"}


class Anthropic:
    kind: ClassVar[str] = "anthropic"
    label: ClassVar[str] = "Anthropic (Messages)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        passages = given(call)
        plain = await body_of(replace(call, unquoted=None)) if passages else {}

        def amended(body: dict[str, Any], words: str) -> dict[str, Any] | None:
            """Newer models take no beginning of their answer: asked to go on in words instead. Who takes no passages
            as blocks reads them in the prompt."""
            if "prefill" in words and call.so_far:
                return {**body, "messages": [*body["messages"], {"role": "user", "content": GO_ON}]}
            return plain if passages and ("search_result" in words or "citation" in words) else None

        question = Question(
            path="/messages",
            body=await body_of(call),
            headers=headers_of(call.address),
            reader=partial(Reader, [passage.number for passage in passages]),
            not_parameters=NOT_PARAMETERS,
            amend=amended,
        )
        async with aclosing(ask(call, question)) as pieces:
            async for said in pieces:
                yield said

    async def models(self, address: Address) -> list[str]:
        rows = await http.listed(address, "/models?limit=1000", key="data", headers=headers_of(address))
        return sorted(str(row["id"]) for row in rows if "id" in row)


async def body_of(call: Call) -> dict[str, Any]:
    """The request. Thoughts of earlier answers and their signatures stay here: only a loop of tools needs them back."""
    messages = [
        {"role": "assistant" if message.role == "model" else "user", "content": await _content(message, call)}
        for message in call.messages
    ]
    if call.so_far:
        messages.append({"role": "assistant", "content": call.so_far.rstrip()})
    body: dict[str, Any] = {"model": call.model, "messages": messages, "stream": True}
    if passages := given(call):
        asked = next(n for n in reversed(range(len(call.messages))) if messages[n]["role"] == "user")
        words = messages[asked]["content"]
        told = [{"type": "text", "text": words}] if isinstance(words, str) else words
        messages[asked] = {"role": "user", "content": [*map(_block_of, passages), *told]}
    if system := call.unquoted if passages else call.system:
        body["system"] = system
    return body | _parameters(call)


def given(call: Call) -> Sequence[Evidence]:
    """The passages that go as blocks of their own, which the model then cites by itself."""
    asked = any(message.role != "model" for message in call.messages)
    native = call.unquoted is not None and asked and quirks_of(call.address, call.model).cites
    return call.evidence if native else ()


def _block_of(passage: Evidence) -> dict[str, Any]:
    return {
        "type": "search_result",
        "source": passage.url or f"passage {passage.number}",
        "title": ", ".join(filter(None, (passage.title, passage.where))),
        "content": [{"type": "text", "text": passage.text}],
        "citations": {"enabled": True},
    }


def _parameters(call: Call) -> dict[str, Any]:
    """Ours in their words. A budget for thoughts is part of ``max_tokens``, which must be more."""
    quirks = quirks_of(call.address, call.model)
    ours = {name: value for name, value in call.parameters.items() if value is not None}
    thinking = thinking_of(quirks, ours)
    theirs: dict[str, Any] = {"max_tokens": ours.get("max_tokens", MAX_TOKENS)}
    if stop := ours.get("stop"):
        theirs["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if thinking.off:
        theirs["thinking"] = {"type": "disabled"}
    elif thinking.level:
        theirs["thinking"] = {"type": "adaptive", "display": "summarized"}
        theirs["output_config"] = {"effort": thinking.level}
    elif thinking.budget is not None:
        budget = max(thinking.budget, MIN_BUDGET)
        theirs["thinking"] = {"type": "enabled", "budget_tokens": budget}
        theirs["max_tokens"] = max(theirs["max_tokens"], budget + 1_024)
    if takes_sampling(quirks, thinking) and (thinking.off or not thinking.asked):
        theirs |= {name: ours[name] for name in ("temperature", "top_p") if name in ours}
    if "temperature" in theirs:
        theirs["temperature"] = min(theirs["temperature"], 1)  # ours go to 2
    return theirs


def headers_of(address: Address) -> dict[str, str]:
    return {"anthropic-version": VERSION} | ({"x-api-key": Secret(address.key)} if address.key else {})


class Reader:
    """Pieces of one answer out of its events. Blocks and deltas of unknown kinds pass by. ``numbers`` are of the
    passages that were given as blocks, in their order."""

    def __init__(self, numbers: Sequence[int] = ()) -> None:
        self._numbers = numbers
        self._cited: list[Cited] = []  # by the block of text that is being written
        self._id: str | None = None
        self._model = ""
        self._finish: str | None = None
        self._stopped = False
        self._counts: dict[str, Any] = {}
        self._tools: dict[int, _Tool] = {}
        self._sources: set[str] = set()

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        event = object_of(data)
        kind = event.get("type")
        if kind == "content_block_delta":
            yield from self._delta(event.get("index") or 0, event.get("delta") or {})
        elif kind == "content_block_start":
            yield from self._block(event.get("index") or 0, event.get("content_block") or {})
        elif kind == "content_block_stop":
            yield from self._told()
        elif kind == "message_start":
            self._start(event.get("message") or {})
        elif kind == "message_delta":
            self._finish = (event.get("delta") or {}).get("stop_reason") or self._finish
            self._count(event.get("usage") or {})
        elif kind == "message_stop":
            self._stopped = True
        elif kind == "error" or event.get("error"):
            raise from_object(event.get("error") or event, finish_reason=self._finish or "")

    def whole(self, body: bytes) -> Iterator[Said]:
        message = object_of(body)
        if message.get("type") == "error" or not isinstance(message.get("content"), list):
            raise from_object(message.get("error") or message)
        self._start(message)
        for index, block in enumerate(message["content"]):
            yield from self._block(index, block)
            yield from self._told()
        self._finish, self._stopped = message.get("stop_reason"), True

    def known(self) -> Iterator[Said]:
        for tool in self._tools.values():
            yield tool_call(tool.id, tool.name, tool.arguments)
        if self._counts:
            yield _usage(self._counts)

    def ended(self) -> Ended:
        if self._finish is None and not self._stopped:
            raise failed("cut_off")
        return Ended(finish_reason=self._finish or "", model=self._model)

    def _start(self, message: Mapping[str, Any]) -> None:
        id = message.get("id") or ""
        if self._id is not None:
            if id == self._id:
                return  # some go-betweens send it twice
            said = "second message_start in one stream"
            raise failed("garbage", said, wire=Wire(type="stream_protocol_error", message=said))
        self._id, self._model = id, message.get("model") or ""
        self._count(message.get("usage") or {})

    def _count(self, usage: Mapping[str, Any]) -> None:
        """What comes later is the whole so far, not an addition; what it leaves out stays."""
        self._counts |= {name: value for name, value in usage.items() if value is not None}

    def _block(self, index: int, block: Mapping[str, Any]) -> Iterator[Said]:
        kind = block.get("type")
        if kind == "text" and block.get("text"):
            yield Delta(block["text"])
        elif kind == "thinking" and block.get("thinking"):
            yield Reasoning(block["thinking"])
        elif kind == "tool_use":
            given = block.get("input")
            raw = orjson.dumps(given).decode() if given else ""
            self._tools[index] = _Tool(block.get("id") or "", block.get("name") or "", raw)
        for citation in block.get("citations") or ():
            yield from self._cite(citation)

    def _delta(self, index: int, delta: Mapping[str, Any]) -> Iterator[Said]:
        kind = delta.get("type")
        if kind == "text_delta":
            yield Delta(delta["text"])
        elif kind == "thinking_delta":
            if thought := delta.get("thinking"):
                yield Reasoning(thought)
        elif kind == "input_json_delta" and index in self._tools:
            self._tools[index].arguments += delta.get("partial_json") or ""
        elif kind == "citations_delta":
            yield from self._cite(delta.get("citation") or {})

    def _cite(self, citation: Mapping[str, Any]) -> Iterator[Said]:
        """Kept until the block of text that rests on it is over."""
        url, title = citation.get("url"), citation.get("title") or ""
        place = citation.get("search_result_index")
        number = self._numbers[place] if isinstance(place, int) and 0 <= place < len(self._numbers) else 0
        cited = Cited(number=number, url=url if isinstance(url, str) else "", title=str(title))
        if cited not in self._cited:
            self._cited.append(cited)
        if isinstance(url, str) and url not in self._sources:
            self._sources.add(url)
            yield Source(url=url, title=title)

    def _told(self) -> Iterator[Said]:
        cited, self._cited = self._cited, []
        yield from cited


class _Tool:
    def __init__(self, id: str, name: str, arguments: str) -> None:
        self.id, self.name, self.arguments = id, name, arguments


async def _content(message: PromptMessage, call: Call) -> str | list[dict[str, Any]]:
    images = [part for part in message.parts if part.kind == "image" and "images" in call.abilities]
    texts = [part.text for part in message.parts if part.kind == "text"]
    if not images:
        return "\n\n".join(texts)
    shown = [
        {"type": "base64", "media_type": image.media_type, "data": await image_of(image, call)} for image in images
    ]
    return [
        *({"type": "image", "source": source} for source in shown),
        *({"type": "text", "text": text} for text in texts if text),
    ]


def _usage(raw: Mapping[str, Any]) -> Usage:
    billed = billed_of(raw)
    cached, written = billed["cache_read_input_tokens"], billed["cache_creation_input_tokens"]
    return Usage(
        input=billed["input_tokens"] + cached + written,
        output=billed["output_tokens"],
        cached=cached,
        cache_write=written,
        reasoning=(raw.get("output_tokens_details") or {}).get("thinking_tokens") or 0,
    )


def billed_of(raw: Mapping[str, Any]) -> dict[str, int]:
    """What is paid for. After a compaction or a fallback the counts are of the last round alone: all are added."""
    rounds = [one for one in raw.get("iterations") or () if isinstance(one, dict)]
    paid = rounds if any(one.get("type") in ("compaction", "fallback_message") for one in rounds) else [raw]
    return {name: sum(one.get(name) or 0 for one in paid) for name in COUNTED}
