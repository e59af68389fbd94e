"""Plots as places in a drawing: a template writes the SVG. They know lanes and no table.

Units are the drawing's own: ``WIDTH`` by ``HEIGHT``, the origin above left. A lane keeps its mark and hue. Labels stand
where they cover nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workspace.measurement.report import LaneReport
from workspace.measurement.statistics import Interval

WIDTH, HEIGHT = 440, 230
STEPS = 80  # points of a curve
ROOM = 1.05  # an axis goes on a little behind its last value
LETTER = 6.6  # width of one, about
PLACES = ((10, 15, "start"), (-10, -9, "end"), (10, -9, "start"), (-10, 15, "end"), (10, 28, "start"), (-10, 28, "end"))


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Label:
    text: str
    x: float
    y: float
    anchor: str

    def covers(self, other: Label) -> bool:
        return abs(self.y - other.y) < 13 and self.left < other.right and other.left < self.right

    def distance(self, dot: tuple[float, float]) -> float:
        across = max(self.left - dot[0], dot[0] - self.right, 0)
        return math.hypot(across, max(self.y - 11 - dot[1], dot[1] - self.y, 0))

    @property
    def left(self) -> float:
        return self.x if self.anchor == "start" else self.x - LETTER * len(self.text)

    @property
    def right(self) -> float:
        return self.left + LETTER * len(self.text)


@dataclass(frozen=True, slots=True)
class Place:
    """One lane: its mark, its label, and a curve through it or a bar over it."""

    mark: int
    x: float
    y: float
    label: Label
    path: str


@dataclass(frozen=True, slots=True)
class Plot:
    xs: Sequence[Tick]
    ys: Sequence[Tick]
    places: Sequence[Place]
    axis: str
    words: str
    front: str = ""
    curves: bool = False
    width: int = WIDTH
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class Scale:
    """Where intervals are drawn: from ``low`` to ``high``, in tenths."""

    low: float
    high: float

    @property
    def words(self) -> str:
        return f"{self.low:.0%} to {self.high:.0%}".replace("%", "", 1) if self.high > self.low else ""

    def at(self, value: float) -> float:
        return min(100.0, max(0.0, (value - self.low) / (self.high - self.low) * 100))


def scale(intervals: Sequence[Interval | None]) -> Scale:
    """The tenths that hold all of them."""
    told = [one for one in intervals if one]
    low = math.floor(min((one.low for one in told), default=0.0) * 10) / 10
    high = math.ceil(max((one.high for one in told), default=1.0) * 10) / 10
    return Scale(low, max(high, low + 0.1))


def first_tokens(lanes: Sequence[LaneReport]) -> Plot | None:
    """The share of answers whose first token had come, over seconds on a log scale."""
    timed = [lane for lane in lanes if len(lane.times) > 1]
    if not timed:
        return None
    low = math.log10(max(1e-4, min(lane.times[0] for lane in timed))) - 0.05
    high = math.log10(max(1e-4, *(lane.times[-1] for lane in timed))) + 0.05

    def x(seconds: float) -> float:
        return round((math.log10(max(1e-4, seconds)) - low) / (high - low) * WIDTH, 1)

    shares = np.linspace(0, 1, STEPS)
    paths, middles = [], []
    for lane in timed:
        times = np.quantile(lane.times, shares)
        points = [f"{x(float(time))} {HEIGHT * (1 - share):.1f}" for time, share in zip(times, shares, strict=True)]
        paths.append("M" + "L".join(points))
        middles.append(float(np.median(lane.times)))
    labels = beside([lane.label for lane in timed], [(x(middle), HEIGHT / 2) for middle in middles])
    return Plot(
        xs=[Tick(x(value), f"{value:g}") for value in log_rounds(10**low, 10**high)],
        ys=[Tick(HEIGHT * (1 - share / 100), f"{share}%") for share in (0, 25, 50, 75, 95)],
        places=[
            Place(lane.mark, x(middle), HEIGHT / 2, label, path)
            for lane, middle, label, path in zip(timed, middles, labels, paths, strict=True)
        ],
        axis="seconds to first token, log scale",
        words="Half of the first tokens had come after: "
        + ", ".join(f"{lane.label} {middle:.3g} s" for lane, middle in zip(timed, middles, strict=True))
        + ".",
        curves=True,
    )


def against(lanes: Sequence[LaneReport], over: str) -> Plot | None:
    """Right answers over cost of 1,000 answers ("cost") or over the median first token ("time"), with 95 % intervals.
    The dotted line joins those that no other beats in both."""
    value_of = _cost if over == "cost" else _time
    placed = [(lane, value, lane.right) for lane in lanes if (value := value_of(lane)) is not None and lane.right]
    if len(placed) < 2:
        return None
    most = max(value for _, value, _ in placed) * ROOM or 1.0
    span = scale([right for _, _, right in placed])

    def x(value: float) -> float:
        return round(value / most * (WIDTH - 20) + 10, 1)

    def y(share: float) -> float:
        return round(HEIGHT * (1 - span.at(share) / 100), 1)

    dots = [(x(value), y(right.value)) for _, value, right in placed]
    unit = "${:g}" if over == "cost" else "{:g} s"
    shares = np.arange(span.low, span.high + 0.01, 0.1 if span.high - span.low < 0.6 else 0.2)
    told = ", ".join(f"{lane.label} {right.value:.0%} at {unit.format(float(f'{v:.3g}'))}" for lane, v, right in placed)
    return Plot(
        xs=[Tick(x(value), unit.format(value)) for value in rounds(0.0, most)],
        ys=[Tick(y(float(share)), f"{share:.0%}") for share in shares],
        places=[
            Place(lane.mark, *dot, label, f"M{dot[0]} {y(right.high)}V{y(right.low)}")
            for (lane, _, right), dot, label in zip(
                placed, dots, beside([lane.label for lane, _, _ in placed], dots), strict=True
            )
        ],
        axis="cost of 1,000 answers" if over == "cost" else "median seconds to first token",
        words=f"Right answers: {told}.",
        front=_front(dots),
    )


def _front(dots: Sequence[tuple[float, float]]) -> str:
    """Through those that are better than all that cost less; y grows downwards."""
    best: list[tuple[float, float]] = []
    for dot in sorted(dots):
        if not best or dot[1] < best[-1][1]:
            best.append(dot)
    return "M" + "L".join(f"{px} {py}" for px, py in best) if len(best) > 1 else ""


def beside(texts: Sequence[str], dots: Sequence[tuple[float, float]]) -> list[Label]:
    """Each beside its dot, at the first place where it covers no other label, no dot, and no edge, and where no other
    dot is nearer."""
    found: list[Label] = []
    for text, dot in zip(texts, dots, strict=True):
        choices = [Label(text, dot[0] + dx, dot[1] + dy, anchor) for dx, dy, anchor in PLACES]
        free = [one for one in choices if one.left >= 0 and one.right <= WIDTH + 16 and 8 <= one.y <= HEIGHT - 2]
        clear = [one for one in free if not any(one.covers(other) for other in found) and not _hides(one, dots)]
        own = [one for one in clear if all(one.distance(dot) <= one.distance(other) for other in dots)]
        found.append((own or clear or free or choices)[0])
    return found


def _hides(label: Label, dots: Sequence[tuple[float, float]]) -> bool:
    return any(label.left - 6 < x < label.right + 6 and label.y - 14 < y < label.y + 6 for x, y in dots)


def _cost(lane: LaneReport) -> float | None:
    return None if lane.per_thousand is None else float(lane.per_thousand)


def _time(lane: LaneReport) -> float | None:
    return lane.first_token.value if lane.first_token else None


def rounds(low: float, high: float) -> list[float]:
    """A few round numbers between two values."""
    step = 10.0 ** math.floor(math.log10((high - low) or 1.0))
    step = next(step * by for by in (0.1, 0.2, 0.5, 1, 2) if (high - low) / (step * by) <= 6)
    return [float(f"{step * at:.6g}") for at in range(math.ceil(low / step), math.floor(high / step) + 1)]


def log_rounds(low: float, high: float) -> list[float]:
    """1, 2, 5 and their tens between two values, some six of them."""
    tens = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [float(f"{factor * 10.0**power:.3g}") for power in tens for factor in (1, 2, 5)]
    kept = [value for value in found if low <= value <= high]
    return kept[:: max(1, len(kept) // 6)]
