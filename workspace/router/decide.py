"""Deciding is pure: a request, a catalog and facts in; a decision with its trace out. It calls nobody.

What a model can't take (switched off, no images, too small a window) is left out with the reason, whether a person,
a route or a fallback named it. So is what the person may not use, and then nothing tells it from a model that is not
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from workspace.router.catalog import Candidate, Catalog
from workspace.router.configuration import ANY, Route
from workspace.router.prompts import tokens_of
from workspace.types import Decision, Dropped, Failure, Request, TraceStep

QUOTES = "quotes"  # the kind that reads evidence out and is no language model


class NoModel(Exception):
    """Nothing can take the request."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.cause)
        self.failure = failure


def decide(
    request: Request,
    catalog: Catalog,
    *,
    facts: Mapping[str, Any],
    unhealthy: Mapping[str, str] | None = None,
    unaffordable: Mapping[str, Failure] | None = None,
) -> Decision:
    """The person's choice always wins; else the first route that applies, its fallbacks, the file's fallback.

    ``unhealthy`` names models whose calls keep failing, with the reason: they are passed by while another can answer.
    ``unaffordable`` names those that a budget can't pay: they are not called at all. Raises NoModel.
    """
    if request.model:
        return _chosen(request, catalog, facts, unaffordable or {})
    return _routed(request, catalog, facts, unhealthy or {}, unaffordable or {})


def still_fit(decision: Decision, request: Request, catalog: Catalog) -> Decision:
    """An earlier decision without the models that can't serve it any more. Raises NoModel when none is left."""
    dropped: list[Dropped] = []
    fit = _fit([decision.model, *decision.fallbacks], request, catalog, dropped)
    if not fit:
        raise NoModel(_nobody(dropped))
    return replace(
        decision,
        model=fit[0],
        model_version=catalog.candidates[fit[0]].version_id,
        fallbacks=tuple(fit[1:]),
        dropped=(*decision.dropped, *dropped),
    )


def stored(decision: Mapping[str, Any]) -> Decision:
    """A decision as its row has it, as a value."""
    return Decision(
        **{
            **decision,
            "fallbacks": tuple(decision["fallbacks"]),
            "trace": tuple(TraceStep(**step) for step in decision["trace"]),
            "dropped": tuple(Dropped(**drop) for drop in decision["dropped"]),
        }
    )


def may_use(candidate: Candidate, groups: Collection[str]) -> bool:
    """Whether people of these groups may use a model: the one question, asked of every model that is about to serve."""
    return candidate.groups is None or not candidate.groups.isdisjoint(groups)


def _chosen(
    request: Request, catalog: Catalog, facts: Mapping[str, Any], unaffordable: Mapping[str, Failure]
) -> Decision:
    candidate = catalog.candidates.get(request.model)
    reason = _unfit(candidate, request, request.model)
    if candidate is None or reason:
        raise NoModel(_refusal(candidate, request, reason))
    if candidate.name in unaffordable:
        raise NoModel(unaffordable[candidate.name])
    return Decision(
        model=candidate.name,
        model_version=candidate.version_id,
        reason="your choice",
        chosen_by="person",
        configuration=catalog.router_version_id,
        mode=request.mode,
        facts=_shown(facts),
    )


def _routed(
    request: Request,
    catalog: Catalog,
    facts: Mapping[str, Any],
    unhealthy: Mapping[str, str],
    unaffordable: Mapping[str, Failure],
) -> Decision:
    route, number, trace = _first_true(request, catalog, facts)
    dropped: list[Dropped] = []
    own = _fit(_in_order(route, request), request, catalog, dropped) if route else []
    spare = _fit([*(route.fallbacks if route else ()), catalog.configuration.fallback], request, catalog, dropped)
    fit = list(dict.fromkeys([*own, *spare]))
    if not fit:
        raise NoModel(_nobody(dropped))
    dear = [name for name in fit if name in unaffordable]
    if len(dear) == len(fit):
        raise NoModel(unaffordable[fit[0]])
    dropped += [Dropped(model=name, reason=unaffordable[name].cause) for name in dear]
    fit = [name for name in fit if name not in dear]
    own = [name for name in own if name not in dear]
    if well := [name for name in fit if name not in unhealthy]:  # a failing model is still better than none
        dropped = [Dropped(model=name, reason=unhealthy[name]) for name in fit if name in unhealthy] + dropped
        fit = well
        own = [name for name in own if name not in unhealthy]
    return Decision(
        model=fit[0],
        model_version=catalog.candidates[fit[0]].version_id,
        reason=_rule(route, number) if route and own else _fallback(dropped),
        chosen_by="route" if own else "fallback",
        route=route.name if route else "",
        configuration=catalog.router_version_id,
        fallbacks=tuple(fit[1:]),
        parameters=route.parameters if route else {},
        mode=route.mode if route and request.mode == "interactive" else request.mode,
        trace=tuple(trace),
        dropped=tuple(dict.fromkeys(dropped)),
        facts=_shown(facts),
    )


