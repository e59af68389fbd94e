"""What servers and models want otherwise: one table, read by address and model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.providers.test_requests import ENDS, TALK, sent
from tests.providers.upstream import call, events, upstream
from workspace.providers.base import Address, ProviderError
from workspace.providers.quirks import RULES, Quirks, quirks_of
from workspace.providers.registry import provider

OPENAI, MISTRAL, OTHER = "https://api.openai.com/v1", "https://api.mistral.ai/v1", "http://server.invalid/v1"
ALL: dict[str, Any] = {"temperature": 0.5, "top_p": 0.5, "max_tokens": 9}


async def body(kind: str, model: str, *, base_url: str = OTHER, **options: Any) -> dict[str, Any]:
    with upstream(events(ENDS[kind])) as server:
        async for _ in provider(kind).stream(replace(call(base_url=base_url, **options), model=model)):
            pass
    return server.bodies[0]


@pytest.mark.parametrize(
    ("model", "effort", "level", "sampling"),
    [
        ("gpt-4o", None, None, True),
        ("o3", None, None, False),
        ("o4-mini", "minimal", "low", False),
        ("gpt-5", None, None, False),
        ("gpt-5", "none", "minimal", False),
        ("gpt-5.1", None, None, True),
        ("gpt-5.1", "low", "low", False),
        ("gpt-5.4-mini", "none", "none", True),
        ("gpt-5.5", None, None, False),
        ("gpt-5.6-sol", "minimal", "low", False),
        ("openai/gpt-5-pro", None, None, False),
        ("gpt-5.2-chat-latest", None, None, False),
        ("gpt-oss-20b", "low", "low", True),
        ("a-model-of-next-year", "xhigh", "xhigh", True),
    ],
)
@pytest.mark.parametrize("kind", ["openai", "openai-responses"])
async def test_sampling_goes_only_where_a_model_takes_it(
    kind: str, model: str, effort: str | None, level: str | None, sampling: bool
) -> None:
    found = await body(kind, model, parameters={**ALL, "reasoning_effort": effort})
    came = found.get("reasoning_effort") if kind == "openai" else (found.get("reasoning") or {}).get("effort")
    assert came == level
    assert ("temperature" in found, "top_p" in found) == (sampling, sampling)


@pytest.mark.parametrize(
    ("model", "asked", "thinking", "effort", "sampling"),
    [
        ("claude-haiku-4-5", {}, None, None, True),
        ("claude-haiku-4-5", {"reasoning_effort": "low"}, {"type": "enabled", "budget_tokens": 2048}, None, False),
        ("claude-haiku-4-5", {"thinking_budget": 5}, {"type": "enabled", "budget_tokens": 1024}, None, False),
        ("claude-haiku-4-5", {"reasoning_effort": "none"}, {"type": "disabled"}, None, True),
        ("claude-opus-4-6", {"reasoning_effort": "xhigh"}, "adaptive", "high", False),
        ("claude-opus-4-7", {}, None, None, False),
        ("claude-opus-4-8-20260701", {"reasoning_effort": "xhigh"}, "adaptive", "xhigh", False),
        ("claude-sonnet-5", {"thinking_budget": 4096}, "adaptive", "medium", False),
        ("claude-sonnet-5-5", {"reasoning_effort": "minimal"}, "adaptive", "low", False),
        ("claude-fable-5", {"reasoning_effort": "low"}, "adaptive", "low", False),
        ("claude-opus-4-20250514", {"thinking_budget": 8192}, {"type": "enabled", "budget_tokens": 8192}, None, False),
        ("claude-octave-9-1", {"reasoning_effort": "none"}, {"type": "disabled"}, None, False),
    ],
)  # fmt: skip
async def test_claude_thinks_in_the_measure_its_model_takes(
    model: str, asked: dict[str, Any], thinking: Any, effort: str | None, sampling: bool
) -> None:
    found = await body("anthropic", model, parameters={**ALL, **asked})
    wanted = {"type": "adaptive", "display": "summarized"} if thinking == "adaptive" else thinking
    assert found.get("thinking") == wanted
    assert (found.get("output_config") or {}).get("effort") == effort
    assert ("temperature" in found, "top_p" in found) == (sampling, sampling)
    assert found["max_tokens"] > (wanted or {}).get("budget_tokens", 0)


@pytest.mark.parametrize(
    ("model", "asked", "expected"),
    [
        ("gemini-3-flash-preview", {"reasoning_effort": "low"}, {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3-pro-preview", {"reasoning_effort": "none"}, {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3.5-flash", {"thinking_budget": 8192}, {"thinkingLevel": "medium", "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {"thinkingBudget": 2048, "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", {}, None),
    ],
)
async def test_gemini_thinks_in_the_measure_its_model_takes(
    model: str, asked: dict[str, Any], expected: dict[str, Any] | None
) -> None:
    found = await body("gemini", model, parameters={**ALL, **asked})
    assert found["generationConfig"].get("thinkingConfig") == expected


@pytest.mark.parametrize(("model", "roles"), [("o1-mini", ["user", "user"]), ("o1", ["system", "user"])])
async def test_a_model_without_a_system_role_is_told_by_the_person(model: str, roles: list[str]) -> None:
    found = await body("openai", model, base_url=OPENAI, system="Be short.")
    assert [(m["role"], m["content"]) for m in found["messages"]] == list(
        zip(roles, ["Be short.", "Hello"], strict=True)
    )


async def test_mistral_is_sent_no_strangers() -> None:
    found = await body(
        "openai",
        "mistral-small",
        base_url=MISTRAL,
        messages=TALK,
        parameters=ALL,
        seed=5,
        abilities=frozenset({"seed"}),
    )
    assert set(found) == {
        "model",
        "messages",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
        "max_tokens",
        "random_seed",
    }
    assert all(set(message) == {"role", "content"} for message in found["messages"])


REFUSALS = [
    ("Unknown field: stream_options", {}, "stream_options"),
    ("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", {"max_tokens": 9}, "max_tokens"),
]


@pytest.mark.parametrize(("words", "parameters", "without"), REFUSALS)
async def test_what_a_server_names_as_refused_is_left_out_once(words: str, parameters: Any, without: str) -> None:
    refusals = [httpx.Response(400, json={"error": {"message": words}}) for _ in range(2)]
    with upstream(refusals[0], events(ENDS["openai"])) as server:
        said = [piece async for piece in provider("openai").stream(call(parameters=parameters))]
    assert [without in asked for asked in server.bodies] == [True, False]
    assert "ok" in str(said)
    with upstream(*refusals) as server, pytest.raises(ProviderError):
        _ = [piece async for piece in provider("openai").stream(call(parameters=parameters))]
    assert len(server.bodies) == 2


async def test_deepseek_gets_a_field_for_reasoning_only_when_it_asks() -> None:
    words = "The `reasoning_content` in the thinking mode must be passed back to the API."
    with upstream(httpx.Response(400, json={"error": {"message": words}}), events(ENDS["openai"])) as server:
        _ = [piece async for piece in provider("openai").stream(call(messages=TALK))]
    assert ["reasoning_content" in str(asked) for asked in server.bodies] == [False, True]
    assert [m.get("reasoning_content") for m in server.bodies[1]["messages"]] == [None, "", None]


async def test_a_beginning_that_claude_refuses_is_gone_on_with_in_words() -> None:
    words = "This model does not support assistant message prefill."
    with upstream(httpx.Response(400, json={"error": {"message": words}}), events(ENDS["anthropic"])) as server:
        _ = [piece async for piece in provider("anthropic").stream(call(so_far="It begins"))]
    assert [asked["messages"][-1]["role"] for asked in server.bodies] == ["assistant", "user"]


@pytest.mark.parametrize("kind", sorted(ENDS))
async def test_no_reasoning_of_an_earlier_answer_is_sent_back(kind: str) -> None:
    found, _ = await sent(kind, messages=TALK)
    assert not any(word in str(found) for word in ("reasoning", "thought", "thinking", "signature"))


def test_every_rule_differs_from_the_protocol_in_a_known_way() -> None:
    assert all(set(differs) <= set(Quirks.__dataclass_fields__) for _, _, differs in RULES)
    assert quirks_of(Address(base_url="https://notopenai.com/v1"), "m") == Quirks()
    assert quirks_of(Address(base_url="https://my.openai.azure.com/v1"), "m").limit == "max_completion_tokens"
