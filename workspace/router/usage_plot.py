"""A plot of usage: one stacked bar a day (a week, where days are many), a colour for each of the busiest models.

It computes places and heights for a template's SVG and knows no table. Units of the drawing: a bar is 10 wide with
its gap, the whole 100 high.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from workspace.router.usage import Figures, Span

COLOURS = 7  # models with a colour of their own; all others share the eighth
MOST_BARS = 92
WIDTH = 10

Measure = Callable[[Figures], Decimal]
MEASURES: dict[str, Measure] = {
    "cost": lambda figures: figures.cost,
    "answers": lambda figures: Decimal(figures.answers),
    "tokens": lambda figures: Decimal(figures.tokens),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    colour: int
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    first: date
    last: date
    x: int
    value: Decimal
    pieces: list[Piece] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """``greatest`` is the value of the highest bar; ``names`` are the models by colour, from 1."""

    bars: list[Bar]
    greatest: Decimal
    names: list[str]

    @property
    def width(self) -> int:
        return len(self.bars) * WIDTH


def plot(days: Mapping[tuple[date, str], Figures], span: Span, measure: str) -> Plot:
    value_of = MEASURES[measure]
    step = 1 if span.days <= MOST_BARS else 7
    values: dict[tuple[int, str], Decimal] = {}
    sums: dict[str, Decimal] = {}
    for (day, model), figures in days.items():
        key = ((day - span.first).days // step, model)
        values[key] = values.get(key, Decimal()) + value_of(figures)
        sums[model] = sums.get(model, Decimal()) + value_of(figures)
    ranked = sorted((model for model in sums if sums[model]), key=lambda model: (-sums[model], model))
    own = ranked[:COLOURS]
    stacks = [_stack(number, values, own) for number in range(-(-span.days // step))]
    greatest = max((sum(stack) for stack in stacks), default=Decimal()) or Decimal()
    bars = [_bar(number, stack, step, span, Decimal(greatest)) for number, stack in enumerate(stacks)]
    return Plot(
        bars=bars,
        greatest=Decimal(greatest),
        names=[model or "none could be called" for model in own] + (["all others"] if ranked[COLOURS:] else []),
    )


def _stack(number: int, values: Mapping[tuple[int, str], Decimal], own: list[str]) -> list[Decimal]:
    """The values of one bar from the ground up: the models with a colour, then all others together."""
    of_own = [values.get((number, model), Decimal()) for model in own]
    all_of_it = sum((value for (at, _), value in values.items() if at == number), Decimal())
    return [*of_own, all_of_it - sum(of_own, Decimal())]


def _bar(number: int, stack: list[Decimal], step: int, span: Span, greatest: Decimal) -> Bar:
    first = span.first + timedelta(days=number * step)
    pieces, top = [], 100.0
    for colour, value in enumerate(stack, start=1):
        if value:
            height = float(value / greatest) * 100
            top -= height
            pieces.append(Piece(colour=min(colour, COLOURS + 1), y=round(top, 3), height=round(height, 3)))
    return Bar(
        first=first,
        last=min(first + timedelta(days=step - 1), span.last),
        x=number * WIDTH,
        value=sum(stack, Decimal()),
        pieces=pieces,
    )
