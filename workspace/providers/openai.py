"""OpenAI's chat completions, as OpenAI and everybody compatible with it speak them (Ollama, vLLM, LM Studio,
OpenRouter, Groq, Mistral, DeepSeek, ...). Reference: https://platform.openai.com/docs/api-reference/chat

``Reader`` turns events into pieces and knows no network, so recorded traffic can be fed to it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar
from urllib.parse import urlsplit

import orjson

from workspace.providers import http
from workspace.providers.asking import Question, ask
from workspace.providers.base import Address, Call, Cited, Ended, Said, Secret, Source
from workspace.providers.errors import failed, from_object
from workspace.providers.exchange import image_of, object_of, tool_call
from workspace.providers.quirks import Quirks, quirks_of, takes_sampling, thinking_of
from workspace.providers.think import Think
from workspace.types import Delta, PromptMessage, Reasoning, Usage

ROLES = {"person": "user", "model": "assistant", "system": "system"}
OURS = ("temperature", "top_p", "stop", "max_tokens", "presence_penalty", "frequency_penalty", "reasoning_effort")
SAMPLING = {"temperature", "top_p", "presence_penalty", "frequency_penalty"}
NOT_PARAMETERS = {"messages", "model", "stream", "stream_options"}


class OpenAI:
    kind: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI-compatible (chat completions)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        question = Question(
            path="/chat/completions",
            body=await body_of(call),
            headers=headers_of(call.address),
            reader=Reader,
            not_parameters=NOT_PARAMETERS,
            amend=amended,
        )
        async with aclosing(ask(call, question)) as pieces:
            async for said in pieces:
                yield said

    async def models(self, address: Address) -> list[str]:
        rows = await http.listed(address, "/models", key="data", headers=headers_of(address))
        return sorted(str(row["id"]) for row in rows if "id" in row)


async def body_of(call: Call) -> dict[str, Any]:
    """The request. Nothing is sent that was not asked for: strict servers refuse strangers. Reasoning of earlier
    answers stays here: some servers refuse it, and without tools none needs it."""
    quirks = quirks_of(call.address, call.model)
    messages: list[dict[str, Any]] = []
    if call.system:
        messages.append({"role": "system" if quirks.system else "user", "content": call.system})
    for message in call.messages:
        role = ROLES[message.role] if quirks.system or message.role != "system" else "user"
        messages.append({"role": role, "content": await _content(message, call)})
    if call.so_far:
        prefix = {"prefix": True} if quirks.marks_prefix else {}
        messages.append({"role": "assistant", "content": call.so_far, **prefix})
    parameters = _parameters(call, quirks)
    if call.seed is not None and "seed" in call.abilities:
        parameters[quirks.seed] = call.seed
    return {
        "model": call.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **parameters,
    }


def amended(body: dict[str, Any], words: str) -> dict[str, Any] | None:
    """Some servers refuse the field that asks for usage; some want the limit under its newer name; DeepSeek's thinking
    models want a field for the reasoning of each earlier answer, and an empty one will do."""
    if "stream_options" in words:
        return {name: value for name, value in body.items() if name != "stream_options"}
    if "max_completion_tokens" in words and "max_tokens" in body:
        return {("max_completion_tokens" if name == "max_tokens" else name): value for name, value in body.items()}
    if "reasoning_content" in words and "passed back" in words:
        back = [m | {"reasoning_content": ""} if m["role"] == "assistant" else m for m in body["messages"]]
        return {**body, "messages": back}
    return None


def _parameters(call: Call, quirks: Quirks) -> dict[str, Any]:
    ours = {name: call.parameters[name] for name in OURS if call.parameters.get(name) is not None}
    thinking = thinking_of(quirks, ours)
    if thinking.level:
        ours["reasoning_effort"] = thinking.level
    if not takes_sampling(quirks, thinking):
        ours = {name: value for name, value in ours.items() if name not in SAMPLING}
    if "max_tokens" in ours:
        ours[quirks.limit] = ours.pop("max_tokens")
    return ours


def headers_of(address: Address) -> dict[str, str]:
    if not address.key:
        return {}
    if (urlsplit(address.base_url).hostname or "").endswith("azure.com"):
        return {"api-key": Secret(address.key)}
    return {"authorization": Secret(f"Bearer {address.key}")}


class Reader:
    """Pieces of one answer out of its events. The first choice is the answer; the others are not asked for."""

    def __init__(self) -> None:
        self._finish: str | None = None
        self._done = False
        self._model = ""
        self._usage: Usage | None = None
        self._think = Think()
        self._tools: list[_Tool] = []
        self._sources: set[str] = set()

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        if data == b"[DONE]":
            self._done = True
            return
        if name == "error" and not data.lstrip().startswith(b"{"):
            raise from_object(data.decode("utf-8", "replace"))
        chunk = object_of(data)
        error = chunk.get("error") or (chunk if name == "error" or chunk.get("object") == "error" else None)
        if error and not chunk.get("choices"):
            raise from_object(error)
        yield from self._chunk(chunk, "delta")
        if error:
            raise from_object(error, finish_reason=self._finish or "")

    def whole(self, body: bytes) -> Iterator[Said]:
        content = object_of(body)
        if not content.get("choices"):
            raise from_object(content.get("error") or content)
        yield from self._chunk(content, "message")
        self._done = True

    def known(self) -> Iterator[Said]:
        yield from self._think.end()
        for tool in self._tools:
            if tool.id or tool.name:
                yield tool_call(tool.id, tool.name, tool.arguments)
        if self._usage is not None:
            yield self._usage

    def ended(self) -> Ended:
        if self._finish is None and not self._done:
            raise failed("cut_off")
        return Ended(finish_reason=self._finish or "", model=self._model)

    def _chunk(self, chunk: Mapping[str, Any], key: str) -> Iterator[Said]:
        if model := chunk.get("model"):
            self._model = model
        if usage := chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage"):
            self._usage = _usage(usage)  # cumulative everywhere: overwritten, never added
        for choice in chunk.get("choices") or ():
            if not choice.get("index"):
                yield from self._choice(choice, choice.get(key) or {})
        if chunk.get("citations") or chunk.get("search_results"):
            results = [*(chunk.get("search_results") or ()), *({"url": url} for url in chunk.get("citations") or ())]
            yield from self._cite(results)

    def _choice(self, choice: Mapping[str, Any], delta: Mapping[str, Any]) -> Iterator[Said]:
        content = delta.get("content")
        reasoning = delta.get("reasoning_content") or delta.get("reasoning") or _details(delta.get("reasoning_details"))
        if isinstance(reasoning, str) and reasoning:
            yield Reasoning(reasoning)
        if isinstance(content, str):
            yield from self._text(content)
        elif content:
            for text, thought in _parts(content):
                yield from [Reasoning(text)] if thought else self._text(text)
        if delta.get("refusal"):
            yield Delta(delta["refusal"])
        for part in delta.get("tool_calls") or ():
            self._tool(part)
        if delta.get("function_call"):
            self._tool({"index": 0, "function": delta["function_call"]})
        for annotation in delta.get("annotations") or ():
            if cited := annotation.get("url_citation"):
                yield from self._cite([cited])
                yield Cited(url=cited.get("url") or "", title=cited.get("title") or "")
        if reason := choice.get("finish_reason"):
            self._finish = reason

    def _text(self, text: str) -> Iterator[Said]:
        if self._think.done:
            if text:
                yield Delta(text)
        else:
            yield from self._think.feed(text)

    def _tool(self, part: Mapping[str, Any]) -> None:
        """Merge by index. A new id with a name begins a new call even under a used index, as does a name without
        any index: Ollama numbered all calls 0, Google's endpoint numbers none."""
        function = part.get("function") or {}
        index, id, name = part.get("index"), part.get("id") or "", function.get("name") or ""
        same = [tool for tool in self._tools if index is None or tool.index == index]
        tool = same[-1] if same else None
        if tool is None or (name and (index is None or (id and tool.id and id != tool.id))):
            tool = _Tool(index)
            self._tools.append(tool)
        tool.id = tool.id or id
        tool.name = tool.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            tool.arguments += arguments
        elif arguments:
            tool.arguments += orjson.dumps(arguments).decode()

    def _cite(self, results: list[Any]) -> Iterator[Said]:
        for result in results:
            url = result.get("url") if isinstance(result, dict) else None
            if isinstance(url, str) and url not in self._sources:
                self._sources.add(url)
                yield Source(url=url, title=result.get("title") or "")