def _first_true(
    request: Request, catalog: Catalog, facts: Mapping[str, Any]
) -> tuple[Route | None, int, list[TraceStep]]:
    trace: list[TraceStep] = []
    for number, route in enumerate(catalog.configuration.routes, start=1):
        if route.groups and set(route.groups).isdisjoint(request.groups):
            continue  # the trace is shown to the person, and what serves others is not theirs to know of
        value, note = route.condition.holds(facts)
        trace.append(TraceStep(route=route.name, condition=route.condition.source, value=value, note=note))
        if value:
            return route, number, trace
    return None, 0, trace


def _in_order(route: Route, request: Request) -> list[str]:
    """A route's models, the drawn one first. The draw follows from the chat, so a chat keeps its model."""
    names = list(route.models)
    if len(names) == 1:
        return names
    seed = hashlib.sha256(f"{route.name}\n{request.chat_id or request.prompt}".encode()).digest()
    point = int.from_bytes(seed[:8], "big") / 2**64 * sum(route.models.values())
    for name in names:
        point -= route.models[name]
        if point < 0:
            return [name, *(other for other in names if other != name)]
    return names


def _fit(names: Iterable[str], request: Request, catalog: Catalog, dropped: list[Dropped]) -> list[str]:
    """Those that can take the request; why the others can't is added to ``dropped``."""
    fit: list[str] = []
    for name in filter(None, names):
        if name == ANY:
            fit += _any(request, catalog, dropped)
        elif reason := _unfit(catalog.candidates.get(name), request, name):
            dropped.append(Dropped(model=name, reason=reason))
        else:
            fit.append(name)
    return fit


def _any(request: Request, catalog: Catalog, dropped: list[Dropped]) -> list[str]:
    """One model that fits, the oldest: the word alone must never send a question on to a second provider."""
    enabled = [c for c in catalog.candidates.values() if c.enabled and may_use(c, request.groups)]
    for candidate in sorted(enabled, key=lambda c: c.kind == QUOTES):
        reason = _unfit(candidate, request, candidate.name)
        if not reason:
            return [candidate.name]
        dropped.append(Dropped(model=candidate.name, reason=reason))
    return []


def _unfit(candidate: Candidate | None, request: Request, name: str) -> str:
    """Why a model can't take the request; nothing when it can."""
    if candidate is None or not may_use(candidate, request.groups):
        return f"There is no model “{name}”."
    if not candidate.enabled:
        return f"{name} is switched off."
    if candidate.lacks:
        return f"{name} can't be called: {candidate.lacks}."
    if _asks(request, "image") and "images" not in candidate.abilities:
        return f"{name} takes no images."
    if _asks(request, "audio") and "audio" not in candidate.abilities:
        return f"{name} takes no audio."
    if candidate.window and request.messages and (needed := tokens_of(request.messages[-1])) > candidate.window:
        return f"{name} has a window of {candidate.window:,} tokens; the question alone needs about {needed:,}."
    return ""


def _asks(request: Request, kind: str) -> bool:
    """Whether the question itself carries it; earlier pictures are left out for a model that takes none."""
    return bool(request.messages) and any(part.kind == kind for part in request.messages[-1].parts)


def _refusal(candidate: Candidate | None, request: Request, reason: str) -> Failure:
    """The person chose it, so nothing else answers in its place."""
    if candidate and candidate.lacks:
        return Failure(code="no_key", cause=reason, action="Store its key in the admin, or choose another model.")
    if candidate is None or not candidate.enabled or not may_use(candidate, request.groups):
        return Failure(code="no_model", cause=reason, action="Choose another model and retry.", permanent=True)
    if _asks(request, "image") and "images" not in candidate.abilities:
        action = "Choose a model that takes images, or send the question without them."
    elif _asks(request, "audio") and "audio" not in candidate.abilities:
        action = "Choose a model that takes audio, or send the question without it."
    else:
        action = "Choose a model with a larger window, or ask for less at once."
    return Failure(code="unfit_model", cause=reason, action=action, permanent=True)


def _nobody(dropped: list[Dropped]) -> Failure:
    why = " ".join(dict.fromkeys(drop.reason for drop in dropped)) or "No rule applies and there is no fallback."
    return Failure(code="no_model", cause=why, action="Choose another model, or add one in the admin.", permanent=True)


def _rule(route: Route, number: int) -> str:
    """“rule 2, long answers”; a rule without a name is told by its condition."""
    if route.name != f"rule {number}":
        return f"rule {number}, {route.name}"
    source = route.condition.source
    return f"rule {number}, {source if len(source) <= 48 else source[:47] + '…'}"


def _fallback(dropped: list[Dropped]) -> str:
    return f"fallback: {dropped[0].reason.rstrip('.')}" if dropped else "fallback: no rule applied"


def _shown(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Facts as a decision keeps them: the prompt by its length, as records hold no second copy of words."""
    kept = {name: value for name, value in facts.items() if name != "prompt"}
    return {**kept, "len(prompt)": len(facts.get("prompt") or "")}
