"""The router's file: read, checked, kept as an immutable version.

The article's ``model_router.json`` is valid as it stands, its ``//`` comment included. For each route ours adds a
name, weighted models, a mode, parameters, grounding, deadlines, fallbacks and a budget (``workspace/router/schema.py``
describes the file for editors). Every problem has its line and column. Storing is the only thing here that touches a
row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from workspace.accounts.models import Person
from workspace.providers.models import LanguageModel
from workspace.router.conditions import Condition, ConditionError, Problem, nearest
from workspace.router.conditions import parse as parse_condition
from workspace.router.jsonc import JsonError, Node, line_and_column, offset_in
from workspace.router.jsonc import read as read_json
from workspace.router.models import RouterConfiguration, RouterVersion
from workspace.types import Mode, canonical, sha256

ANY = "any"  # in place of a model's name: the oldest enabled language model that can take the request, else quotes

DEFAULT_SOURCE = """\
// model_router.json: which model answers when nobody chooses one.
// Routes are tried from the top; the first whose condition is true decides.
{
  "routes": [
    {"name": "default", "condition": "default", "model": "any"}
  ],
  "fallback": "quotes"
}
"""

MAX_FILE = 200_000  # characters
MAX_ROUTES = 200


class ConfigurationError(Exception):
    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """``models`` maps a model's name to its weight. ``groups``, when there are any, are the only people it serves;
    ``grounding`` and ``budget`` hold what the file says."""

    name: str
    condition: Condition
    models: Mapping[str, float]
    groups: tuple[str, ...] = ()
    mode: Mode = "interactive"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grounding: Mapping[str, bool] = field(default_factory=dict)
    first_token_s: float | None = None
    total_s: float | None = None
    fallbacks: tuple[str, ...] = ()
    budget: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """``digest`` is of what the file means: neither comments nor spaces change it. ``autocomplete`` names the model
    that finishes sentences in the composer, ``judge`` the one that reads what answers rest on, ``rewriter``
    the one that completes follow-up questions; ``hedge`` says when a slow model is raced, and how often at most."""

    routes: tuple[Route, ...]
    fallback: str
    digest: str
    autocomplete: str = ""
    judge: str = ""
    rewriter: str = ""
    hedge: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> frozenset[str]:
        """Every fact that some condition needs."""
        return frozenset().union(*(route.condition.names for route in self.routes))

    @property
    def lookups(self) -> frozenset[tuple[str, str]]:
        return frozenset().union(*(route.condition.lookups for route in self.routes))

    def route(self, name: str) -> Route | None:
        return next((route for route in self.routes if route.name == name), None)


def parse(source: str, *, models: Collection[str] | None) -> Configuration:
    """The checked file. ``models`` are the names that exist; with ``None`` names are not checked, as for a stored
    version whose models may have gone since. Raises ConfigurationError with every problem."""
    return _File(source, models).read()


@transaction.atomic
def save_version(
    name: str,
    source: str,
    *,
    models: Collection[str] | None = None,
    author: Person | None = None,
    note: str = "",
    activate: bool = True,
) -> RouterVersion:
    """Keep a checked source as the next version; the same text as the current or the newest makes none.

    ``models`` are the names it may use, the stored ones unless told. Raises ConfigurationError.
    """
    known = LanguageModel.objects.values_list("name", flat=True) if models is None else models
    digest = parse(source, models=set(known)).digest
    configuration, _ = RouterConfiguration.objects.select_for_update().get_or_create(name=name)
    newest = configuration.versions.order_by("-number").first()
    version = next((kept for kept in (configuration.current, newest) if kept and kept.source == source), None)
    if version is None:
        number = newest.number + 1 if newest else 1
        version = RouterVersion.objects.create(
            configuration=configuration, number=number, source=source, digest=digest, author=author, note=note
        )
    if activate and configuration.current_id != version.pk:
        configuration.current = version
        configuration.save(update_fields=["current"])
    from workspace.router import catalog  # it reads what this file stores

    transaction.on_commit(catalog.forget)
    return version


class _File:
    """One reading of one file; problems are gathered, so that an author sees them all at once."""

    def __init__(self, source: str, models: Collection[str] | None) -> None:
        self._source = source
        self._models = models
        self._problems: list[Problem] = []

    def read(self) -> Configuration:
        node = self._json()
        file = self._values(node, FILE_KEYS, "The file")
        routes = [self._route(each, number) for number, each in enumerate(file.get("routes", ()), start=1)]
        if "routes" not in node.value:
            self._wrong(node.offset, "The file has no routes. One with the condition “default” is enough.")
        self._check_reach(routes, file)
        if self._problems:
            raise ConfigurationError(tuple(sorted(self._problems, key=lambda p: (p.line, p.column))))
        return Configuration(
            routes=tuple(route for route, _ in routes if route),
            fallback=file.get("fallback", ""),
            autocomplete=file.get("autocomplete", ""),
            judge=file.get("judge", ""),
            rewriter=file.get("rewriter", ""),
            hedge=file.get("hedge", {}),
            digest=sha256(canonical(node.plain())),
        )

    def _json(self) -> Node:
        try:
            if len(self._source) > MAX_FILE:
                raise JsonError(f"The file is longer than {MAX_FILE:,} characters.", 0)
            node = read_json(self._source)
            if not isinstance(node.value, dict):
                raise JsonError("The file is an object with “routes” and “fallback”.", node.offset)
        except JsonError as error:
            self._wrong(error.offset, error.message)
            raise ConfigurationError(tuple(self._problems)) from None
        return node

    def _route(self, node: Node, number: int) -> tuple[Route | None, Node]:
        before = len(self._problems)
        where = f"Route {number}"
        read = self._values(node, ROUTE_KEYS, where)
        if len(self._problems) == before and "condition" not in read:
            self._wrong(node.offset, f"{where} has no condition. “default” always applies.")
        if len(self._problems) == before and ("model" in read) == ("models" in read):
            self._wrong(node.offset, f"{where} names its model once: with “model”, or with “models” and their weights.")
        if len(self._problems) > before:
            return None, node
        models = read.pop("models", None) or {read.pop("model"): 1.0}
        return Route(**{"name": f"rule {number}", **read}, models=models), node

    def _values(self, node: Node, known: Mapping[str, Check], where: str) -> dict[str, Any]:
        """What an object says under the keys it may have; each is checked by its own function."""
        if not isinstance(node.value, dict):
            self._wrong(node.offset, f"{where} is an object in {{ }}.")
            return {}
        read = {}
        for key, child in node.value.items():
            if key not in known:
                self._wrong(node.keys[key], f"{where} has no key “{key[:40]}”. {nearest(key, known)}")
                continue
            try:
                read[key] = known[key](self, child)
            except _Refused as refused:
                self._wrong(refused.offset, f"“{key}” {refused}")
        return read

    def condition(self, node: Node) -> Condition:
        source = _text(self, node)
        try:
            return parse_condition(source, models=self._models)
        except ConditionError as error:
            self._wrong(offset_in(self._source, node, error.offset), str(error))
            return parse_condition("default")

    def model(self, node: Node) -> str:
        name = _text(self, node)
        self._check_model(name, node.offset)
        return name

    def models(self, node: Node) -> dict[str, float]:
        if not isinstance(node.value, dict) or not node.value:
            raise _Refused("is an object of models and their weights.", node)
        for name in node.value:
            self._check_model(name, node.keys[name])
        return {name: _number(0, 1_000_000, above=True)(self, weight) for name, weight in node.value.items()}

    def fallbacks(self, node: Node) -> tuple[str, ...]:
        return tuple(self.model(each) for each in _entries(node))

    def options(self, known: Mapping[str, Check], node: Node) -> dict[str, Any]:
        if not isinstance(node.value, dict):
            raise _Refused("is an object in { }.", node)
        return self._values(node, known, "This")

    def _check_model(self, name: str, offset: int) -> None:
        if self._models is not None and name != ANY and name not in self._models:
            known = ", ".join([*sorted(self._models), ANY])
            self._wrong(offset, f"There is no model “{name[:80]}”. Known: {known}.")

    def _check_reach(self, routes: list[tuple[Route | None, Node]], file: Mapping[str, Any]) -> None:
        """Rules that can't be reached and rules that can't be true are mistakes, whoever wrote them."""
        seen: dict[str, int] = {}
        names: set[str] = set()
        always = 0
        for number, (route, node) in enumerate(routes, start=1):
            if always:
                self._wrong(node.offset, f"Route {number} is never reached: route {always} always applies.")
            if route is None:
                continue
            source = route.condition.source
            if not always and source in seen:
                self._wrong(
                    node.offset, f"Route {number} is never reached: route {seen[source]} has the same condition."
                )
            if route.name in names:
                self._wrong(node.offset, f"Two routes are called “{route.name}”.")
            if route.condition.constant:
                if route.condition.holds({})[0]:
                    always = always or number
                else:
                    self._wrong(node.offset, f"Route {number} never applies: its condition is always false.")
            seen.setdefault(source, number)
            names.add(route.name)
        if routes and not always and not file.get("fallback") and not self._problems:
            last = routes[-1][1]
            self._wrong(
                last.offset, "When no condition is true, nothing answers. Add a fallback or a last route “default”."
            )

    def _wrong(self, offset: int, message: str) -> None:
        self._problems.append(Problem(message, *line_and_column(self._source, offset)))


class _Refused(Exception):
    """What is wrong with one value; its key is put before it."""

    def __init__(self, message: str, node: Node) -> None:
        super().__init__(message)
        self.offset = node.offset


Check = Callable[[_File, Node], Any]


def _text(_: _File, node: Node) -> str:
    if not isinstance(node.value, str) or not node.value.strip():
        raise _Refused("is text in double quotes.", node)
    return node.value


def _name(file: _File, node: Node) -> str:
    name = _text(file, node)
    if len(name) > 60 or not name.isprintable():
        raise _Refused("is one line of at most 60 characters.", node)
    return name


def _truth(_: _File, node: Node) -> bool:
    if not isinstance(node.value, bool):
        raise _Refused("is true or false.", node)
    return node.value


def _number(low: float, high: float, *, above: bool = False, whole: bool = False) -> Check:
    """A number from ``low`` (or above it) to ``high``."""
    start = "above" if above else "from"
    said = f"is a {'whole ' if whole else ''}number {start} {low:g} to {high:,.15g}."

    def check(_: _File, node: Node) -> float:
        value = node.value
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool) and math.isfinite(value)
        if not fits or not low <= value <= high or (above and value == low):
            raise _Refused(said, node)
        return value

    return check


def _one_of(*words: str) -> Check:
    def check(_: _File, node: Node) -> str:
        if not isinstance(node.value, str) or node.value not in words:
            raise _Refused(f"is {' or '.join(f'“{word}”' for word in words)}.", node)
        return node.value

    return check


def _stop(file: _File, node: Node) -> list[str]:
    if len(stops := [_text(file, each) for each in _entries(node)]) > 4:
        raise _Refused("holds at most 4 texts.", node)
    return stops


def _entries(node: Node) -> Iterable[Node]:
    if not isinstance(node.value, list):
        raise _Refused("is a list in [ ].", node)
    return node.value


def _routes(_: _File, node: Node) -> Iterable[Node]:
    routes = list(_entries(node))
    if not 0 < len(routes) <= MAX_ROUTES:
        raise _Refused(f"holds 1 to {MAX_ROUTES} routes.", node)
    return routes


PARAMETER_KEYS: dict[str, Check] = {
    "temperature": _number(0, 2),
    "top_p": _number(0, 1, above=True),
    "max_tokens": _number(1, 10_000_000, whole=True),
    "stop": _stop,
}
GROUNDING_KEYS: dict[str, Check] = {"documents": _truth, "web": _truth}
HEDGE_KEYS: dict[str, Check] = {"after_s": _number(0, 60, above=True), "percent": _number(0, 100, above=True)}
BUDGET_KEYS: dict[str, Check] = {"usd": _number(0, 1_000_000, above=True)}
ROUTE_KEYS: dict[str, Check] = {
    "name": _name,
    "condition": _File.condition,
    "model": _File.model,
    "models": _File.models,
    "groups": lambda file, node: tuple(_name(file, each) for each in _entries(node)),
    "mode": _one_of("interactive", "background"),
    "parameters": lambda file, node: file.options(PARAMETER_KEYS, node),
    "grounding": lambda file, node: file.options(GROUNDING_KEYS, node),
    "first_token_s": _number(0, 86_400, above=True),
    "total_s": _number(0, 86_400, above=True),
    "fallbacks": _File.fallbacks,
    "budget": lambda file, node: file.options(BUDGET_KEYS, node),
}
FILE_KEYS: dict[str, Check] = {
    "routes": _routes,
    "fallback": _File.model,
    "autocomplete": _File.model,
    "judge": _File.model,
    "rewriter": _File.model,
    "hedge": lambda file, node: file.options(HEDGE_KEYS, node),
}
