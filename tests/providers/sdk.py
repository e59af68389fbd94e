"""The other side as the official SDKs describe it: their types say what a request may hold, and make the answers.

``strangers`` holds a JSON value against their TypedDicts and Pydantic models: every key known, every value of its type.
"""

from __future__ import annotations

import collections.abc
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin

import orjson
from anthropic.types import (
    Message,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawContentBlockStopEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStopEvent,
    TextBlock,
    TextDelta,
    ThinkingBlock,
    ThinkingDelta,
)
from anthropic.types.message_create_params import MessageCreateParamsStreaming
from google.genai import types as gemini
from openai.types.chat import ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
from pydantic import BaseModel, ValidationError
from typing_extensions import get_type_hints, is_typeddict

MANY = (list, collections.abc.Iterable, collections.abc.Sequence, collections.abc.Collection)
MAPPED = (dict, collections.abc.Mapping)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What an answer is made of, and what is to be heard of it."""

    text: str = "Ein Apfel \N{RED APPLE}, sonst nichts."
    reasoning: str = "An apple\N{LINE SEPARATOR}is asked for."
    input: int = 11
    output: int = 7


def strangers(value: Any, hint: Any, at: str = "") -> list[str]:
    """What of ``value`` does not fit the type; nothing when all does."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Annotated, Required, NotRequired):
        return strangers(value, inner[0], at)
    if origin in (Union, types.UnionType):
        tries = [strangers(value, one, at) for one in inner]
        return [] if [] in tries else min(tries, key=lambda found: (-max(len(one) for one in found), len(found)))
    if origin is Literal:
        return [] if value in inner else [f"{at} is {value!r}"]
    if origin in MANY:
        return _each(value, inner, at)
    if origin in MAPPED:
        return [] if isinstance(value, dict) else [f"{at} is no object"]
    if is_typeddict(hint):
        return _fields(value, hint, at)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return _model(value, hint, at)
    return _plain(value, hint, at)


def _each(value: Any, inner: tuple[Any, ...], at: str) -> list[str]:
    if not isinstance(value, list):
        return [f"{at} is no list"]
    return [found for n, one in enumerate(value) for found in strangers(one, inner[0], f"{at}[{n}]")]


def _fields(value: Any, hint: Any, at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at} is no object"]
    hints = get_type_hints(hint, include_extras=True)
    found = [f"{at}.{name} is missing" for name in hint.__required_keys__ - value.keys()]
    found += [f"{at}.{name} is unknown" for name in value.keys() - hints.keys()]
    return found + [
        wrong for name, one in value.items() if name in hints for wrong in strangers(one, hints[name], f"{at}.{name}")
    ]


def _model(value: Any, hint: type[BaseModel], at: str) -> list[str]:
    """Google's models forbid what they don't know; written back in their names they are what came."""
    try:
        model = hint.model_validate(value)
    except ValidationError as error:
        return [f"{at}.{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
    again = orjson.loads(model.model_dump_json(by_alias=True, exclude_unset=True))
    return [] if _lower(again) == _lower(value) else [f"{at} was read as {again}"]


def _lower(value: Any) -> Any:
    """Names of levels are read in any case; base64 in either alphabet."""
    if isinstance(value, dict):
        return {name: _lower(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_lower(one) for one in value]
    return value.lower().replace("+", "-").replace("/", "_") if isinstance(value, str) else value


def _plain(value: Any, hint: Any, at: str) -> list[str]:
    if hint in (Any, object):
        return []
    taken: Any = {float: (int, float), int: int, str: str, bool: bool, type(None): type(None), None: type(None)}.get(
        hint
    )
    if taken is None:
        return [f"{at}: {hint} is no type of JSON"]
    fits = isinstance(value, taken) and (hint is bool or not isinstance(value, bool))
    return [] if fits else [f"{at} is {value!r}"]


def gemini_strangers(body: Mapping[str, Any]) -> list[str]:
    parts = {
        "contents": list[gemini.Content],
        "systemInstruction": gemini.Content,
        "generationConfig": gemini.GenerationConfig,
    }
    found = [f"{name} is unknown" for name in body.keys() - parts.keys()]
    return found + [
        wrong for name, hint in parts.items() if name in body for wrong in strangers(body[name], hint, name)
    ]


def chat_completions(words: Words) -> Iterator[bytes]:
    def chunk(choices: list[Any], usage: Any = None) -> bytes:
        whole = {"id": "c", "created": 1, "model": "m", "object": "chat.completion.chunk", "choices": choices}
        return _event(ChatCompletionChunk.model_validate(whole | {"usage": usage}))

    yield chunk([{"index": 0, "delta": {"role": "assistant", "reasoning_content": words.reasoning}}])
    for part in _halves(words.text):
        yield chunk([{"index": 0, "delta": {"content": part}}])
    yield chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}])
    counts = {"prompt_tokens": words.input, "completion_tokens": words.output}
    yield chunk([], counts | {"total_tokens": words.input + words.output})
    yield b"data: [DONE]\n\n"


