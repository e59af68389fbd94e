"""The lines of a chat's map, a row at a time: each row draws what passes it, so that any part of a map can be shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from workspace.templatetags.onepane import MARKS

register = template.Library()

ROW = 48  # pixels
STEP = 17  # from one column to the next
MIDDLE = ROW // 2


@register.simple_tag
def drawing(row: Any, width: int) -> SafeString:
    """The lines of a row, and what stands on them: a ring for a person, a model's shape, a dotted line for a fold."""
    wide = x_of(width - 1) + 12
    paths = format_html_join("", '<path class="{}" d="{}"/>', list(_lines(row)))
    node = _node(row)
    return format_html(
        '<svg class="lines" width="{}" height="{}" viewBox="0 0 {} {}" aria-hidden="true">{}{}</svg>',
        wide, ROW, wide, ROW, paths, node,
    )  # fmt: skip


def brought_lines(pairs: Sequence[tuple[int, int, int, int]]) -> SafeString:
    """Dashed lines from what was copied to its copy, over all rows."""
    return format_html_join("", '<path class="e mg" d="{}"/>', [(_brought(*pair),) for pair in pairs])


def x_of(column: int) -> int:
    return 12 + STEP * column


def _lines(row: Any) -> Iterator[tuple[str, str]]:
    """Beside the path first, so that the path lies on top."""
    x = x_of(row.column)
    found = [(rail.on_path, f"M{x_of(rail.column)} 0V{ROW}") for rail in row.rails]
    if row.leaves is not None:
        start = x_of(row.leaves)
        found.append((row.on_path, f"M{start} 0C{start} 16 {x} 2 {x} {MIDDLE}"))
    if row.up:
        found.append((row.on_path, f"M{x} 0V{MIDDLE}"))
    if row.down:
        found.append((row.on_path and not row.here, f"M{x} {MIDDLE}V{ROW}"))
    for on_path, path in sorted(found):
        yield "e on" if on_path else "e", path


def _node(row: Any) -> SafeString:
    x = x_of(row.column)
    if row.is_fold:
        return format_html('<path class="fold" d="M{} {}v12"/>', x, MIDDLE - 6)
    if row.is_question:
        dot = format_html('<circle class="at" cx="{}" cy="{}" r="1.8"/>', x, MIDDLE) if row.origin else ""
        return format_html('<circle class="pr" cx="{}" cy="{}" r="5"/>{}', x, MIDDLE, dot)
    if row.mark is None:
        return format_html('<path class="nd m0" d="M{} {}h10v3h-10z"/>', x - 5, MIDDLE - 1.5)
    hollow = " hollow" if row.mark >= len(MARKS) else ""
    place = row.mark % len(MARKS)
    return format_html(
        '<path class="nd m{}{}" transform="translate({} {}) scale(1.08)" d="{}"/>',
        place + 1, hollow, x - 6.5, MIDDLE - 6.5, MARKS[place],
    )  # fmt: skip


def _brought(first: int, column: int, last: int, to: int) -> str:
    """Out of the source to the right, along, and into the copy from the right."""
    x, y = x_of(column), first * ROW + MIDDLE
    end_x, end_y = x_of(to), last * ROW + MIDDLE
    out = max(x, end_x) + STEP
    bend = 20 if end_y > y else -20
    return f"M{x + 6} {y}Q{out} {y} {out} {y + bend}V{end_y - bend}Q{out} {end_y} {end_x + 7} {end_y}"
