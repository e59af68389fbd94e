"""Google's Gemini. Reference: https://ai.google.dev/api/generate-content"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from itertools import pairwise
from typing import Any, ClassVar
from urllib.parse import quote

import orjson

from workspace.providers import http
from workspace.providers.asking import Question, ask
from workspace.providers.base import Address, Call, Ended, Said, Secret, Sent, Source, ToolCall
from workspace.providers.errors import failed, from_object
from workspace.providers.exchange import GO_ON, image_of, object_of
from workspace.providers.quirks import quirks_of, thinking_of
from workspace.types import Delta, PromptMessage, Reasoning, Usage

PARAMETERS = {
    "temperature": "temperature",
    "top_p": "topP",
    "max_tokens": "maxOutputTokens",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
COMPLETE = {"STOP", "MAX_TOKENS"}  # any other reason says why there is no answer, or not the rest of it


class Gemini:
    kind: ClassVar[str] = "gemini"
    label: ClassVar[str] = "Google Gemini"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        question = Question(
            path=f"/models/{quote(call.model.removeprefix('models/'))}:streamGenerateContent?alt=sse",
            body=await body_of(call),
            headers=headers_of(call.address),
            reader=Reader,
            not_parameters=("contents", "systemInstruction"),
        )
        async with aclosing(ask(call, question)) as pieces:
            async for said in pieces:
                yield Sent(parameters=said.parameters.get("generationConfig", {})) if isinstance(said, Sent) else said

    async def models(self, address: Address) -> list[str]:
        rows = await http.listed(address, "/models?pageSize=1000", key="models", headers=headers_of(address))
        chat = (row for row in rows if "generateContent" in row.get("supportedGenerationMethods", ("generateContent",)))
        return sorted(str(row["name"]).removeprefix("models/") for row in chat if "name" in row)


async def body_of(call: Call) -> dict[str, Any]:
    """The request. Thoughts and their signatures stay here: only calls of tools must come back signed."""
    contents = [
        {"role": "model" if message.role == "model" else "user", "parts": await _parts(message, call)}
        for message in call.messages
    ]
    if call.so_far:
        contents.append({"role": "model", "parts": [{"text": call.so_far}]})
        contents.append({"role": "user", "parts": [{"text": GO_ON}]})
    body: dict[str, Any] = {"contents": contents}
    if call.system:
        body["systemInstruction"] = {"parts": [{"text": call.system}]}
    if configuration := _configuration(call):
        body["generationConfig"] = configuration
    return body


def headers_of(address: Address) -> dict[str, str]:
    """The key goes in a header: addresses get logged."""
    return {"x-goog-api-key": Secret(address.key)} if address.key else {}


class Reader:
    """Pieces of one answer out of its frames. Every part of a frame may be missing."""

    def __init__(self) -> None:
        self._model = ""
        self._finish = ""
        self._why = ""
        self._blocked = ""
        self._answered = False
        self._usage: Usage | None = None
        self._tools: list[_Tool] = []
        self._sources: set[str] = set()

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        yield from self._frame(object_of(data))

    def whole(self, body: bytes) -> Iterator[Said]:
        """One frame, or the list of frames of a stream that was not asked for events."""
        frames = _frames(body)
        for frame in frames:
            yield from self._frame(frame)

    def known(self) -> Iterator[Said]:
        for tool in self._tools:
            raw = orjson.dumps(tool.arguments).decode() if tool.arguments else ""
            yield ToolCall(id=tool.id, name=tool.name, arguments=tool.arguments, arguments_raw=raw)
        if self._usage is not None:
            yield self._usage

    def ended(self) -> Ended:
        if self._blocked:
            raise failed("refused_content", self._why or self._blocked)
        if not self._finish:
            raise failed("cut_off")
        if self._finish not in COMPLETE and not self._answered:
            raise failed("refused_content", self._why or self._finish, finish_reason=self._finish)
        return Ended(finish_reason=self._finish, model=self._model)

    def _frame(self, frame: Mapping[str, Any]) -> Iterator[Said]:
        if frame.get("error"):
            raise from_object(frame["error"], finish_reason=self._finish)
        self._model = frame.get("modelVersion") or self._model
        if usage := _usage(frame.get("usageMetadata") or {}):
            self._usage = usage  # of all so far
        if reason := (feedback := frame.get("promptFeedback") or {}).get("blockReason"):
            self._blocked, self._why = str(reason), feedback.get("blockReasonMessage") or ""
        for candidate in frame.get("candidates") or ():
            if not candidate.get("index"):
                yield from self._candidate(candidate)

    def _candidate(self, candidate: Mapping[str, Any]) -> Iterator[Said]:
        content = candidate.get("content")
        for part in (content.get("parts") if isinstance(content, dict) else None) or ():
            yield from self._part(part)
        if reason := candidate.get("finishReason"):
            self._finish, self._why = str(reason), candidate.get("finishMessage") or ""
        for url, title in _cited(candidate):
            if (url or title) and (url or title) not in self._sources:
                self._sources.add(url or title)
                yield Source(url=url, title=title)

    def _part(self, part: Mapping[str, Any]) -> Iterator[Said]:
        text = part.get("text")
        if isinstance(text, str) and text:
            self._answered = self._answered or not part.get("thought")
            yield Reasoning(text) if part.get("thought") else Delta(text)
        if "functionCall" in part:
            self._answered = True
            self._tool(part["functionCall"] or {})

    def _tool(self, call: Mapping[str, Any]) -> None:
        """A name begins a call; frames without one carry more of its arguments (Vertex), and an empty one ends it."""
        if call.get("name"):
            self._tools.append(_Tool(call.get("id") or "", call["name"], dict(call.get("args") or {})))
        for piece in (call.get("partialArgs") or ()) if self._tools else ():
            self._tools[-1].take(piece)


class _Tool:
    def __init__(self, id: str, name: str, arguments: dict[str, Any]) -> None:
        self.id, self.name, self.arguments = id, name, arguments
        self._open: str | None = None  # the path of a text that goes on in the next piece

    def take(self, piece: Mapping[str, Any]) -> None:
        path = piece.get("jsonPath") or "$"
        steps = [int(i) if i else name for name, i in re.findall(r"\.?([^.\[\]$]+)(?![^\[]*\])|\[(\d+)\]", path)]
        value = next((piece[key] for key in ("stringValue", "numberValue", "boolValue") if key in piece), None)
        if steps:
            _put(self.arguments, steps, value, append=self._open == path)
        self._open = path if piece.get("willContinue") else None


def _put(place: Any, steps: list[str | int], value: Any, *, append: bool) -> None:
    for step, following in pairwise(steps):
        empty: Any = [] if isinstance(following, int) else {}
        if isinstance(step, int):
            while len(place) <= step:
                place.append(type(empty)())
            place = place[step]
        else:
            place = place.setdefault(step, empty)
    last = steps[-1]
    if isinstance(last, int):
        while len(place) <= last:
            place.append(None)
    old = place[last] if isinstance(last, int) else place.get(last)
    place[last] = old + value if append and isinstance(old, str) and isinstance(value, str) else value


def _frames(body: bytes) -> list[dict[str, Any]]:
    """A list cut short still gives the frames that came whole."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        content = _whole_ones(body)
    if isinstance(content, dict):
        return [content]
    if not isinstance(content, list) or not content:
        raise failed("garbage", body[:200].decode("utf-8", "replace"))
    return [frame for frame in content if isinstance(frame, dict)]