def responses(words: Words) -> Iterator[bytes]:
    common: dict[str, Any] = {"item_id": "i", "sequence_number": 1}
    yield _event(
        ResponseReasoningSummaryTextDeltaEvent(
            **common,
            delta=words.reasoning,
            output_index=0,
            summary_index=0,
            type="response.reasoning_summary_text.delta",
        )
    )
    for part in _halves(words.text):
        yield _event(
            ResponseTextDeltaEvent(
                **common, delta=part, content_index=0, output_index=1, logprobs=[], type="response.output_text.delta"
            )
        )
    usage = {
        "input_tokens": words.input, "output_tokens": words.output, "total_tokens": words.input + words.output,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip
    whole = {
        "id": "r", "created_at": 1, "model": "m", "object": "response", "output": [], "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "status": "completed", "usage": usage,
    }  # fmt: skip
    done = {"type": "response.completed", "sequence_number": 2, "response": Response.model_validate(whole)}
    yield _event(ResponseCompletedEvent.model_validate(done))


def messages(words: Words) -> Iterator[bytes]:
    usage = {"input_tokens": words.input, "output_tokens": 1}
    begun = {
        "id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": usage,
    }  # fmt: skip
    yield _event(RawMessageStartEvent(type="message_start", message=Message.model_validate(begun)), named=True)
    blocks: list[tuple[Any, list[Any]]] = [
        (ThinkingBlock(type="thinking", thinking="", signature=""),
         [ThinkingDelta(type="thinking_delta", thinking=words.reasoning)]),
        (TextBlock(type="text", text=""), [TextDelta(type="text_delta", text=part) for part in _halves(words.text)]),
    ]  # fmt: skip
    for index, (block, deltas) in enumerate(blocks):
        start = {"type": "content_block_start", "index": index, "content_block": block}
        yield _event(RawContentBlockStartEvent.model_validate(start), named=True)
        for delta in deltas:
            piece = {"type": "content_block_delta", "index": index, "delta": delta}
            yield _event(RawContentBlockDeltaEvent.model_validate(piece), named=True)
        yield _event(RawContentBlockStopEvent(type="content_block_stop", index=index), named=True)
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": words.output}}
    yield _event(RawMessageDeltaEvent.model_validate(end), named=True)
    yield _event(RawMessageStopEvent(type="message_stop"), named=True)


def generated(words: Words) -> Iterator[bytes]:
    parts: list[dict[str, Any]] = [{"text": words.reasoning, "thought": True}]
    parts += [{"text": part} for part in _halves(words.text)]
    for part in parts:
        yield _event(_frame({"content": {"role": "model", "parts": [part]}}))
    counts = {"promptTokenCount": words.input, "candidatesTokenCount": words.output}
    yield _event(_frame({"finishReason": "STOP"}, usageMetadata=counts))


def _frame(candidate: dict[str, Any], **rest: Any) -> gemini.GenerateContentResponse:
    return gemini.GenerateContentResponse.model_validate({"candidates": [candidate], "modelVersion": "m", **rest})


def _event(value: BaseModel, *, named: bool = False) -> bytes:
    data = value.model_dump_json(by_alias=True, exclude_none=True, warnings=False).encode()
    name = f"event: {value.type}\n".encode() if named else b""  # type: ignore[attr-defined]
    return name + b"data: " + data + b"\n\n"


def _halves(text: str) -> tuple[str, str]:
    return text[: len(text) // 2], text[len(text) // 2 :]


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """``strangers`` of a request, the ``answer`` to it, and models that differ in what they take. ``older`` ones still
    take the ``dropped`` fields, which the newest types have no more."""

    strangers: Callable[[Mapping[str, Any]], list[str]]
    answer: Callable[[Words], Iterator[bytes]]
    models: tuple[str, ...]
    older: tuple[str, ...] = ()
    dropped: frozenset[str] = frozenset()


PROTOCOLS = {
    "openai": Protocol(
        strangers=lambda body: strangers(body, CompletionCreateParamsStreaming),
        answer=chat_completions,
        models=("gpt-4.1", "gpt-5.5", "o1-mini", "a-local-model"),
    ),
    "openai-responses": Protocol(
        strangers=lambda body: strangers(body, ResponseCreateParamsStreaming),
        answer=responses,
        models=("gpt-4.1", "gpt-5.2", "o3"),
    ),
    "anthropic": Protocol(
        strangers=lambda body: strangers(body, MessageCreateParamsStreaming),
        answer=messages,
        models=("claude-haiku-4-5", "claude-opus-4-6", "claude-sonnet-5", "a-claude-of-next-year"),
        older=("claude-haiku-4-5", "claude-opus-4-6"),
        dropped=frozenset({".temperature is unknown", ".top_p is unknown"}),
    ),
    "gemini": Protocol(
        strangers=gemini_strangers,
        answer=generated,
        models=("gemini-2.5-flash", "gemini-3-pro-preview", "gemini-next"),
    ),
}
