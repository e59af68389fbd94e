"""OpenAI's Responses. Reference: https://platform.openai.com/docs/api-reference/responses-streaming"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from workspace.providers.asking import Question, ask
from workspace.providers.base import Call, Cited, Ended, Said, Source
from workspace.providers.errors import failed, from_object
from workspace.providers.exchange import GO_ON, image_of, object_of, tool_call
from workspace.providers.openai import OpenAI, headers_of
from workspace.providers.quirks import quirks_of, takes_sampling, thinking_of
from workspace.types import Delta, PromptMessage, Reasoning, Usage

NOT_PARAMETERS = {"input", "model", "stream", "instructions"}
THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
TOOLS = ("function_call", "custom_tool_call")


class OpenAIResponses(OpenAI):
    kind: ClassVar[str] = "openai-responses"
    label: ClassVar[str] = "OpenAI (Responses)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        question = Question(
            path="/responses",
            body=await body_of(call),
            headers=headers_of(call.address),
            reader=Reader,
            not_parameters=NOT_PARAMETERS,
        )
        async with aclosing(ask(call, question)) as pieces:
            async for said in pieces:
                yield said


async def body_of(call: Call) -> dict[str, Any]:
    """The request; nothing is kept at the provider. Reasoning stays here: encrypted items go back only among tools."""
    messages = [
        {"role": "assistant" if message.role == "model" else "user", "content": await _content(message, call)}
        for message in call.messages
    ]
    if call.so_far:
        messages.append({"role": "assistant", "content": call.so_far})
        messages.append({"role": "user", "content": GO_ON})
    ours = {name: value for name, value in call.parameters.items() if value is not None}
    body: dict[str, Any] = {"model": call.model, "input": messages, "stream": True, "store": False}
    if call.system:
        body["instructions"] = call.system
    if "max_tokens" in ours:
        body["max_output_tokens"] = ours["max_tokens"]
    quirks = quirks_of(call.address, call.model)
    thinking = thinking_of(quirks, ours)
    if thinking.level:
        shown = {} if thinking.off else {"summary": "auto"}
        body["reasoning"] = {"effort": thinking.level, **shown}
    if takes_sampling(quirks, thinking):
        body |= {name: ours[name] for name in ("temperature", "top_p") if name in ours}
    return body


class Reader:
    """Pieces of one answer out of its events. Items are told apart by their place: some give ids anew each time."""

    def __init__(self) -> None:
        self._model = ""
        self._finish = ""
        self._usage: Usage | None = None
        self._tools: dict[int, _Tool] = {}
        self._kinds: dict[int, str] = {}
        self._sources: set[str] = set()
        self._written: set[tuple[int, int]] = set()
        self._annotated: set[tuple[int, int]] = set()
        self._thought: tuple[int, int] | None = None

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        if data == b"[DONE]":
            return
        event = object_of(data)
        kind, item = event.get("type") or name, event.get("output_index") or 0
        if kind == "response.output_text.delta" or kind == "response.refusal.delta":
            self._written.add((item, event.get("content_index") or 0))
            if text := event.get("delta"):
                yield Delta(text)
        elif kind in THOUGHTS:
            yield from self._think(
                (item, event.get("summary_index") or event.get("content_index") or 0), event["delta"]
            )
        elif kind in ARGUMENTS and item in self._tools:
            self._tools[item].raw += event.get("delta") or ""
        elif kind == "response.output_item.added":
            self._begin(item, event.get("item") or {})
        elif kind == "response.output_item.done":
            yield from self._item(item, event.get("item") or {})
        elif kind == "response.output_text.annotation.added":
            self._annotated.add((item, event.get("content_index") or 0))
            yield from self._cite(event.get("annotation") or {})
        elif kind == "error":
            raise from_object(event.get("error") or {**event, "type": None})
        elif isinstance(event.get("response"), dict):
            self._note(event["response"])

    def whole(self, body: bytes) -> Iterator[Said]:
        response = object_of(body)
        if not isinstance(response.get("output"), list):
            raise from_object(response.get("error") or response)
        for place, item in enumerate(response["output"]):
            yield from self._item(place, item)
        self._note(response)
        self._finish = self._finish or str(response.get("status") or "")

    def known(self) -> Iterator[Said]:
        for _, tool in sorted(self._tools.items()):
            yield tool_call(tool.id, tool.name, tool.raw)
        if self._usage is not None:
            yield self._usage

    def ended(self) -> Ended:
        if not self._finish:
            raise failed("cut_off")
        return Ended(finish_reason=self._finish, model=self._model)

    def _note(self, response: Mapping[str, Any]) -> None:
        self._model = response.get("model") or self._model
        if usage := response.get("usage"):
            self._usage = _usage(usage)
        status = response.get("status")
        if status == "failed" or response.get("error"):
            raise from_object(response.get("error") or {"message": "The response failed."}, finish_reason="failed")
        if status in ("completed", "incomplete"):
            self._finish = (response.get("incomplete_details") or {}).get("reason") or status

    def _begin(self, place: int, item: Mapping[str, Any]) -> _Tool | None:
        """The tool call at this place. A place stays what its first item made it."""
        kind = item.get("type")
        if self._kinds.setdefault(place, str(kind)) not in TOOLS or kind not in TOOLS:
            return None
        tool = self._tools.setdefault(place, _Tool())
        tool.name_by(item)
        return tool

    def _item(self, place: int, item: Mapping[str, Any]) -> Iterator[Said]:
        """A whole item: what its deltas already said is not said again. Unknown kinds pass by."""
        kind = item.get("type")
        if tool := self._begin(place, item):
            tool.raw = item.get("arguments") or item.get("input") or tool.raw
        elif kind == "message":
            for index, part in enumerate(item.get("content") or ()):
                text = part.get("text") or part.get("refusal")
                if text and (place, index) not in self._written:
                    self._written.add((place, index))
                    yield Delta(text)
                for annotation in part.get("annotations") or () if (place, index) not in self._annotated else ():
                    yield from self._cite(annotation)
        elif kind == "reasoning" and (self._thought is None or self._thought[0] != place):
            for index, part in enumerate(item.get("summary") or item.get("content") or ()):
                yield from self._think((place, index), part.get("text") or "")

    def _think(self, part: tuple[int, int], text: str) -> Iterator[Said]:
        """Summaries come in several parts, shown as paragraphs."""
        if text:
            apart = "\n\n" if self._thought not in (None, part) else ""
            self._thought = part
            yield Reasoning(apart + text)

    def _cite(self, annotation: Mapping[str, Any]) -> Iterator[Said]:
        url, title = annotation.get("url") or "", annotation.get("title") or annotation.get("filename") or ""
        if not (url or title):
            return
        if (url or title) not in self._sources:
            self._sources.add(url or title)
            yield Source(url=url, title=title)
        yield Cited(url=url, title=title)


class _Tool:
    def __init__(self) -> None:
        self.id = self.name = self.raw = ""

    def name_by(self, item: Mapping[str, Any]) -> None:
        self.id, self.name = item.get("call_id") or item.get("id") or self.id, item.get("name") or self.name


async def _content(message: PromptMessage, call: Call) -> str | list[dict[str, Any]]:
    images = [part for part in message.parts if part.kind == "image" and "images" in call.abilities]
    texts = [part.text for part in message.parts if part.kind == "text"]
    if not images:
        return "\n\n".join(texts)
    shown = [f"data:{image.media_type};base64,{await image_of(image, call)}" for image in images]
    return [
        *({"type": "input_text", "text": text} for text in texts if text),
        *({"type": "input_image", "image_url": url} for url in shown),
    ]


def _usage(raw: Mapping[str, Any]) -> Usage:
    return Usage(
        input=raw.get("input_tokens") or 0,
        output=raw.get("output_tokens") or 0,
        cached=(raw.get("input_tokens_details") or {}).get("cached_tokens") or 0,
        reasoning=(raw.get("output_tokens_details") or {}).get("reasoning_tokens") or 0,
    )
