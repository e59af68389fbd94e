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
from workspace.providers.base import Address, Call, Ended, ProviderError, Said, Sent, Source
from workspace.providers.errors import failed, from_object
from workspace.providers.exchange import exchange, image_of, object_of, tool_call
from workspace.providers.think import Think
from workspace.types import Delta, PromptMessage, Reasoning, Usage

ROLES = {"person": "user", "model": "assistant", "system": "system"}
OURS = ("temperature", "top_p", "stop", "max_tokens", "presence_penalty", "frequency_penalty", "reasoning_effort")
NOT_PARAMETERS = {"messages", "model", "stream", "stream_options"}


class OpenAI:
    kind: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI-compatible (chat completions)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        body = await body_of(call)
        try:
            async with aclosing(self._attempt(call, body)) as pieces:
                async for said in pieces:
                    yield said
        except ProviderError as error:
            # Some servers refuse the one field that asks for usage: once more without it.
            if error.failure.code != "bad_request" or "stream_options" not in error.failure.cause:
                raise
            del body["stream_options"]
            async with aclosing(self._attempt(call, body)) as pieces:
                async for said in pieces:
                    yield said

    async def models(self, address: Address) -> list[str]:
        rows = await http.listed(address, "/models", key="data", headers=headers_of(address))
        return sorted(str(row["id"]) for row in rows if "id" in row)

    async def _attempt(self, call: Call, body: Mapping[str, Any]) -> AsyncGenerator[Said, None]:
        yield Sent(parameters={name: value for name, value in body.items() if name not in NOT_PARAMETERS})
        answer = exchange(call, "/chat/completions", body, headers=headers_of(call.address), reader=Reader())
        async with aclosing(answer) as pieces:
            async for said in pieces:
                yield said


async def body_of(call: Call) -> dict[str, Any]:
    """The request. Nothing is sent that was not asked for: strict servers refuse strangers."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": call.system}] if call.system else []
    for message in call.messages:
        messages.append({"role": ROLES[message.role], "content": await _content(message, call)})
    host = urlsplit(call.address.base_url).hostname or ""
    if call.so_far:
        prefix = {"prefix": True} if host.endswith("mistral.ai") else {}
        messages.append({"role": "assistant", "content": call.so_far, **prefix})
    parameters = {name: call.parameters[name] for name in OURS if call.parameters.get(name) is not None}
    if host.endswith(("openai.com", "azure.com")) and "max_tokens" in parameters:
        parameters["max_completion_tokens"] = parameters.pop("max_tokens")
    if call.seed is not None and "seed" in call.abilities:
        parameters["random_seed" if host.endswith("mistral.ai") else "seed"] = call.seed
    return {
        "model": call.model,
        "messages": messages,
        "stream": True,
        "stream_options": {"include_usage": True},
        **parameters,
    }


def headers_of(address: Address) -> dict[str, str]:
    if not address.key:
        return {}
    if (urlsplit(address.base_url).hostname or "").endswith("azure.com"):
        return {"api-key": address.key}
    return {"authorization": f"Bearer {address.key}"}


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
        if annotations := delta.get("annotations"):
            yield from self._cite([a["url_citation"] for a in annotations if a.get("url_citation")])
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
