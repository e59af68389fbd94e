"""What each provider would send, against what real programs sent: the same talk and parameters, the same fields."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workspace.providers import anthropic, gemini, openai, openai_responses
from workspace.providers.base import ABILITIES, Address, Call
from workspace.providers.replay import Case, cases_in
from workspace.types import PromptMessage, Role, text_part

ROLES: dict[str, Role] = {"user": "person", "assistant": "model", "model": "model"}
TURNS = {"openai_compatible": "messages", "anthropic": "messages", "openai_responses": "input", "gemini": "contents"}
BODIES: dict[str, Any] = {
    "openai_compatible": openai,
    "anthropic": anthropic,
    "openai_responses": openai_responses,
    "gemini": gemini,
}
# Theirs by ours, where both name the same thing.
FIELDS = {
    "openai_compatible": {n: n for n in ("temperature", "top_p", "max_tokens", "stop", "reasoning_effort")},
    "anthropic": {"temperature": "temperature", "max_tokens": "max_tokens", "stop_sequences": "stop"},
    "openai_responses": {"temperature": "temperature", "max_output_tokens": "max_tokens"},
    "gemini": {"temperature": "temperature", "topP": "top_p", "maxOutputTokens": "max_tokens"},
}


def words(content: Any) -> str | None:
    """The text of a message; None when it holds anything else."""
    if isinstance(content, str):
        return content
    texts = [part.get("text") for part in content or [] if isinstance(part, dict) and len(part.keys() - {"type"}) == 1]
    return "\n\n".join(texts) if content and len(texts) == len(content) and all(texts) else None


def talk_of(turns: list[Mapping[str, Any]]) -> list[tuple[str, str | None]]:
    return [(str(turn.get("role")), words(turn.get("content", turn.get("parts")))) for turn in turns]


def system_of(body: Mapping[str, Any]) -> str | None:
    system = body.get("system") or body.get("instructions") or (body.get("systemInstruction") or {}).get("parts") or ""
    return words(system)


def plain(case: Case) -> bool:
    """A talk of words between a person and a model, as ours are; the rest are tools and pictures."""
    body = case.meta["request_body"]
    turns = body.get(TURNS[case.protocol]) if isinstance(body, dict) else None
    if not isinstance(turns, list) or not turns or system_of(body) is None:
        return False
    talk = talk_of(turns)
    rest = talk[1:] if talk[0][0] == "system" else talk
    return bool(rest) and all(role in ROLES and said for role, said in rest) and talk[0][1] is not None


CASES = [case for case in cases_in(Path(__file__).parent / "provider_streams") if plain(case)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_same_talk_makes_the_same_request(case: Case) -> None:
    theirs = case.meta["request_body"]
    talk = talk_of(theirs[TURNS[case.protocol]])
    system = talk[0][1] if talk[0][0] == "system" else system_of(theirs)
    turns = talk[1:] if talk[0][0] == "system" else talk
    given = theirs.get("generationConfig", {}) if case.protocol == "gemini" else theirs
    parameters = {ours: given[name] for name, ours in FIELDS[case.protocol].items() if given.get(name) is not None}
    call = Call(
        address=Address(base_url="http://server.invalid/v1"),
        model=theirs.get("model") or "m",
        system=system or "",
        messages=tuple(PromptMessage(role=ROLES[role], parts=(text_part(said or ""),)) for role, said in turns),
        parameters=parameters,
        abilities=frozenset(ABILITIES),
    )
    ours: dict[str, Any] = await BODIES[case.protocol].body_of(call)
    expected = [(role, said) for role, said in talk if said]
    assert [(role, said) for role, said in talk_of(ours[TURNS[case.protocol]])] == expected
    if case.protocol != "openai_compatible":
        assert system_of(ours) == (system or "")
    sent = ours.get("generationConfig", {}) if case.protocol == "gemini" else ours
    assert {name: sent[name] for name in FIELDS[case.protocol] if given.get(name) is not None} == {
        name: given[name] for name in FIELDS[case.protocol] if given.get(name) is not None
    }
    assert "model" not in theirs or ours.get("model", theirs["model"]) == theirs["model"]


def test_every_protocol_has_requests_to_compare() -> None:
    assert {case.protocol for case in CASES} == set(TURNS)
