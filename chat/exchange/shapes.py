"""Whether plain JSON has the shape of one of our frozen values: pages rely on it, whatever file it came in."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from workspace.types import Evidence, Failure

DEEPEST = 12


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a lane of a comparison was given; persona and configuration by their names."""

    model: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)
    system: str = ""
    persona: str | int = ""  # in the first version a number, which said nothing elsewhere
    configuration: str | int = ""


@dataclass(frozen=True, kw_only=True)
class Thumbed:
    """Of a lane; ``by`` is told of whoever took the chat away alone."""

    by: str | None
    up: bool
    reasons: tuple[str, ...]
    blind: bool
    created: str


@dataclass(frozen=True, kw_only=True)
class Voted:
    """Of a comparison: for the ``lane`` of that message, a tie, or all bad; of answers with these digests."""

    by: str | None
    choice: typing.Literal["best", "tie", "bad"]
    lane: int | None
    reasons: tuple[str, ...]
    blind: bool
    digests: Mapping[str, str]
    created: str


@dataclass(frozen=True, kw_only=True)
class Grounded:
    """What a question was to be answered from; the lists are of ids."""

    documents: bool = False
    web: bool = False
    collections: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gathered:
    """A collection that was searched, in the state it had."""

    id: str
    name: str
    state: int
    documents: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class Flagged:
    """A checkpoint; one that was taken away is kept for the steps that lead back to it."""

    kind: str
    name: str
    note: str
    message: int
    author: str | None
    created: str
    removed: bool = False


@dataclass(frozen=True, kw_only=True)
class Fused:
    """What was made of lanes, by the numbers of their answers."""

    kind: str
    message: int
    instruction: str
    lanes: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """What a judge said of an answer; ``verdicts`` are triples as its row has them."""

    model: str
    verdicts: tuple[Any, ...]
    cost: Decimal | None
    created: str


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What made an answer; its manifest is looked at by itself, for it may have a digest."""

    state: typing.Literal["done", "stopped", "failed", "interrupted"]
    text: str
    reasoning: str
    failure: Failure | None
    manifest: Mapping[str, Any] | None
    evidence: tuple[Evidence, ...] | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    cost: Decimal | None = None
    first_token_s: float | None = None
    total_s: float | None = None
    created: str | None = None
    settled: str | None = None
    judged: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Stood:
    """Where somebody stood."""

    message: int
    exact: bool


@dataclass(frozen=True, kw_only=True)
class SaidOf:
    """What was said of the branch that begins at a message."""

    start: int
    name: str
    starred: bool
    pruned: bool


@dataclass(frozen=True, kw_only=True)
class SaidAt:
    """What a checkpoint said; ``flag`` is its place among those of the file."""

    flag: int
    name: str
    note: str
    removed: bool


@dataclass(frozen=True, kw_only=True)
class Pointers:
    """One of the two states of a step."""

    place: Stood | None = None
    branch: SaidOf | None = None
    checkpoint: SaidAt | None = None


@dataclass(frozen=True, kw_only=True)
class Stepped:
    """A step; ``at`` is its place in time among all messages and steps of the file."""

    kind: str
    at: int
    did: typing.Literal[
        "switched",
        "pruned",
        "restored",
        "named",
        "starred",
        "flagged",
        "changed",
        "unflagged",
        "merged",
        "kept",
        "forked",
    ]
    by: str | None
    message: int
    about: str
    before: Pointers
    after: Pointers
    undone: str | None
    created: str


@dataclass(frozen=True, kw_only=True)
class MadeAgain:
    """One answer of a replay: made by a ``run`` of its own; or by that of an ``answer``, since it was kept; or not."""

    message: int
    refused: str = ""
    answer: int | None = None
    run: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Change:
    """What a replay changed; versions by their names."""

    what: typing.Literal["model", "parameter", "template", "router", "evidence"]
    value: str | float
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A replay; ``change`` is none where nothing was changed."""

    kind: str
    by: str | None
    change: Change | None
    stopped: str | None
    created: str
    answers: tuple[MadeAgain, ...]


def conforms(value: Any, shape: Any, *, also: Collection[str] = (), depth: int = 0) -> bool:
    """``also`` are names that may stand beside a dataclass's own. Numbers fit where a float is meant, texts of numbers
    where a Decimal is."""
    if depth > DEEPEST:
        return False
    origin, inner = typing.get_origin(shape), typing.get_args(shape)
    if shape is Any or shape is object:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(conforms(value, one, depth=depth + 1) for one in inner)
    if origin is typing.Literal:
        return value in inner
    if origin is tuple:
        return isinstance(value, list) and all(conforms(one, inner[0], depth=depth + 1) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, dict) and all(conforms(one, inner[1], depth=depth + 1) for one in value.values())
    if is_dataclass(shape):
        return isinstance(value, dict) and _fits(value, shape, also, depth)
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if shape is int:
        return type(value) is int and abs(value) < 2**53
    if shape is Decimal:
        return _is_amount(value)
    return value is None if shape in (None, type(None)) else type(value) is shape


def _fits(value: Mapping[str, Any], shape: Any, also: Collection[str], depth: int) -> bool:
    hints = _hints(shape)
    needed = {one.name for one in fields(shape) if one.default is MISSING and one.default_factory is MISSING}
    if not needed <= value.keys() or value.keys() - hints.keys() - set(also):
        return False
    return all(conforms(value[name], hint, depth=depth + 1) for name, hint in hints.items() if name in value)


@lru_cache(maxsize=64)
def _hints(shape: Any) -> dict[str, Any]:
    return typing.get_type_hints(shape)


def _is_amount(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) < 40 and Decimal(value).is_finite()
    except InvalidOperation:
        return False
