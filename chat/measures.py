"""Measurements and suites that one may see, a form for the next, schedules, and what is done with a running one."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from chat.frames import MAX_SYSTEM, PARAMETERS
from chat.views import index, usable_models
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat, person_of
from workspace.measurement import corpus, failures, importing, progress, starting, taking, tasks
from workspace.measurement.access import measurement_to_rule, measurements_of, suites_of
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Measurement, Schedule, Suite

SHOWN = 100  # measurements
VARIANTS = 4  # lanes with settings of their own that the form has room for
OFTEN = ((24, "every day"), (24 * 7, "every week"), (1, "every hour"))


@login_required
@require_safe
def measures(request: HttpRequest) -> HttpResponse:
    """Suites and measurements that one may see, and a form for the next."""
    person = person_of(request)
    rows = list(measurements_of(person)[:SHOWN])
    suites = (
        suites_of(person)
        .select_related("owner")
        .prefetch_related("shares")
        .annotate(
            size=Count("items"),
            unanswerable=Count("items", filter=Q(items__answers=[])),
            open=Count("items", filter=Q(items__answers__isnull=True)),
        )
    )
    context = {
        **index(request),
        "measurements": [(row, progress.progress(row)[0] if _is_going(row) else None) for row in rows],
        "alerts": [row for row in rows if row.owner_id == person.pk and row.drift and not row.drift["noted"]],
        "schedules": Schedule.objects.filter(owner=person).select_related("suite"),
        "suites": suites,
        "suite": next((str(one.pk) for one in suites if str(one.pk) == request.GET.get("suite")), ""),
        "models": usable_models(person),
        "caches": Measurement.Cache.choices,
        "variants": range(VARIANTS),
        "often": OFTEN,
        "may_measure": may_chat(person),
    }
    return render(request, "measurement/measures.html", context)


@login_required
@require_POST
def begin(request: HttpRequest) -> HttpResponse:
    """A suite by file or by what is there, models, and what else is given; ``hours`` begins it again and again."""
    person = person_of(request)
    if not may_chat(person):
        raise PermissionDenied
    try:
        suite, models, options = _suite(request, person), request.POST.getlist("model"), _options(request)
        if hours := _whole(request, "hours", 0):
            starting.repeat(person, suite, models, hours=hours, **options)
            return redirect("measures")
        measurement = starting.begin(person, suite, models, **options)
    except NotTaken as refused:
        messages.error(request, str(refused))
        return redirect("measures")
    return redirect("measure", measurement.pk)


@login_required
@require_POST
def change(request: HttpRequest, id: UUID) -> HttpResponse:
    """``to``: pause, go on, ask again what failed, note that it drifted, or end its schedule."""
    measurement = measurement_to_rule(person_of(request), id)
    match request.POST.get("to"):
        case "pause":
            taking.pause(measurement)
        case "again":
            if failures.ask_again(measurement):
                tasks.queue(id)
        case "note" if measurement.drift:
            measurement.drift = {**measurement.drift, "noted": True}
            measurement.save(update_fields=["drift"])
        case "end" if measurement.schedule:
            measurement.schedule.delete()
        case _ if measurement.state == Measurement.State.PAUSED:
            try:
                budget = _dollars(request) if request.POST.get("budget") else measurement.budget
            except NotTaken as refused:
                messages.error(request, str(refused))
                return redirect("measure", id)
            Measurement.objects.filter(pk=id).update(state=Measurement.State.QUEUED, why="", budget=budget)
            tasks.queue(id)
    return redirect("measure", id)


@login_required
@require_POST
def end_schedule(request: HttpRequest, id: UUID) -> HttpResponse:
    """What it has measured stays."""
    schedule = Schedule.objects.filter(owner=person_of(request), pk=id).first()
    if schedule is None:
        raise Http404
    schedule.delete()
    return redirect("measures")


def _is_going(measurement: Measurement) -> bool:
    return measurement.state != Measurement.State.DONE


def _options(request: HttpRequest) -> dict[str, Any]:
    return {
        "variants": _variants(request),
        "grounded": request.POST.get("grounded") == "1",
        "closed_book": request.POST.get("closed_book") == "1",
        "repeats": _whole(request, "repeats", 1),
        "completions": _whole(request, "completions", 0),
        "cache": request.POST.get("cache") or Measurement.Cache.TEMPLATE,
        "per_minute": _whole(request, "per_minute", 0) or None,
        "judge": request.POST.get("judge", ""),
        "pairwise": request.POST.get("pairwise") == "1",
        "seed": _whole(request, "seed", 0),
        "budget": _dollars(request),
    }


def _variants(request: HttpRequest) -> list[dict[str, Any]]:
    """Models asked with other parameters or another instruction, row by row of the form, as lanes of a comparison are.
    Raises NotTaken."""
    found = []
    for n in range(VARIANTS):
        model, system = (request.POST.get(f"{name}_{n}", "").strip() for name in ("model", "system"))
        parameters = {name: _between(request, f"{name}_{n}", *bounds) for name, bounds in PARAMETERS.items()}
        given = {name: value for name, value in parameters.items() if value is not None}
        if len(system) > MAX_SYSTEM:
            raise NotTaken(f"An instruction has over {MAX_SYSTEM:,} characters. Shorten it.")
        if model and (given or system):
            asked = {"model": model, "parameters": given, "system": system}
            found.append({name: value for name, value in asked.items() if value})
    return found


def _between(request: HttpRequest, name: str, low: float, high: float) -> float | None:
    """A number of the form; whole where the low end is one, as a lane's are."""
    given = request.POST.get(name, "").strip()
    if not given:
        return None
    try:
        value = int(given) if isinstance(low, int) else float(given)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        words = name.rpartition("_")[0].replace("_", " ")
        raise NotTaken(f"“{given[:20]}” is no {words}: it is from {low:g} to {high:,g}.")
    return value


def _suite(request: HttpRequest, person: Person) -> Suite:
    if file := request.FILES.get("suite"):
        given = request.FILES.get("corpus")
        collection = corpus.add(person, given.name or "corpus", given.read()) if given else None
        return importing.add(person, file.name or "suite.jsonl", file.read(), collection=collection)
    known = request.POST.get("known", "")
    suite = next((one for one in suites_of(person) if str(one.pk) == known), None)
    if suite is None:
        raise NotTaken("No questions came. Choose a file of questions, or a suite that is here.")
    return suite


def _whole(request: HttpRequest, name: str, otherwise: int) -> int:
    value = request.POST.get(name, "")
    return int(value[:9]) if value.isascii() and value.isdigit() else otherwise


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
