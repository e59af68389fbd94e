"""Replay in the admin: what a stored version would do with the newest decisions, to be read before it decides."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import ModelAdmin
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_GET

from workspace.router import catalog as catalogs
from workspace.router import decisions, history
from workspace.router.configuration import ConfigurationError, parse
from workspace.router.models import RouterConfiguration
from workspace.router.replay import PER, Change, Report, replay

WIDTH = 100  # of a picture, in its own units


@dataclass(frozen=True, slots=True)
class Figure:
    """A change as it is shown; ``marks`` are the places of zero, low, value and high on a line of ``WIDTH``."""

    title: str
    value: str
    interval: str
    unknown: int
    marks: tuple[float, float, float, float] | None
    worse: bool = False


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the bar of all decisions."""

    name: str
    count: int
    start: float
    width: float


def urls(model_admin: ModelAdmin[RouterConfiguration]) -> list[URLPattern]:
    """The page's address, below that of its configuration."""

    def page(request: HttpRequest, id: int, number: int) -> HttpResponse:
        return _page(model_admin, request, id, number)

    view = model_admin.admin_site.admin_view(require_GET(page))
    return [path("<int:id>/replay/<int:number>/", view, name="router_routerconfiguration_replay")]


def _page(model_admin: ModelAdmin[RouterConfiguration], request: HttpRequest, id: int, number: int) -> HttpResponse:
    configuration = model_admin.get_object(request, str(id))
    version = configuration.versions.filter(number=number).first() if configuration else None
    if configuration is None or version is None:
        raise Http404
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "title": f"Replay of version {number}",
        "configuration": configuration,
        "version": version,
        "active": configuration.current_id == version.pk,
    }
    try:
        new = parse(version.source, models=None)
    except ConfigurationError as error:
        context["refused"] = f"Version {number} no longer reads: {error}. Save a corrected file as the next version."
    else:
        began = time.perf_counter()
        report = replay(new, decisions.records(), catalog=catalogs.load_sync(), past=history.read())
        context |= _shown(report) | {"seconds": time.perf_counter() - began}
    return TemplateResponse(request, "admin/router/replay.html", context)


def _shown(report: Report) -> dict[str, Any]:
    return {
        "report": report,
        "figures": [
            _figure(f"Cost per {PER:,} requests", report.cost, "${:,.2f}"),
            _figure("Median first token", report.first_token, "{:,.0f} ms"),
        ],
        "bar": _bar(
            ("stay", report.stayed),
            ("move", report.moved),
            ("would be refused", sum(report.refused.values())),
            ("can’t be told", sum(report.untold.values())),
        ),
        "most": max((move.count for move in report.moves), default=1),
        "moves": [(move, "" if move.cost is None else _signed(move.cost, "${:,.4f}")) for move in report.moves],
    }


def _figure(title: str, change: Change, form: str) -> Figure:
    if change.interval is None:
        return Figure(title, "Can’t tell", "", change.unknown, None)
    low, value, high = change.interval.low, change.interval.value, change.interval.high
    sure = low > 0 or high < 0 or low == high
    said = f"95 %: {_signed(low, form)} to {_signed(high, form)}"
    if not sure:
        said = f"{_signed(value, form)}, {said}"
    least, most = min(low, 0.0), max(high, 0.0)
    scale = (WIDTH - 10) / ((most - least) or 1)
    marks = tuple(round(5 + (place - least) * scale, 2) for place in (0.0, low, value, high))
    shown = _signed(value, form) if sure else "Can’t tell"
    return Figure(title, shown, said, change.unknown, (marks[0], marks[1], marks[2], marks[3]), worse=low > 0)


def _signed(value: float, form: str) -> str:
    """With its sign, and none where it rounds to nothing."""
    size = form.format(abs(value))
    if not any(digit in "123456789" for digit in size):
        return size
    return f"{'+' if value > 0 else '−'}{size}"


def _bar(*parts: tuple[str, int]) -> Sequence[Segment]:
    whole = sum(count for _, count in parts) or 1
    segments, start = [], 0.0
    for name, count in parts:
        width = WIDTH * count / whole
        if count:
            segments.append(Segment(name, count, round(start, 3), round(width, 3)))
        start += width
    return segments
