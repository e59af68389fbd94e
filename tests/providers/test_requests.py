"""What each provider sends: one question in its protocol's words, and nothing a strict server would refuse."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.providers.upstream import call, events, upstream
from workspace.providers.base import ABILITIES, Ended, Sent
from workspace.providers.registry import provider
from workspace.types import Part, PromptMessage, text_part

ENDS = {
    "openai": b'data: {"choices":[{"delta":{"content":"ok"},"finish_reason":"stop"}]}\n\n',
    "openai-responses": b'data: {"type":"response.completed","response":{"status":"completed"}}\n\n',
    "anthropic": b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
    "gemini": b'data: {"candidates":[{"content":{"parts":[{"text":"ok"}]},"finishReason":"STOP"}]}\n\n',
}
TALK = (
    PromptMessage(role="person", parts=(text_part("One"),)),
    PromptMessage(role="model", parts=(text_part("Two"),)),
    PromptMessage(role="person", parts=(text_part("Three"),)),
)


async def sent(kind: str, **options: Any) -> tuple[dict[str, Any], httpx.Request]:
    with upstream(events(ENDS[kind])) as server:
        said = [piece async for piece in provider(kind).stream(call(**options))]
    assert isinstance(said[0], Sent)
    assert isinstance(said[-1], Ended)
    return server.bodies[0], server.requests[0]


async def test_chat_completions_send_roles_and_system_in_order() -> None:
    body, request = await sent("openai", messages=TALK, system="Be short.")
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "Be short."),
        ("user", "One"),
        ("assistant", "Two"),
        ("user", "Three"),
    ]
    assert set(body) == {"model", "messages", "stream", "stream_options"}
    assert str(request.url) == "http://server.invalid/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-a-secret-0123456789"


@pytest.mark.parametrize(
    ("host", "name"),
    [("https://api.openai.com/v1", "max_completion_tokens"), ("https://api.mistral.ai/v1", "max_tokens")],
)
async def test_the_limit_has_the_name_its_host_knows(host: str, name: str) -> None:
    body, _ = await sent("openai", base_url=host, parameters={"max_tokens": 9})
    assert {key: value for key, value in body.items() if key.startswith("max_")} == {name: 9}


@pytest.mark.parametrize(("abilities", "seeds"), [(frozenset({"seed"}), [5]), (frozenset(), [])])
async def test_a_seed_goes_only_where_it_is_taken(abilities: frozenset[str], seeds: list[int]) -> None:
    body, _ = await sent("openai", seed=5, abilities=abilities)
    assert [value for key, value in body.items() if "seed" in key] == seeds


async def test_an_interrupted_answer_goes_on_after_its_own_words() -> None:
    chat, _ = await sent("openai", so_far="It begins")
    assert chat["messages"][-1] == {"role": "assistant", "content": "It begins"}
    claude, _ = await sent("anthropic", so_far="It begins ")
    assert claude["messages"][-1] == {"role": "assistant", "content": "It begins"}
    gemini, _ = await sent("gemini", so_far="It begins")
    assert gemini["contents"][-2] == {"role": "model", "parts": [{"text": "It begins"}]}


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("openai", ("messages", 0, "content", 1, "image_url", "url")),
        ("openai-responses", ("input", 0, "content", 1, "image_url")),
        ("anthropic", ("messages", 0, "content", 0, "source", "data")),
        ("gemini", ("contents", 0, "parts", 1, "inlineData", "data")),
    ],
)
async def test_an_image_travels_in_the_request_where_the_model_sees(kind: str, path: tuple[Any, ...]) -> None:
    parts = (text_part("What is it?"), Part(kind="image", digest="d", media_type="image/png"))
    messages = (PromptMessage(role="person", parts=parts),)

    async def read(digest: str) -> bytes:
        return b"pixels of " + digest.encode()

    place: Any = (await sent(kind, messages=messages, abilities=frozenset(ABILITIES), read_blob=read))[0]
    for step in path:
        place = place[step]
    assert base64.b64decode(place.rsplit(",", 1)[-1]) == b"pixels of d"
    blind, _ = await sent(kind, messages=messages, read_blob=read)
    assert "cGl4ZWxz" not in str(blind)


async def test_anthropic_thinks_without_sampling_parameters() -> None:
    body, request = await sent(
        "anthropic", system="Be short.", parameters={"reasoning_effort": "low", "temperature": 1}
    )
    assert body["thinking"]["type"] == "adaptive"
    assert "temperature" not in body
    assert body["system"] == "Be short."
    assert body["max_tokens"] > 0
    assert request.headers["x-api-key"]
    assert request.headers["anthropic-version"]


async def test_gemini_keeps_its_key_out_of_the_address() -> None:
    body, request = await sent("gemini", system="Be short.", parameters={"stop": "END", "top_p": 0.5, "max_tokens": 7})
    assert str(request.url) == "http://server.invalid/v1/models/m:streamGenerateContent?alt=sse"
    assert request.headers["x-goog-api-key"] == "sk-a-secret-0123456789"
    assert body["systemInstruction"] == {"parts": [{"text": "Be short."}]}
    assert body["generationConfig"] == {"stopSequences": ["END"], "topP": 0.5, "maxOutputTokens": 7}


async def test_responses_leave_nothing_at_the_provider() -> None:
    body, _ = await sent(
        "openai-responses", system="Be short.", parameters={"max_tokens": 7, "reasoning_effort": "low"}
    )
    assert body["store"] is False
    assert body["instructions"] == "Be short."
    assert body["max_output_tokens"] == 7
    assert body["reasoning"] == {"effort": "low", "summary": "auto"}


async def test_a_server_that_refuses_the_usage_field_is_asked_once_more_without_it() -> None:
    refusal = httpx.Response(400, json={"error": {"message": "Unknown field: stream_options"}})
    with upstream(refusal, events(ENDS["openai"])) as server:
        said = [piece async for piece in provider("openai").stream(call())]
    assert isinstance(said[-1], Ended)
    assert ["stream_options" in body for body in server.bodies] == [True, False]
