"""What a configuration would have done with the requests that were: which move, what that costs, what can't be told.

Records keep facts and no words, so nothing is sent or read again. What was true only then (the hour, the groups, a
budget, a median) is taken as it was; prices, abilities and groups of models are today's, and every model is taken to
be well. A record that lacks a fact which a condition needs decides nothing, and is counted.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from workspace.router import catalog as catalogs
from workspace.router.catalog import Candidate, Catalog
from workspace.router.configuration import ANY, Configuration, Route
from workspace.router.decide import QUOTES, may_use
from workspace.router.facts import lookup_key
from workspace.router.history import Past
from workspace.types import Usage

# None in a record means "unknown then" only where somebody looked, and these are looked up when a condition asks.
ON_DEMAND = frozenset({"language", "free_memory_gib"})
PER = 1_000  # requests, for a change in cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A decision as it was kept, with what the run came to. ``configuration`` is the one that decided."""

    key: str  # stands in for the chat where a route draws among its models
    facts: Mapping[str, Any]
    route: str
    model: str
    chosen_by: str
    configuration: Configuration
    tokens_input: int | None = None
    tokens_output: int | None = None
    cost: float | None = None
    first_token_s: float | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and the 95 % interval around it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Requests of one kind. ``share`` is of all that could be told; ``cost`` the mean change of one, in US dollars."""

    from_route: str
    from_model: str
    to_route: str
    to_model: str
    count: int
    share: Interval
    cost: float | None

    @property
    def changes_model(self) -> bool:
        return self.from_model != self.to_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """``told`` requests make the figure; of ``unknown`` ones something is not known. There is no interval where that is
    so of every request that moves: those that stay would say that nothing changes."""

    interval: Interval | None
    told: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``untold`` and ``refused`` count requests by the reason. ``cost`` is in US dollars for ``PER`` requests, and
    ``first_token`` the median's change in milliseconds."""

    decisions: int
    chosen: int  # by a person: no configuration moves these
    stayed: int
    moved: int
    share_moved: Interval
    moves: tuple[Move, ...]
    untold: Mapping[str, int]
    refused: Mapping[str, int]
    cost: Change
    first_token: Change


class _Untold(Exception):
    """The record lacks something; the message says what."""


@dataclass(slots=True)
class _Tally:
    """What is counted over the records."""

    ways: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    costs: dict[tuple[str, str, str, str], list[float]] = field(default_factory=dict)
    stayed: int = 0
    untold: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    cost_changes: list[float] = field(default_factory=list)
    firsts: list[tuple[float, float]] = field(default_factory=list)  # seconds, then and with the new configuration
    no_cost: int = 0
    no_first: int = 0
    moved_costs: int = 0
    moved_firsts: int = 0


def replay(
    new: Configuration, records: Iterable[Record], *, catalog: Catalog, past: Mapping[str, Past] | None = None
) -> Report:
    """Decide each routed record anew. ``catalog`` says what models there are now; ``past`` how fast they were."""
    tally, decisions, chosen = _Tally(), 0, 0
    for record in records:
        decisions += 1
        if record.chosen_by == "person":
            chosen += 1
            continue
        try:
            route, model, why = _decide(new, record, catalog)
        except _Untold as lacking:
            tally.untold[str(lacking)] += 1
            continue
        if model:
            _note(tally, record, route, catalog.candidates[model], past or {})
        else:
            tally.refused[why] += 1
    return _report(tally, decisions, chosen)


def wilson(count: int, of: int) -> Interval:
    """A share and its 95 % interval; it is wide where little is known, and never leaves 0 to 1."""
    if not of:
        return Interval(0.0, 0.0, 1.0)
    z, share = 1.959964, count / of
    middle = (share + z * z / (2 * of)) / (1 + z * z / of)
    spread = z / (1 + z * z / of) * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Interval(share, max(0.0, middle - spread), min(1.0, middle + spread))


class _Facts(dict[str, Any]):
    """A record's facts to a condition: asking for what was never kept ends the matter."""

    __slots__ = ("catalog", "record")

    def __init__(self, record: Record, catalog: Catalog) -> None:
        super().__init__(record.facts)
        self.record = record
        self.catalog = catalog

    def get(self, name: str, default: Any = None) -> Any:
        value = super().get(name, default)
        if value is not None or name == "len(prompt)":
            return value
        if name.startswith("cost(") and name not in self:
            return self._cost(name)
        looked = name not in ON_DEMAND or name in self.record.configuration.names
        if name in self and looked:
            return None
        if name == "prompt":
            raise _Untold("the words of the prompt are not kept")
        raise _Untold(f"{name} was not looked up")

    def _cost(self, name: str) -> float | None:
        """No condition asked for it then; the tokens that the run came to say it as well."""
        candidate = next((c for c in self.catalog.candidates.values() if lookup_key("cost", c.name) == name), None)
        if candidate is None or not may_use(candidate, _groups(self.record)):
            return None
        if self.record.tokens_input is None or self.record.tokens_output is None:
            raise _Untold("the run counted no tokens")
        return _price(candidate, self.record)


def _decide(new: Configuration, record: Record, catalog: Catalog) -> tuple[str, str, str]:
    """Route and model, the latter empty when nothing could answer; then the reason."""
    groups = _groups(record)
    route = _first_true(new, _Facts(record, catalog), groups)
    old = record.configuration.route(record.route)
    if _as_before(new, route, record.configuration, old) and _fits(record.model, record, catalog, groups):
        return record.route, record.model, ""  # the same draw, and the same were down
    own = _in_order(route, record.key) if route else []
    spare = (*(route.fallbacks if route else ()), new.fallback)
    for name in filter(None, (*own, *spare)):
        for each in _oldest_first(catalog) if name == ANY else (name,):
            if _fits(each, record, catalog, groups):
                return route.name if route else "", each, ""
    return "", "", "no model that it names can answer" if route else "no rule applies, and no fallback can answer"


