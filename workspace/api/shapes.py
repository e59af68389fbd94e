"""What another program reads: answers, chunks and lists in the shapes of OpenAI's and Ollama's protocols.

Pure. References: https://platform.openai.com/docs/api-reference/chat/object, https://docs.ollama.com/api/generate
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol
from uuid import UUID

import orjson

from workspace.api.refusals import Refusal
from workspace.router.run_rows import Outcome
from workspace.types import Delta, Manifest, Reasoning, Usage

DONE = b"data: [DONE]\n\n"

# A provider's own word for the end of an answer; whatever is not here is a plain end.
FINISHES = {
    "length": "length", "max_tokens": "length", "max_output_tokens": "length", "MAX_TOKENS": "length",
    "model_length": "length", "model_context_window_exceeded": "length",
    "content_filter": "content_filter", "refusal": "content_filter", "SAFETY": "content_filter",
    "RECITATION": "content_filter", "BLOCKLIST": "content_filter", "PROHIBITED_CONTENT": "content_filter",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What every piece of one answer says of it."""

    run: UUID
    model: str
    reason: str
    created: int

    @property
    def ours(self) -> dict[str, str]:
        return {"run": str(self.run), "reason": self.reason, "model": self.model}


class Written(Protocol):
    """One streamed answer in the bytes of a protocol."""

    media_type: ClassVar[str]

    def first(self) -> bytes: ...

    def piece(self, piece: Delta | Reasoning) -> bytes: ...

    def last(self, outcome: Outcome) -> bytes: ...

    def broken(self, refusal: Refusal) -> bytes:
        """In place of ``last``, when the answer broke off."""
        ...


class Chunks:
    """OpenAI's: chunks as server-sent events. What does not change is written once: an answer of a
    thousand pieces costs a thousand joins."""

    media_type: ClassVar[str] = "text/event-stream; charset=utf-8"

    def __init__(self, about: About, *, usage: bool) -> None:
        self._about = about
        head = _head(about, "chat.completion.chunk")
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":[{"index":0,"delta":{'
        self._tail = b'},"logprobs":null,"finish_reason":null}]' + (b',"usage":null' if usage else b"") + b"}\n\n"
        self._usage = usage

    def first(self) -> bytes:
        """Says who speaks, and why."""
        return self._chunk({"role": "assistant", "content": ""}, None, onepane=self._about.ours)

    def piece(self, piece: Delta | Reasoning) -> bytes:
        name = b'"content":' if type(piece) is Delta else b'"reasoning_content":'
        return self._head + name + orjson.dumps(piece.text) + self._tail

    def last(self, outcome: Outcome) -> bytes:
        end = self._chunk({}, finish_of(outcome.manifest), onepane=self._about.ours)
        if self._usage:
            usage = {**_head(self._about, "chat.completion.chunk"), "choices": [], "usage": usage_of(outcome.manifest)}
            end += _event(usage)
        return end + DONE

    def broken(self, refusal: Refusal) -> bytes:
        return _event(refusal.body())

    def _chunk(self, delta: dict[str, str], finish: str | None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        usage = {"usage": None} if self._usage else {}
        return _event({**_head(self._about, "chat.completion.chunk"), "choices": [choice], **usage, **more})


class Lines:
    """Ollama's: an object a line. Reasoning has no place in them."""

    media_type: ClassVar[str] = "application/x-ndjson"

    def __init__(self, about: About) -> None:
        self._about = about

    def first(self) -> bytes:
        return b""

    def piece(self, piece: Delta | Reasoning) -> bytes:
        return _line(_generating(self._about, piece.text)) if type(piece) is Delta else b""

    def last(self, outcome: Outcome) -> bytes:
        return _line({**generated(self._about, outcome), "response": ""})

    def broken(self, refusal: Refusal) -> bytes:
        return _line({"error": refusal.message})


def completion(about: About, outcome: Outcome) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": outcome.text, "refusal": None}
    if outcome.reasoning:
        message["reasoning_content"] = outcome.reasoning
    finish = finish_of(outcome.manifest)
    return {
        **_head(about, "chat.completion"),
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
        "usage": usage_of(outcome.manifest),
        "onepane": about.ours,
    }


def usage_of(manifest: Manifest) -> dict[str, Any]:
    """As the provider counted; what was only estimated says so."""
    usage = manifest.usage or Usage(estimated=True)
    counted = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
    return {**counted, "estimated": True} if usage.estimated else counted


def finish_of(manifest: Manifest) -> str:
    return FINISHES.get(manifest.finish_reason, "stop")


def models(rows: Iterable[tuple[str, datetime, str]]) -> dict[str, Any]:
    return {"object": "list", "data": [model(*row) for row in rows]}


def model(name: str, created: datetime, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": int(created.timestamp()), "owned_by": owner}


def generated(about: About, outcome: Outcome) -> dict[str, Any]:
    """A whole answer to ``generate``; durations are nanoseconds."""
    manifest = outcome.manifest
    usage, timings = manifest.usage or Usage(), manifest.timings
    total, first = timings.total or 0.0, timings.first_token or 0.0
    return {
        **_generating(about, outcome.text),
        "done": True,
        "done_reason": finish_of(manifest),
        "total_duration": int(total * 1e9),
        "prompt_eval_count": usage.input,
        "prompt_eval_duration": int(first * 1e9),
        "eval_count": usage.output,
        "eval_duration": int((total - first) * 1e9),
        "onepane": about.ours,
    }


def now() -> int:
    return int(time.time())


def _generating(about: About, text: str) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"model": about.model, "created_at": now, "response": text, "done": False}


def _event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _line(value: Any) -> bytes:
    return orjson.dumps(value) + b"\n"


def _head(about: About, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{about.run}", "object": kind, "created": about.created, "model": about.model}
