"""Reports of measurements: one page a team can decide from, every item down to its runs, and what is taken away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from chat.views import index
from workspace.accounts.rights import person_of
from workspace.measurement import agreement, drift, exports, failures, judging, plots, preferences, progress, verdicts
from workspace.measurement.access import measurement_for, measurements_of
from workspace.measurement.metrics import Cell
from workspace.measurement.models import GOING, Item, Measurement, Outcome
from workspace.measurement.report import EVERY_FORMULA, Report, report

FEW = 6  # items where models differ that are shown at once
PAGE = 50  # items
TOPICS = 12
STYLE = "css/onepane.css"
TABLES = {"csv": "answers"}  # by the name of its address, where that is another
KINDS = ("differ", *(cell.value for cell in Cell))


@login_required
@require_safe
def measure(request: HttpRequest, id: UUID) -> HttpResponse:
    """The report as far as it is; ``beside`` is another measurement of the same suite."""
    measurement = measurement_for(person_of(request), id)
    others = _others(request, measurement)
    other = _first(others, request.GET.get("beside", ""))
    context = {
        **index(request),
        **_told(measurement, other),
        **_going(measurement),
        "others": others[:20],
        "before": others.filter(created__lt=measurement.created, state=Measurement.State.DONE).first(),
        "failed": failures.words(measurement),
    }
    return render(request, "measurement/measure.html", context)


@login_required
@require_safe
def going(request: HttpRequest, id: UUID) -> HttpResponse:
    """How far it is, and no more: a report counted anew every two seconds would slow down what it times."""
    measurement = measurement_for(person_of(request), id)
    return render(request, "measurement/_going.html", {"measurement": measurement, **_going(measurement)})


def _going(measurement: Measurement) -> dict[str, Any]:
    return {
        "parts": progress.progress(measurement),
        "indexing": progress.indexing(measurement),
        "is_live": measurement.state in GOING,
    }


@login_required
@require_safe
def items(request: HttpRequest, id: UUID) -> HttpResponse:
    """Every item with every lane's first answer; ``show`` is a cell, or where they differ."""
    measurement = measurement_for(person_of(request), id)
    shown = request.GET.get("show", "")
    rows = _answers(measurement)
    kept = [one for one in rows if not shown or shown in one["kinds"]]
    context = {
        **index(request),
        "measurement": measurement,
        "lanes": report_lanes(measurement),
        "page": Paginator(kept, PAGE).get_page(request.GET.get("page")),
        "show": shown,
        "kinds": [(kind, sum(kind in one["kinds"] for one in rows)) for kind in KINDS],
        "every": len(rows),
    }
    return render(request, "measurement/items.html", context)


@login_required
@require_safe
def item(request: HttpRequest, id: UUID, number: int) -> HttpResponse:
    """One item: what was asked, what was given, what every lane made of it, and by which run."""
    measurement = measurement_for(person_of(request), id)
    one = get_object_or_404(Item, suite=measurement.suite_id, position=number)
    outcomes = measurement.outcomes.filter(item=one).select_related("run").order_by("lane", "repeat")
    told = {asks: verdicts.verdicts(measurement, asks) for asks in judging.ASKS} if measurement.judge else {}
    around = Item.objects.filter(suite=measurement.suite_id)
    context = {
        **index(request),
        "measurement": measurement,
        "item": one,
        "passages": [e for row in measurement.gathered.filter(item=one) for e in row.evidence],
        "answers": [
            (measurement.lanes[row.lane], row, [(a, told[a][row.pk]) for a in told if row.pk in told[a]])
            for row in outcomes
        ],
        "preferred": _preferred(measurement, one),
        "previous": around.filter(position__lt=number).order_by("-position").first(),
        "next": around.filter(position__gt=number).order_by("position").first(),
    }
    return render(request, "measurement/item.html", context)


def _preferred(measurement: Measurement, item: Item) -> list[tuple[str, str, preferences.Judged]]:
    """What the judge says of every two answers to an item."""
    labels = [lane["label"] for lane in measurement.lanes]
    judged = preferences.judgements(measurement, item) if measurement.pairwise else {}
    return [(labels[first], labels[second], one) for (first, second), rows in judged.items() for one in rows]


@login_required
@require_safe
def manifest(request: HttpRequest, id: UUID, outcome: int) -> JsonResponse:
    """What made one answer."""
    row = get_object_or_404(measurement_for(person_of(request), id).outcomes.select_related("run"), pk=outcome)
    if row.run is None:
        raise Http404
    return JsonResponse(row.run.manifest or {}, json_dumps_params={"indent": 2, "ensure_ascii": False})


