"""Plots as places in a drawing: a template writes the SVG. They know lanes and no table.

Units are the drawing's own: ``WIDTH`` by ``HEIGHT``, the origin above left. A lane keeps its mark and hue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from workspace.measurement.report import LaneReport

WIDTH, HEIGHT = 480, 240


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    label: str
    mark: int
    path: str
    x: float
    y: float
    below: int = 14  # its label, so that neighbours do not write over each other


@dataclass(frozen=True, slots=True)
class Point:
    label: str
    mark: int
    x: float
    y: float
    top: float
    bottom: float
    left: bool = False  # its label stands at its left


@dataclass(frozen=True, slots=True)
class Plot:
    xs: Sequence[Tick]
    ys: Sequence[Tick]
    curves: Sequence[Curve] = ()
    points: Sequence[Point] = ()
    words: str = ""
    width: int = WIDTH
    height: int = HEIGHT


def first_tokens(lanes: Sequence[LaneReport]) -> Plot | None:
    """The share of answers whose first token had come, over seconds on a log scale."""
    timed = [lane for lane in lanes if len(lane.times) > 1]
    if not timed:
        return None
    low = math.log10(max(1e-4, min(lane.times[0] for lane in timed)))
    high = math.log10(max(lane.times[-1] for lane in timed))
    low, high = (low - 0.1, high + 0.1) if high - low < 0.2 else (low, high)

    def x(seconds: float) -> float:
        return round((math.log10(max(1e-4, seconds)) - low) / (high - low) * WIDTH, 1)

    curves: list[Curve] = []
    for lane in timed:
        places = [(x(time), HEIGHT * (1 - (at + 1) / len(lane.times))) for at, time in enumerate(lane.times)]
        path = f"M{places[0][0]} {HEIGHT}" + "".join(f"L{px} {py:.1f}" for px, py in places)
        middle = lane.times[len(lane.times) // 2]
        curves.append(Curve(lane.label, lane.mark, path, x(middle), HEIGHT / 2, 14 + 13 * len(curves)))
    medians = [f"{lane.label} {lane.times[len(lane.times) // 2]:.3g} s" for lane in timed]
    ticks = [Tick(x(value), f"{value:g}") for value in _logarithmic(10**low, 10**high)]
    shares = [Tick(HEIGHT * (1 - share / 100), f"{share}%") for share in (0, 25, 50, 75, 95)]
    return Plot(ticks, shares, curves=curves, words=f"Half of the first tokens had come after: {', '.join(medians)}.")


def against(lanes: Sequence[LaneReport], over: str) -> Plot | None:
    """Right answers over cost of 1,000 answers ("cost") or over the median first token ("time"), with 95 %
    intervals."""
    told = [(lane, _over(lane, over)) for lane in lanes]
    placed = [(lane, value) for lane, value in told if value is not None and lane.right]
    if len(placed) < 2:
        return None
    most = max(value for _, value in placed) or 1.0
    bottom = min(lane.right.low for lane, _ in placed if lane.right)
    top = max(lane.right.high for lane, _ in placed if lane.right)
    room = max(0.05, (top - bottom) * 0.15)
    bottom, top = max(0.0, bottom - room), min(1.0, top + room)

    def y(share: float) -> float:
        return round(HEIGHT * (1 - (share - bottom) / (top - bottom)), 1)

    points = []
    for lane, value in placed:
        at = round(value / most * WIDTH * 0.92 + 8, 1)
        assert lane.right
        points.append(
            Point(
                lane.label, lane.mark, at, y(lane.right.value), y(lane.right.high), y(lane.right.low), at > WIDTH * 0.6
            )
        )
    unit = "${:g}" if over == "cost" else "{:g} s"
    ticks = [Tick(round(part * WIDTH * 0.92 + 8, 1), unit.format(float(f"{most * part:.2g}"))) for part in (0, 0.5, 1)]
    shares = [Tick(y(bottom + (top - bottom) * part), f"{bottom + (top - bottom) * part:.0%}") for part in (0, 0.5, 1)]
    words = ", ".join(
        f"{lane.label} {lane.right.value:.0%} at {unit.format(float(f'{value:.3g}'))}"
        for lane, value in placed
        if lane.right
    )
    return Plot(ticks, shares, points=points, words=f"Right answers: {words}.")


def _over(lane: LaneReport, over: str) -> float | None:
    if over == "cost":
        return None if lane.per_thousand is None else float(lane.per_thousand)
    return lane.first_token.value if lane.first_token else None


def _logarithmic(low: float, high: float) -> list[float]:
    """1, 2, 5 and their tens between two values."""
    found = [
        factor * 10.0**power
        for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factor in (1, 2, 5)
    ]
    kept = [value for value in found if low <= value <= high]
    return kept[:: max(1, len(kept) // 6)]
