"""Whether plain JSON has the shape of one of our frozen values: pages rely on it, whatever file it came in."""

from __future__ import annotations

import types
import typing
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

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
