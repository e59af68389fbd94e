"""Strength against cost, and against the wait for the first token, as places in a drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from chat.compare.leaderboard import Standing
from workspace.measurement.plots import HEIGHT, WIDTH, Place, Plot, Tick, beside, log_rounds, rounds

NARROW = 8  # units that are left free at the sides


def against_cost(standings: Sequence[Standing]) -> Plot | None:
    """Dollars for a thousand answers, from 0."""
    placed = [(one, float(one.per_thousand)) for one in standings if one.per_thousand is not None]
    return _plot(placed, "${:g}", lambda value: value, "a thousand answers", axis="cost of 1,000 answers")


def against_wait(standings: Sequence[Standing]) -> Plot | None:
    """Seconds to the first token, the median, each tenfold as wide as the next."""
    placed = [(one, max(1e-3, one.first_token.value)) for one in standings if one.first_token]
    return _plot(placed, "{:g} s", math.log10, "the first token", axis="median seconds to first token, log scale")


def _plot(
    placed: Sequence[tuple[Standing, float]], unit: str, scale: Callable[[float], float], what: str, *, axis: str
) -> Plot | None:
    if len(placed) < 2:
        return None
    is_log = scale is math.log10
    first = min(scale(value) for _, value in placed) - 0.15 if is_log else 0.0
    room = (max(scale(value) for _, value in placed) + (0.15 if is_log else 0.0) - first) or 1.0
    lowest = min(one.strength.low for one, _ in placed) - 20
    highest = max(one.strength.high for one, _ in placed) + 20

    def x(value: float) -> float:
        return round(NARROW + (scale(value) - first) / room * (WIDTH - 2 * NARROW), 1)

    def y(elo: float) -> float:
        return round(HEIGHT * (1 - (elo - lowest) / (highest - lowest)), 1)

    dots = [(x(value), y(one.strength.elo)) for one, value in placed]
    texts = beside([one.strength.model for one, _ in placed], dots)
    places = [
        Place(
            mark=-1 if one.mark is None else one.mark,
            x=dot[0],
            y=dot[1],
            label=label,
            path=f"M{dot[0]} {y(one.strength.high)}V{y(one.strength.low)}",
        )
        for (one, _), dot, label in zip(placed, dots, texts, strict=True)
    ]
    ticks = log_rounds(10**first, 10 ** (first + room)) if is_log else rounds(0.0, room)
    words = ", ".join(
        f"{one.strength.model} {one.strength.elo:.0f} at {unit.format(float(f'{value:.2g}'))}" for one, value in placed
    )
    return Plot(
        xs=[Tick(x(value), unit.format(value)) for value in ticks],
        ys=[Tick(y(value), f"{value:g}") for value in rounds(lowest, highest)],
        places=places,
        axis=axis,
        words=f"Strength and {what}: {words}.",
    )
