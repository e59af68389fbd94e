"""Template tags of measurements: intervals drawn on a scale, and figures with theirs in words."""

from __future__ import annotations

from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workspace.measurement.metrics import Cell
from workspace.measurement.plots import Scale
from workspace.measurement.statistics import Interval
from workspace.templatetags.onepane import MARKS, hue, seconds

register = template.Library()

SIGNS = {
    Cell.CORRECT: "good", Cell.REFUSED: "good", Cell.WRONG: "bad", Cell.INVENTED: "bad", Cell.UNSCORED: "warn",
}  # fmt: skip
WIDE = 120  # of a whisker


@register.simple_tag
def whisker(interval: Interval | None, scale: Scale, mark: int) -> SafeString:
    """An interval with its value, drawn; the dotted line is where the scale begins."""
    if interval is None:
        return format_html('<span class="none">{}</span>', "–")
    low, high, value = (round(6 + scale.at(part) * (WIDE - 12) / 100, 1) for part in _parts(interval))
    return format_html(
        '<span class="ci"><svg class="whisker {}" viewBox="0 0 {} 18" aria-hidden="true">'
        '<path class="zero" d="M6 1V17"/>'
        '<path d="M{low} 9H{high}M{low} 5V13M{high} 5V13"/><circle cx="{value}" cy="9" r="3.5"/></svg>'
        '<b class="num">{}</b><small>{} to {}</small></span>',
        hue(mark), WIDE, _percent(interval.value), round(100 * interval.low), round(100 * interval.high),
        low=low, high=high, value=value,
    )  # fmt: skip


@register.simple_tag
def shape(mark: int) -> SafeString:
    """A model's mark inside a drawing, its middle at 0."""
    path = "M1 5h10v2H1z" if mark < 0 else MARKS[mark % len(MARKS)]
    return format_html('<path class="dot" transform="scale(1.15) translate(-6 -6)" d="{}"/>', path)


@register.filter
def sign(cell: str) -> str:
    """Good, bad or neither: the class of a cell's tag."""
    return SIGNS.get(Cell(cell), "") if cell else ""


@register.filter
def within(interval: Interval | None, kind: str = "percent") -> SafeString | str:
    """A figure with its interval, small: ``percent``, ``seconds``, ``points``, ``rate``, or so many digits."""
    if interval is None:
        return format_html("<small>{}</small>", "too few to say")
    value, low, high = (_told(part, kind) for part in (interval.value, interval.low, interval.high))
    return format_html("<b>{}</b> <small>{} to {}</small>", value, low, high)


@register.filter
def of(values: Any, place: int) -> Any:
    """What stands at that place."""
    return values[place]


def _told(value: float, kind: str) -> str:
    if kind == "percent":
        return _percent(value)
    if kind == "seconds":
        return seconds(value)
    if kind == "milliseconds":
        return f"{1000 * value:.3g} ms"
    if kind == "points":
        return f"{'−' if value < 0 else '+'}{abs(100 * value):.0f}"
    if kind == "signed":
        return f"{'−' if value < 0 else '+'}{abs(value):.3g}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _parts(interval: Interval) -> tuple[float, float, float]:
    return interval.low, interval.high, interval.value
