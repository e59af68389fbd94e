"""What the router chooses and why, over every way a model can be named and every reason it can't serve."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from workspace.providers.base import Address
from workspace.router.catalog import Candidate, Catalog, Template, cost
from workspace.router.configuration import DEFAULT_SOURCE, parse
from workspace.router.decide import NoModel, decide
from workspace.router.facts import facts_of
from workspace.types import Decision, Part, PromptMessage, Request, Usage, text_part

ROUTES = """{
"routes": [
{"name": "short prompt", "condition": "len(prompt) < 20", "model": "fast", "fallbacks": ["wide"],
 "parameters": {"temperature": 0}},
{"condition": "requires_reasoning == true", "model": "deep", "mode": "background"},
{"name": "alice", "condition": "user == \\"alice\\"", "model": "fast"},
{"condition": "default", "model": "wide"}
],
"fallback": "quotes"
}"""
LONG = "A question that is longer than twenty characters."


def candidate(name: str, number: int, **fields: Any) -> Candidate:
    known = {"kind": "openai", "abilities": frozenset(), "provider_name": "p", **fields}
    return Candidate(
        name=name, model_id=number, version_id=number * 10, mark=number, provider_version_id=1,
        address=Address(), upstream=name, **known,
    )  # fmt: skip


def catalog(source: str = ROUTES, **changes: dict[str, Any]) -> Catalog:
    made = [
        candidate("quotes", 1, kind="quotes"),
        candidate("fast", 2),
        candidate("deep", 3),
        candidate("wide", 4, abilities=frozenset({"images"})),
    ]
    known = {each.name: replace(each, **changes.get(each.name, {})) for each in made}
    return Catalog(
        candidates=known, configuration=parse(source, models=known), router_version_id=7, template=Template()
    )


def ask(prompt: str = LONG, *, image: bool = False, **fields: Any) -> Request:
    parts = (text_part(prompt), *([Part(kind="image", media_type="image/png")] if image else []))
    return Request(messages=(PromptMessage(role="person", parts=parts),), **fields)


def choose(request: Request, known: Catalog | None = None, *, user: str | None = None) -> Decision:
    return decide(request, known or catalog(), facts=facts_of(request, user=user))


@pytest.mark.parametrize(
    ("request_", "user", "model", "reason", "chosen_by"),
    [
        (ask("Hello"), None, "fast", "rule 1, short prompt", "route"),
        (ask(requires_reasoning=True), None, "deep", "rule 2, requires_reasoning == true", "route"),
        (ask(), "alice", "fast", "rule 3, alice", "route"),
        (ask(), "bob", "wide", "rule 4, default", "route"),
        (ask("Hello", image=True), None, "wide", "fallback: fast takes no images", "fallback"),
        (ask(requires_reasoning=True, model="fast"), None, "fast", "your choice", "person"),
        (ask(image=True, model="wide"), None, "wide", "your choice", "person"),
    ],
)
def test_the_first_rule_that_applies_decides_unless_the_person_chose(
    request_: Request, user: str | None, model: str, reason: str, chosen_by: str
) -> None:
    decision = choose(request_, user=user)
    assert (decision.model, decision.reason, decision.chosen_by) == (model, reason, chosen_by)
    assert decision.configuration == 7


def test_the_trace_tells_each_rule_its_value_and_what_was_missing() -> None:
    decision = choose(ask())
    assert [(step.route, step.value, step.note) for step in decision.trace] == [
        ("short prompt", False, ""),
        ("rule 2", False, ""),
        ("alice", None, "user is not known"),
        ("rule 4", True, ""),
    ]
    assert decision.facts["len(prompt)"] == len(LONG) and "prompt" not in decision.facts


def test_a_route_brings_its_mode_its_parameters_and_its_fallbacks() -> None:
    short = choose(ask("Hello"))
    assert (short.parameters, short.mode, short.fallbacks) == ({"temperature": 0}, "interactive", ("wide", "quotes"))
    assert choose(ask(requires_reasoning=True)).mode == "background"
    assert choose(ask("Hello", mode="background")).mode == "background"
    chosen = choose(ask("Hello", model="deep"))
    assert (chosen.parameters, chosen.mode, chosen.fallbacks) == ({}, "interactive", ())


@pytest.mark.parametrize(
    ("change", "image", "reason"),
    [
        ({"enabled": False}, False, "fast is switched off."),
        ({}, True, "fast takes no images."),
        ({"window": 10}, False, "fast has a window of 10 tokens; the question alone needs about 14."),
    ],
)
def test_a_model_that_cannot_take_the_request_is_left_out_or_refused(
    change: dict[str, Any], image: bool, reason: str
) -> None:
    source = '{"routes": [{"condition": "default", "model": "fast"}], "fallback": "wide"}'
    prompt = "Forty characters make about ten tokens.."
    assert choose(ask(prompt), catalog(source)).model == "fast"
    known = catalog(source, fast=change)
    routed = choose(ask(prompt, image=image), known)
    assert (routed.model, routed.chosen_by) == ("wide", "fallback")
    assert [drop.reason for drop in routed.dropped] == [reason]
    with pytest.raises(NoModel) as refused:
        choose(ask(prompt, image=image, model="fast"), known)
    assert refused.value.failure.cause == reason
    assert refused.value.failure.action.startswith("Choose ")
    assert refused.value.failure.permanent


def test_a_model_that_is_gone_is_left_out_or_refused() -> None:
    source = '{"routes": [{"condition": "default", "model": "fast"}], "fallback": "wide"}'
    known = catalog(source)
    known = replace(known, candidates={name: c for name, c in known.candidates.items() if name != "fast"})
    assert choose(ask(), known).reason == "fallback: There is no model “fast”"
    with pytest.raises(NoModel, match="There is no model “fast”"):
        choose(ask(model="fast"), known)


def test_when_nobody_can_take_it_every_reason_is_told() -> None:
    with pytest.raises(NoModel) as refused:
        choose(ask("Hello", image=True), catalog(wide={"enabled": False}))
    assert refused.value.failure.cause == "fast takes no images. wide is switched off. quotes takes no images."


def test_an_earlier_image_hinders_nobody() -> None:
    earlier, question = ask(image=True).messages[0], ask("Hello").messages[0]
    decision = choose(Request(messages=(earlier, question)))
    assert decision.model == "fast"


def test_any_is_the_oldest_model_that_fits_and_the_reader_last() -> None:
    assert choose(ask(), catalog(DEFAULT_SOURCE)).model == "fast"
    assert choose(ask(), catalog(DEFAULT_SOURCE)).fallbacks == ("quotes",)
    assert choose(ask(image=True), catalog(DEFAULT_SOURCE)).model == "wide"
    off = {"enabled": False}
    alone = choose(ask(), catalog(DEFAULT_SOURCE, fast=off, deep=off, wide=off))
    assert (alone.model, alone.fallbacks) == ("quotes", ())


def test_a_chat_keeps_the_model_it_drew_and_chats_follow_the_weights() -> None:
    known = catalog('{"routes": [{"condition": "default", "models": {"fast": 3, "deep": 1}}], "fallback": "quotes"}')
    drawn = {chat: choose(ask(chat_id=str(chat)), known).model for chat in range(1_000)}
    assert all(choose(ask("Another", chat_id=str(chat)), known).model == model for chat, model in drawn.items())
    assert 700 < Counter(drawn.values())["fast"] < 800
    assert choose(ask(chat_id="1"), known).fallbacks[1:] == ("quotes",)


def test_cost_counts_cached_tokens_apart_and_is_none_without_a_price() -> None:
    priced = candidate("fast", 1, price_input=Decimal(3), price_output=Decimal(15), price_cached=Decimal("0.3"))
    usage = Usage(input=1_000, cached=400, output=100)
    assert cost(priced, usage) == Decimal("0.00342")
    assert cost(replace(priced, price_cached=None), usage) == Decimal("0.0045")
    assert cost(replace(priced, price_output=None), usage) is None
    assert cost(candidate("free", 1, price_input=Decimal(0), price_output=Decimal(0)), usage) == 0
    assert cost(replace(priced, price_output=None), replace(usage, cost=Decimal("0.5"))) == Decimal("0.5")
