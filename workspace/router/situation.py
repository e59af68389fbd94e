"""What is known besides the request when the router decides: budgets, health, history, memory, language.

Only what the active configuration asks for is found out, so a file that asks for nothing costs nothing. A value that
can't be known is ``None``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psutil
from channels.db import database_sync_to_async

from retrieval import spaces
from workspace.hosts import link
from workspace.router import catalog as catalogs
from workspace.router import history, money, room, score
from workspace.router import language as languages
from workspace.router.catalog import Candidate, Catalog
from workspace.router.decide import may_use
from workspace.router.facts import facts_of, lookup_key
from workspace.router.health import health
from workspace.router.history import Past
from workspace.router.money import Limit
from workspace.router.prompts import tokens_of
from workspace.types import Failure, Request, Usage

USUAL_OUTPUT = 500  # tokens of an answer, while none has been written
LOOK_WITHIN = 0.5  # seconds that the model host has to tell its memory
EMBED_WITHIN = 0.5  # seconds: a score is not worth a longer wait
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``facts`` is all that conditions may speak of; ``limits`` are the budgets that bind the person."""

    facts: Mapping[str, Any]
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    unaffordable: Mapping[str, Failure] = field(default_factory=dict)
    limits: tuple[Limit, ...] = ()
    past: Mapping[str, Past] = field(default_factory=dict)


async def look(request: Request, catalog: Catalog) -> Situation:
    """For one request, before it is decided."""
    names, lookups = catalog.names, catalog.lookups
    limits = tuple(limit for limit in catalog.limits if limit.covers(request.person_id, request.groups))
    past = await history.load() if limits or _needs(lookups, "cost", "p50_ms") else {}
    also: dict[str, Any] = {}
    unaffordable: dict[str, Failure] = {}
    if limits and (found := await database_sync_to_async(money.tightest)(limits)):
        rest, limit = found
        also["budget_left"] = float(rest)
        unaffordable = _unaffordable(request, catalog, past, rest, limit)
    if "language" in names:
        if not languages.loaded():
            await asyncio.to_thread(languages.load)
        also["language"] = languages.language(request.prompt) or None
    if "free_memory_gib" in names:
        also["free_memory_gib"] = await _free_memory()
    scores = await _scores(request) if _needs(lookups, "score") else {}
    for function, model in lookups:
        candidate = catalog.candidates.get(model)
        known = candidate if candidate and may_use(candidate, request.groups) else None
        value = scores.get(model) if function == "score" and known else _look_up(function, known, request, past)
        also[lookup_key(function, model)] = value
    unhealthy = {name: why for name, c in catalog.candidates.items() if (why := health.why_not(c))}
    unhealthy |= await room.too_large(catalog.candidates.values())
    facts = facts_of(request, user=request.user or None, groups=request.groups if request.user else None, also=also)
    return Situation(facts=facts, unhealthy=unhealthy, unaffordable=unaffordable, limits=limits, past=past)


def estimate(candidate: Candidate, request: Request, past: Mapping[str, Past]) -> Decimal | None:
    """US dollars that the request would cost on a model: its tokens in, and out as many as it may or mostly does."""
    usual = past.get(candidate.name, Past()).tokens_output or USUAL_OUTPUT
    most = request.parameters.get("max_tokens") or candidate.parameters.get("max_tokens")
    output = min(usual, most) if most else usual
    usage = Usage(input=sum(map(tokens_of, request.messages)), output=round(output))
    return catalogs.cost(candidate, usage)


def _look_up(function: str, candidate: Candidate | None, request: Request, past: Mapping[str, Past]) -> Any:
    if candidate is None:
        return None
    match function:
        case "cost":
            amount = estimate(candidate, request, past)
            return None if amount is None else float(amount)
        case "p50_ms":
            return past.get(candidate.name, Past()).p50_ms
        case "healthy":
            return not health.why_not(candidate)
    return None


async def _free_memory() -> float:
    """What a local model could still take: as the model host tells, or what the machine has while it is away."""
    try:
        async with asyncio.timeout(LOOK_WITHIN):
            return round(await link.free_memory() / GIB, 2)
    except (link.HostUnavailable, TimeoutError):
        return round(psutil.virtual_memory().available / GIB, 2)


async def _scores(request: Request) -> Mapping[str, float]:
    """The learned score of each model for this question; nothing while it is off or the model host is not there."""
    if not score.is_on():
        return {}
    try:
        async with asyncio.timeout(EMBED_WITHIN):
            embedding = await spaces.question(spaces.BUILT_IN, request.prompt)
    except (link.HostUnavailable, TimeoutError):
        return {}
    return score.predict(embedding)


def _unaffordable(
    request: Request, catalog: Catalog, past: Mapping[str, Past], rest: Decimal, limit: Limit
) -> dict[str, Failure]:
    """Models that the rest of a budget can't pay, and those of which nobody can tell."""
    refused = {}
    for name, candidate in catalog.candidates.items():
        amount = estimate(candidate, request, past)
        if amount is None:
            refused[name] = money.unpriced(name)
        elif amount > max(rest, money.NOTHING):
            refused[name] = money.over(limit, rest, amount)
    return refused


def _needs(lookups: frozenset[tuple[str, str]], *functions: str) -> bool:
    return any(function in functions for function, _ in lookups)