@login_required
@require_safe
def export(request: HttpRequest, id: UUID, form: str) -> HttpResponse:
    """The report as its page shows it, ``beside`` another one or not: as a page that needs nothing else, as JSON, or as
    one of the tables; ``csv`` is every answer."""
    measurement = measurement_for(person_of(request), id)
    other = _first(_others(request, measurement), request.GET.get("beside", ""))
    ending = f".{form}"
    if form == "html":
        context = {**_told(measurement, other), "style": _style(), "standalone": True}
        response = HttpResponse(render_to_string("measurement/export.html", context))
    elif form == "json":
        response = JsonResponse(exports.whole(measurement, other), json_dumps_params={"indent": 2})
    elif (table := exports.table(measurement, TABLES.get(form, form), other)) is not None:
        ending = f"-{TABLES.get(form, form)}.csv"
        response = HttpResponse(table, content_type="text/csv; charset=utf-8")
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="measurement-{measurement.created:%Y-%m-%d-%H%M}{ending}"'
    return response


def _style() -> str:
    """The style sheet, whole: the page is opened where there is no server."""
    found = finders.find(STYLE)
    return Path(found).read_text() if found else ""


def report_lanes(measurement: Measurement) -> list[tuple[int, dict[str, Any]]]:
    """Lanes that a report shows: a closed one stands beside its twin."""
    return [(at, lane) for at, lane in enumerate(measurement.lanes) if not lane.get("closed")]


def _told(measurement: Measurement, other: Measurement | None) -> dict[str, Any]:
    found = report(measurement)
    return {
        "measurement": measurement,
        "report": found,
        "answered": bool(found.progress[0].done),
        "other": other,
        "moved": drift.between(measurement, other) if other else None,
        "unlike": [(name, _words(now), _words(then)) for name, now, then in drift.unlike(measurement, other)]
        if other
        else None,
        "first_tokens": plots.first_tokens(found.lanes),
        "cost": plots.against(found.lanes, "cost"),
        "time": plots.against(found.lanes, "time"),
        **_scales(found),
        "closed_book": any(lane.get("closed") for lane in measurement.lanes),
        "baseline": agreement.known(agreement.LENGTH, "1"),
        "abstention": agreement.known(agreement.ABSTENTION, agreement.abstention_version()),
        "few": found.differing[:FEW],
        "rest": found.differing[FEW:],
        "topics": found.topics[:TOPICS],
        "more_topics": found.topics[TOPICS:],
        "held": _held(measurement),
        "formulas": EVERY_FORMULA,
    }


def _scales(found: Report) -> dict[str, Any]:
    return {
        "correct_scale": plots.scale([lane.correct for lane in found.lanes]),
        "right_scale": plots.scale([lane.right for lane in found.lanes]),
        "hallucinated_scale": plots.scale([lane.hallucinated for lane in found.lanes]),
        "topic_scale": plots.Scale(0.0, 1.0),
    }


def _held(measurement: Measurement) -> Iterator[tuple[str, str]]:
    for name, value in exports.held(measurement).items():
        yield name, _words(value)


def _words(value: Any) -> str:
    """Something that is held equal; of several models, each with its version."""
    if isinstance(value, dict):
        return ", ".join(f"{name} v{version}" for name, version in value.items())
    return "–" if value is None else str(value)


def _answers(measurement: Measurement) -> list[dict[str, Any]]:
    """Each item with its first answers by lane, and what kinds of item it is."""
    lanes = [at for at, _ in report_lanes(measurement)]
    rows: dict[int, dict[int, Outcome]] = {}
    for row in measurement.outcomes.filter(repeat=0, lane__in=lanes).order_by("lane"):
        rows.setdefault(row.item_id, {})[row.lane] = row
    found = []
    for one in Item.objects.filter(suite=measurement.suite_id).defer("evidence"):
        answers = [rows.get(one.pk, {}).get(lane) for lane in lanes]
        cells = {row.cell for row in answers if row}
        found.append({"item": one, "answers": answers, "kinds": cells | ({"differ"} if len(cells) > 1 else set())})
    return found


def _others(request: HttpRequest, measurement: Measurement) -> QuerySet[Measurement]:
    """What it can stand beside."""
    return measurements_of(person_of(request)).filter(suite=measurement.suite).exclude(pk=measurement.pk)


def _first(rows: QuerySet[Any], id: str) -> Any:
    """The row of that id; what is no id is nobody's."""
    try:
        return rows.filter(pk=UUID(id)).first()
    except ValueError:
        return None
