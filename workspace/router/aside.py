"""One call beside an answer, such as a judge's or a rewriter's, from the decision to the bill.

It goes through the same decision as every question, so permission, health and budgets hold; it is billed to whoever
asked, and stands in the day's sums under a name of its own.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from django.conf import settings

from workspace.providers.base import ProviderError
from workspace.router import money, situation
from workspace.router.attempt import single
from workspace.router.catalog import Candidate, Catalog
from workspace.router.decide import QUOTES, NoModel, decide
from workspace.router.health import health
from workspace.router.money import Spent
from workspace.types import Attempt, Delta, Request
from workspace.writes import writer


@dataclass(frozen=True, slots=True)
class Aside:
    """``text`` is empty where the call failed; what it cost stands in ``attempt`` even so."""

    candidate: Candidate
    text: str
    attempt: Attempt


async def ask(request: Request, catalog: Catalog, *, name: str, within: float) -> Aside | None:
    """What the model of a request says within so many seconds; nothing where it may not be asked now. ``name`` is what
    the call is called in the day's sums, ``request.system`` what the model is told to do."""
    known = await situation.look(request, catalog)
    try:
        decision = decide(
            request, catalog, facts=known.facts, unhealthy=known.unhealthy, unaffordable=known.unaffordable
        )
    except NoModel:
        return None
    candidate = catalog.candidates[decision.model]
    if candidate.kind == QUOTES or candidate.name in known.unhealthy:
        return None
    calling = single(candidate, request, system=request.system or "", within=within)
    failure, text = None, ""
    try:
        async with contextlib.aclosing(calling.pieces()) as pieces:
            async for piece in pieces:
                if type(piece) is Delta:
                    text += piece.text
    except ProviderError as error:
        failure, text = error.failure, ""
        # A deadline that is shorter than an answer's own says nothing of the model.
        if failure.code != "timeout" or within >= settings.FIRST_TOKEN_DEADLINE:
            health.note(candidate, failure)
    finally:
        attempt = calling.attempt(failure)
        await writer.submit(lambda: money.settle(spent(request.person_id, attempt, name=name)))
    return Aside(candidate, text, attempt)


def spent(person_id: str, attempt: Attempt, *, name: str) -> Spent:
    """A call's share of the day's sums."""
    usage = attempt.usage
    return Spent(
        person_id=person_id,
        model=attempt.model,
        route=name,
        tokens_input=usage.input if usage else 0,
        tokens_output=usage.output if usage else 0,
        cost=attempt.cost,
        runs=1,
        failed=int(attempt.failure is not None),
    )