def _as_before(new: Configuration, route: Route | None, before: Configuration, old: Route | None) -> bool:
    """Whether the rule that applies offers the models that the rule offered then."""
    if route is None or old is None:
        return route is old and new.fallback == before.fallback
    same = route.name == old.name and list(route.models.items()) == list(old.models.items())
    return same and route.fallbacks == old.fallbacks and new.fallback == before.fallback


def _first_true(new: Configuration, facts: _Facts, groups: frozenset[str]) -> Route | None:
    for route in new.routes:
        if route.groups and groups.isdisjoint(route.groups):
            continue
        if route.condition.holds(facts)[0]:
            return route
    return None


def _groups(record: Record) -> frozenset[str]:
    return frozenset(record.facts.get("groups") or ())


def _in_order(route: Route, key: str) -> list[str]:
    """A route's models, one drawn by their weights first. Records know no chat, so the draw is another than the
    router's; the shares are the same."""
    names = list(route.models)
    if len(names) == 1:
        return names
    digest = hashlib.sha256(f"{route.name}\n{key}".encode()).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64 * sum(route.models.values())
    for name in names:
        point -= route.models[name]
        if point < 0:
            return [name, *(other for other in names if other != name)]
    return names


def _oldest_first(catalog: Catalog) -> list[str]:
    return [c.name for c in sorted(catalog.candidates.values(), key=lambda c: c.kind == QUOTES)]


def _fits(name: str, record: Record, catalog: Catalog, groups: frozenset[str]) -> bool:
    """Whether a model could take the request. A record has facts of the whole chat: what they leave open about the
    question itself is told only where the model did take it, or where the chat had one question."""
    candidate = catalog.candidates.get(name)
    if candidate is None or not candidate.enabled or candidate.lacks or not may_use(candidate, groups):
        return False
    if name == record.model:
        return True
    facts = record.facts
    first = facts.get("turn") == 1
    for kind, ability in (("has_image", "images"), ("has_audio", "audio")):
        if facts.get(kind) and ability not in candidate.abilities:
            if first:
                return False
            raise _Untold(f"whether the question itself carried {ability} is not kept")
    if candidate.window and facts.get("tokens", 0) > candidate.window:
        if first:
            return False
        raise _Untold("how long the question itself was in tokens is not kept")
    return True


def _note(tally: _Tally, record: Record, route: str, target: Candidate, past: Mapping[str, Past]) -> None:
    """Count one request. One that keeps its model changes neither cost nor latency."""
    moves = target.name != record.model
    change: float | None = 0.0
    if moves:
        price = _price(target, record)
        change = None if price is None or record.cost is None else price - record.cost
    if change is None:
        tally.no_cost += 1
    else:
        tally.cost_changes.append(change)
        tally.moved_costs += moves
    then = record.first_token_s
    median = past.get(target.name, Past()).p50_ms
    now = (None if median is None else median / 1000) if moves else then
    if then is None or now is None:
        tally.no_first += 1
    else:
        tally.firsts.append((then, now))
        tally.moved_firsts += moves
    if not moves:
        tally.stayed += 1
    if moves or route != record.route:
        way = (record.route, record.model, route, target.name)
        tally.ways[way] += 1
        if change is not None:
            tally.costs.setdefault(way, []).append(change)


def _price(candidate: Candidate, record: Record) -> float | None:
    if record.tokens_input is None or record.tokens_output is None:
        return None
    amount = catalogs.cost(candidate, Usage(input=record.tokens_input, output=record.tokens_output))
    return None if amount is None else float(amount)


def _report(tally: _Tally, decisions: int, chosen: int) -> Report:
    told = decisions - chosen - tally.untold.total()
    moved = told - tally.stayed - tally.refused.total()
    moves = [
        Move(
            from_route=way[0],
            from_model=way[1],
            to_route=way[2],
            to_model=way[3],
            count=count,
            share=wilson(count, told),
            cost=sum(costs) / len(costs) if (costs := tally.costs.get(way)) else None,
        )
        for way, count in tally.ways.most_common()
    ]
    return Report(
        decisions=decisions,
        chosen=chosen,
        stayed=tally.stayed,
        moved=moved,
        share_moved=wilson(moved, told),
        moves=tuple(sorted(moves, key=lambda move: not move.changes_model)),
        untold=dict(tally.untold.most_common()),
        refused=dict(tally.refused.most_common()),
        cost=Change(
            interval=_bootstrap(tally.cost_changes, _mean_per) if tally.moved_costs or not moved else None,
            told=len(tally.cost_changes),
            unknown=tally.no_cost,
        ),
        first_token=Change(
            interval=_bootstrap(tally.firsts, _median_change) if tally.moved_firsts or not moved else None,
            told=len(tally.firsts),
            unknown=tally.no_first,
        ),
    )


def _bootstrap(values: Sequence[Any], measure: Callable[[Any], float]) -> Interval | None:
    if not values:
        return None
    from workspace.router.measures import interval

    kept = np.array(values, float)
    low, high = interval(lambda rows: measure(kept[rows]), len(kept))
    return Interval(measure(kept), low, high)


def _mean_per(changes: Any) -> float:
    return float(changes.mean()) * PER


def _median_change(pairs: Any) -> float:
    then, now = np.median(pairs, axis=0)
    return float(now - then) * 1000
