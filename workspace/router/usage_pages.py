"""Usage on two pages: everybody's in the admin, and one's own beside the account. Both can be downloaded as CSV."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.views.decorators.http import require_safe

from workspace.accounts.models import Person
from workspace.admin_site.pages import ReadOnlyAdmin
from workspace.router import money, usage
from workspace.router.models import DailyUsage
from workspace.router.usage import Figures, Span
from workspace.router.usage_plot import MEASURES, plot

SPANS = {7: "7 days", 30: "30 days", 90: "90 days", 365: "a year"}
SHOWN = 25  # rows of a table; the download has them all
TITLES = {"model": "By model", "person": "By person", "route": "By route"}
NAMELESS = {"model": "none could be called", "route": "chosen by the person, or the fallback"}


class Asked(forms.Form):
    """What to show. An unknown value falls back to the first, so an old link still opens."""

    days = forms.TypedChoiceField(choices=[(str(days), name) for days, name in SPANS.items()], coerce=int)
    of = forms.ChoiceField(choices=[(name, name) for name in MEASURES])
    person = forms.CharField(max_length=150)

    def chosen(self) -> tuple[int, str, str]:
        self.is_valid()
        found = self.cleaned_data
        return found.get("days", 30), found.get("of", "cost"), found.get("person", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One row of a table: a share of the whole, in the measure that is shown."""

    name: str
    figures: Figures
    share: float
    link: str = ""


@admin.register(DailyUsage)
class UsageAdmin(ReadOnlyAdmin):
    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        name = Asked(request.GET).chosen()[2]
        person = Person.objects.filter(username=name).first() if name else None
        if name and person is None:
            unknown = f"There is nobody called “{name}”. Below is everybody’s usage."
        else:
            unknown = ""
        if request.GET.get("format") == "csv":
            return download(request, person.pk if person else None)
        parts = ("model", "route") if person else tuple(usage.PARTS)
        context = {
            **self.admin_site.each_context(request),
            **figures_for(request, parts, person_id=person.pk if person else None),
            "opts": self.opts,
            "title": f"Usage of {person}" if person else "Usage",
            "person": person,
            "unknown": unknown,
        }
        return TemplateResponse(request, "admin/router/usage.html", context)


@login_required
@require_safe
def own_usage(request: HttpRequest) -> HttpResponse:
    """What the person used, and what their budgets still allow."""
    person: Person = request.user  # type: ignore[assignment]
    if request.GET.get("format") == "csv":
        return download(request, person.pk)
    context = figures_for(request, ("model", "route"), person_id=person.pk)
    return render(request, "accounts/usage.html", {**context, "budgets": budgets_of(person)})


def figures_for(request: HttpRequest, parts: tuple[str, ...], *, person_id: UUID | None) -> dict[str, Any]:
    """What both pages show, for the span and the measure that the address asks for."""
    days, measure, name = Asked(request.GET).chosen()
    span = Span.until_today(days)
    now = usage.total(span, person_id=person_id)
    return {
        "span": span,
        "spans": [(value, words, value == days) for value, words in SPANS.items()],
        "measures": [(word, word == measure) for word in MEASURES],
        "days": days,
        "measure": measure,
        "whose": "&" + urlencode({"person": name}) if person_id and name else "",
        "now": now,
        "before": usage.total(span.before, person_id=person_id),
        "plot": plot(usage.by_day(span, person_id=person_id), span, measure),
        "tables": [_table(part, span, measure, person_id) for part in parts] if now.answers or now.cost else [],
    }


def _table(part: str, span: Span, measure: str, person_id: UUID | None) -> dict[str, Any]:
    value_of = MEASURES[measure]
    found = sorted(usage.by(part, span, person_id=person_id), key=lambda one: -value_of(one[1]))
    whole = sum((value_of(figures) for _, figures in found), Decimal()) or Decimal(1)
    rows = [
        Line(
            name=name or NAMELESS.get(part, ""),
            figures=figures,
            share=round(float(value_of(figures) / whole) * 100, 1),
            link=name if part == "person" else "",
        )
        for name, figures in found
    ]
    return {"title": TITLES[part], "part": part, "rows": rows[:SHOWN], "more": len(rows) - SHOWN}


def budgets_of(person: Person) -> list[dict[str, Any]]:
    """Every budget that a question of this person's would be held against."""
    groups = list(person.groups.values_list("name", flat=True))
    applying = [limit for limit in money.limits() if limit.covers(str(person.pk), groups)]
    found = [(limit, max(money.left(limit), money.NOTHING)) for limit in applying]
    return [
        {"words": limit.words[:1].upper() + limit.words[1:], "usd": limit.usd, "left": left, "spent": limit.usd - left}
        for limit, left in found
    ]


def download(request: HttpRequest, person_id: UUID | None) -> HttpResponse:
    span = Span.until_today(Asked(request.GET).chosen()[0])
    name = f"usage-{span.first}-to-{span.last}.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    write = csv.writer(response)
    write.writerow(usage.COLUMNS)
    write.writerows([_cell(value) for value in row] for row in usage.lines(span, person_id=person_id))
    return response


def _cell(value: Any) -> str:
    """A name that begins like a formula is quoted, so that a spreadsheet doesn't run it (OWASP, CSV injection)."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text