class _Tool:
    def __init__(self, index: int | None) -> None:
        self.index = index
        self.id = self.name = self.arguments = ""


async def _content(message: PromptMessage, call: Call) -> str | list[dict[str, Any]]:
    images = [part for part in message.parts if part.kind == "image" and "images" in call.abilities]
    texts = [part.text for part in message.parts if part.kind == "text"]
    if not images:
        return "\n\n".join(texts)
    shown = [f"data:{image.media_type};base64,{await image_of(image, call)}" for image in images]
    return [
        *({"type": "text", "text": text} for text in texts),
        *({"type": "image_url", "image_url": {"url": url}} for url in shown),
    ]


def _parts(content: Any) -> Iterator[tuple[str, bool]]:
    """Mistral's list: texts, and thoughts made of texts."""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            yield part, False
        elif part.get("type") == "thinking":
            yield "".join(inner.get("text") or "" for inner in part.get("thinking") or ()), True
        elif part.get("type") == "text":
            yield part.get("text") or "", False


def _details(details: Any) -> str:
    """OpenRouter's list; what is encrypted has no text."""
    if not isinstance(details, list):
        return ""
    return "".join(d.get("text") or d.get("summary") or "" for d in details if isinstance(d, dict))


def _usage(raw: Mapping[str, Any]) -> Usage:
    prompt, completion = raw.get("prompt_tokens_details") or {}, raw.get("completion_tokens_details") or {}
    sent, said = raw.get("prompt_tokens") or 0, raw.get("completion_tokens") or 0
    reasoning = completion.get("reasoning_tokens") or 0
    if reasoning and raw.get("total_tokens") == sent + said + reasoning:
        said += reasoning  # xAI counts its reasoning apart; the total shows it
    return Usage(
        input=sent,
        output=said,
        cached=prompt.get("cached_tokens") or raw.get("prompt_cache_hit_tokens") or 0,
        cache_write=prompt.get("cache_write_tokens") or 0,
        reasoning=reasoning,
    )