def _whole_ones(body: bytes) -> list[Any]:
    for end in reversed([found.end() for found in re.finditer(rb"\}\s*(?=,)", body)]):
        try:
            return orjson.loads(body[:end] + b"]")
        except orjson.JSONDecodeError:
            continue
    return []


def _cited(candidate: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Pages by search, maps or documents; pages recited; pages fetched."""
    for chunk in (candidate.get("groundingMetadata") or {}).get("groundingChunks") or ():
        page = chunk.get("web") or chunk.get("maps") or chunk.get("retrievedContext") or {}
        yield page.get("uri") or "", page.get("title") or ""
    recited = candidate.get("citationMetadata") or {}
    for source in recited.get("citationSources") or recited.get("citations") or ():
        yield source.get("uri") or "", source.get("title") or ""
    for page in (candidate.get("urlContextMetadata") or {}).get("urlMetadata") or ():
        yield page.get("retrievedUrl") or "", ""


def _configuration(call: Call) -> dict[str, Any]:
    ours = {name: value for name, value in call.parameters.items() if value is not None}
    theirs = {PARAMETERS[name]: value for name, value in ours.items() if name in PARAMETERS}
    if stop := ours.get("stop"):
        theirs["stopSequences"] = [stop] if isinstance(stop, str) else stop
    if call.seed is not None and "seed" in call.abilities:
        theirs["seed"] = call.seed
    quirks = quirks_of(call.address, call.model)
    thinking = thinking_of(quirks, ours)
    shown = {} if thinking.off else {"includeThoughts": True}
    if thinking.level and thinking.level != "none":
        theirs["thinkingConfig"] = {"thinkingLevel": thinking.level, **shown}
    elif thinking.asked:
        theirs["thinkingConfig"] = {"thinkingBudget": thinking.budget or 0, **shown}
    return theirs


async def _parts(message: PromptMessage, call: Call) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = [{"text": part.text} for part in message.parts if part.kind == "text" and part.text]
    for image in message.parts:
        if image.kind == "image" and "images" in call.abilities:
            parts.append({"inlineData": {"mimeType": image.media_type, "data": await image_of(image, call)}})
    return parts or [{"text": ""}]


def _usage(raw: Mapping[str, Any]) -> Usage | None:
    """Their answer counts leave out thoughts, their prompt what tools read; both are paid for."""
    if not any(name in raw for name in ("promptTokenCount", "candidatesTokenCount", "totalTokenCount")):
        return None
    thoughts = raw.get("thoughtsTokenCount") or 0
    return Usage(
        input=(raw.get("promptTokenCount") or 0) + (raw.get("toolUsePromptTokenCount") or 0),
        output=(raw.get("candidatesTokenCount") or 0) + thoughts,
        cached=raw.get("cachedContentTokenCount") or 0,
        reasoning=thoughts,
    )
