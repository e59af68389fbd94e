"""Requests held against the official SDKs' own types, and answers made of them: every protocol, every kind of both."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.providers.sdk import PROTOCOLS, Words
from tests.providers.test_requests import TALK
from tests.providers.upstream import call, events, upstream
from workspace.providers.base import ABILITIES, Ended
from workspace.providers.registry import provider
from workspace.types import Delta, Part, PromptMessage, Reasoning, Usage, text_part

SEEN = (
    PromptMessage(
        role="person", parts=(text_part("What is it?"), Part(kind="image", digest="d", media_type="image/png"))
    ),
)
ODD = '\N{LINE SEPARATOR}\x00\ud7ff\N{FAMILY}\N{ZERO WIDTH JOINER}"\\</script>\r\n'


async def read(digest: str) -> bytes:
    return b"\x89PNG\xfb\xff pixels"


KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "system": {"system": "Be short."},
    "history": {"messages": TALK, "system": "Be short."},
    "a system message within": {"messages": (PromptMessage(role="system", parts=(text_part("Be short."),)), *TALK)},
    "image": {"messages": SEEN, "read_blob": read},
    "image in a history": {"messages": (*SEEN, *TALK[1:]), "read_blob": read},
    "interrupted": {"messages": TALK, "so_far": "It begins "},
    "temperature": {"parameters": {"temperature": 0.3}},
    "all parameters": {
        "parameters": {
            "temperature": 1, "top_p": 0.9, "max_tokens": 4_000, "stop": ["END", "\n\n"], "presence_penalty": 0.1,
            "frequency_penalty": -0.1,
        }
    },
    "stop as one word": {"parameters": {"stop": "END"}},
    "seed": {"seed": 7},
    "budget": {"parameters": {"thinking_budget": 5_000, "max_tokens": 100}},
    "no budget": {"parameters": {"thinking_budget": 0}},
    **{
        f"effort {level}": {"parameters": {"reasoning_effort": level, "temperature": 0.3, "max_tokens": 100}}
        for level in ("none", "minimal", "low", "medium", "high", "xhigh")
    },
    "odd signs": {"messages": (PromptMessage(role="person", parts=(text_part(ODD * 9),)),), "system": ODD},
    "long": {"messages": tuple(replace(one, parts=(text_part("word " * 20_000),)) for one in TALK)},
}  # fmt: skip
CELLS = [(kind, model) for kind, one in PROTOCOLS.items() for model in one.models]


@pytest.mark.parametrize("request_kind", KINDS)
@pytest.mark.parametrize(("kind", "model"), CELLS)
async def test_a_request_is_one_of_the_official_types_and_its_answer_is_heard_whole(
    kind: str, model: str, request_kind: str
) -> None:
    words, official = Words(), PROTOCOLS[kind]
    options = {"abilities": frozenset(ABILITIES), **KINDS[request_kind]}
    with upstream(events(*official.answer(words))) as server:
        said = [piece async for piece in provider(kind).stream(replace(call(**options), model=model))]
    assert set(official.strangers(server.bodies[0])) <= (official.dropped if model in official.older else set())
    assert "".join(piece.text for piece in said if isinstance(piece, Delta)) == words.text
    assert "".join(piece.text for piece in said if isinstance(piece, Reasoning)) == words.reasoning
    assert [piece for piece in said if isinstance(piece, Usage)] == [Usage(input=words.input, output=words.output)]
    assert isinstance(said[-1], Ended) and said[-1].finish_reason.lower() in ("stop", "completed", "end_turn")


def renamed(body: dict[str, Any]) -> None:
    body["temprature"] = 0.3


def mistyped(body: dict[str, Any]) -> None:
    body["generationConfig" if "contents" in body else "stream"] = "yes"


def misroled(body: dict[str, Any]) -> None:
    next(body[name] for name in ("messages", "input", "contents") if name in body)[0].pop("role")
    body.setdefault("contents", [{}])[0]["stranger"] = "person"


@pytest.mark.parametrize("spoil", [renamed, mistyped, misroled])
@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_a_wrong_request_is_seen(kind: str, spoil: Callable[[dict[str, Any]], None]) -> None:
    with upstream(events(*PROTOCOLS[kind].answer(Words()))) as server:
        _ = [piece async for piece in provider(kind).stream(call(messages=TALK))]
    wrong = copy.deepcopy(server.bodies[0])
    spoil(wrong)
    assert PROTOCOLS[kind].strangers(server.bodies[0]) == []
    assert PROTOCOLS[kind].strangers(wrong) != []


@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_a_lost_piece_of_the_answer_is_seen(kind: str) -> None:
    pieces = [piece for piece in PROTOCOLS[kind].answer(Words()) if "sonst" not in piece.decode()]
    with upstream(httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(pieces))):
        said = [piece async for piece in provider(kind).stream(call())]
    assert "".join(piece.text for piece in said if isinstance(piece, Delta)) != Words().text
