"""The pages of measurements: suites and what was measured, a new one, and a report that a team can decide from."""

from __future__ import annotations

import csv
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from chat.views import index, usable_models
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.measurement import corpus, importing, measuring, plots, starting, tasks
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Measurement, Suite
from workspace.measurement.report import FORMULAS, report

FEW = 8  # items where models differ that are shown at once


@login_required
@require_safe
def measures(request: HttpRequest) -> HttpResponse:
    """Suites and measurements of one's own, and a form for the next."""
    person = _person(request)
    rows = list(Measurement.objects.filter(owner=person).select_related("suite")[:100])
    sizes = dict(Suite.objects.filter(owner=person).annotate(size=Count("items")).values_list("pk", "size"))
    context = {
        **index(request),
        "measurements": [(row, len(row.lanes) * row.repeats * sizes.get(row.suite_id, 0)) for row in rows],
        "done": dict(
            Measurement.objects.filter(owner=person).annotate(n=Count("outcomes")).values_list("pk", "n")[:100]
        ),
        "suites": Suite.objects.filter(owner=person).annotate(size=Count("items")),
        "models": usable_models(person),
        "may_measure": may_chat(person),
    }
    return render(request, "measurement/measures.html", context)


@login_required
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """A suite by file or by what is there, models, and what else is given."""
    person = _person(request)
    if not may_chat(person):
        raise PermissionDenied
    try:
        measurement = starting.begin(
            person,
            _suite(request, person),
            request.POST.getlist("model"),
            grounded=request.POST.get("grounded") == "1",
            repeats=_whole(request, "repeats", 1),
            budget=_dollars(request),
        )
    except NotTaken as refused:
        messages.error(request, str(refused))
        return redirect("measures")
    return redirect("measure", measurement.pk)


@login_required
@require_safe
def measure(request: HttpRequest, id: UUID) -> HttpResponse:
    """The report as far as it is."""
    measurement = _measurement(request, id)
    found = report(measurement)
    others = Measurement.objects.filter(suite=measurement.suite, owner=measurement.owner).exclude(pk=id)
    other = _first(others, request.GET.get("beside", ""))
    context = {
        **index(request),
        "measurement": measurement,
        "report": found,
        "beside": report(other) if other else None,
        "other": other,
        "others": others[:20],
        "first_tokens": plots.first_tokens(found.lanes),
        "cost": plots.against(found.lanes, "cost"),
        "time": plots.against(found.lanes, "time"),
        "few": found.differing[:FEW],
        "rest": found.differing[FEW:],
        "formulas": FORMULAS,
        "is_live": measurement.state in (Measurement.State.QUEUED, Measurement.State.RUNNING),
    }
    return render(request, "measurement/measure.html", context)


@login_required
@require_POST
def change(request: HttpRequest, id: UUID) -> HttpResponse:
    """``to``: pause or go on."""
    measurement = _measurement(request, id)
    if request.POST.get("to") == "pause":
        measuring.pause(measurement)
    elif measurement.state == Measurement.State.PAUSED:
        budget = _dollars(request) if request.POST.get("budget") else measurement.budget
        Measurement.objects.filter(pk=id).update(state=Measurement.State.QUEUED, why="", budget=budget)
        tasks.queue(id)
    return redirect("measure", id)


@login_required
@require_safe
def export(request: HttpRequest, id: UUID, form: str) -> HttpResponse:
    """The report as JSON, or every answer as CSV."""
    measurement = _measurement(request, id)
    if form == "json":
        response: HttpResponse = JsonResponse(report(measurement).as_dict(), json_dumps_params={"indent": 2})
    elif form == "csv":
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        _write(response, measurement)
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="measurement-{measurement.created:%Y-%m-%d-%H%M}.{form}"'
    return response


def _write(response: HttpResponse, measurement: Measurement) -> None:
    names = ("cell", "exact", "f1", "first_token_s", "total_s", "tokens_input", "tokens_output", "cost", "run_id")
    table = csv.writer(response)
    table.writerow(["item", "question", "model", "repeat", *names, "text"])
    for row in measurement.outcomes.select_related("item").order_by("item__position", "lane", "repeat"):
        label = measurement.lanes[row.lane]["label"]
        cells = [row.item.key, row.item.question, label, row.repeat, *(getattr(row, name) for name in names), row.text]
        table.writerow([_harmless(cell) for cell in cells])


def _harmless(cell: Any) -> Any:
    """A spreadsheet must not take a text for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell[:1] in "=+-@\t\r" else cell


def _suite(request: HttpRequest, person: Person) -> Suite:
    if file := request.FILES.get("suite"):
        given = request.FILES.get("corpus")
        collection = corpus.add(person, given.name or "corpus", given.read()) if given else None
        return importing.add(person, file.name or "suite.jsonl", file.read(), collection=collection)
    suite = _first(Suite.objects.filter(owner=person), request.POST.get("known", ""))
    if suite is None:
        raise NotTaken("No questions came. Choose a file of questions, or a suite that is here.")
    return suite


def _whole(request: HttpRequest, name: str, otherwise: int) -> int:
    value = request.POST.get(name, "")
    return int(value) if value.isascii() and value.isdigit() else otherwise


def _dollars(request: HttpRequest) -> Decimal | None:
    value = request.POST.get("budget", "").strip()
    if not value:
        return None
    try:
        budget = Decimal(value)
    except InvalidOperation:
        raise NotTaken("The budget is no number. Write US dollars, such as 2.50.") from None
    if not budget.is_finite() or budget <= 0 or budget >= 1_000_000:
        raise NotTaken("The budget is more than nothing and less than a million dollars.")
    return budget


def _measurement(request: HttpRequest, id: UUID) -> Measurement:
    """One of the person's own; absent and forbidden look alike."""
    found = Measurement.objects.select_related("suite", "owner").filter(owner=_person(request), pk=id).first()
    if found is None:
        raise Http404
    return found


def _first(rows: QuerySet[Any], id: str) -> Any:
    """The row of that id; what is no id is nobody's."""
    try:
        return rows.filter(pk=UUID(id)).first()
    except ValueError:
        return None


def _person(request: HttpRequest) -> Person:
    assert isinstance(request.user, Person)
    return request.user
