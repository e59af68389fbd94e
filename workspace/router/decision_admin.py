"""The log of decisions in the admin: filtered, a page at a time from the newest on, and never counted as a whole."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from workspace.accounts.models import Person
from workspace.admin_site.pages import ReadOnlyAdmin
from workspace.router import decisions
from workspace.router.models import LoggedDecision
from workspace.router.states import SETTLED, RunState

PAGE = 50
CHOOSERS = ("route", "fallback", "person")
STATES = (*sorted(SETTLED), RunState.INTERRUPTED)


class Filters(forms.Form):
    """Each narrows the log by one exact value that an index serves."""

    person = forms.CharField(max_length=150, required=False)
    model = forms.CharField(max_length=80, required=False)
    route = forms.CharField(max_length=60, required=False)
    chosen_by = forms.ChoiceField(choices=[("", "anybody"), *((who, who) for who in CHOOSERS)], required=False)
    state = forms.ChoiceField(choices=[("", "any"), *((str(s), str(s)) for s in STATES)], required=False)

    def clean_person(self) -> Person | None:
        name = self.cleaned_data["person"]
        person = Person.objects.filter(username=name).first() if name else None
        if name and person is None:
            raise forms.ValidationError(f"There is nobody called “{name}”. Write the name they sign in with.")
        return person

    def wanted(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if value}


def page_of(wanted: dict[str, Any], *, before: UUID | None = None) -> QuerySet[LoggedDecision]:
    """A page and one row more, which tells whether there is another page. Older pages begin ``before`` an id."""
    rows = LoggedDecision.objects.filter(**wanted)
    if before:
        rows = rows.filter(id__lt=before)
    return rows.select_related("person", "router_version").order_by("-id")[: PAGE + 1]


@admin.register(LoggedDecision)
class LoggedDecisionAdmin(ReadOnlyAdmin):
    fields = (
        "created", "person", "run", "router_version", "route", "model", "chosen_by", "routed", "mode", "facts", "state",
        "tokens_input", "tokens_output", "cost", "first_token_s", "total_s",
    )  # fmt: skip

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> LoggedDecision | None:
        row = super().get_object(request, object_id, from_field)
        return row if row and decisions.tellable([row]) else None

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        form = Filters(request.GET)
        wanted = form.wanted() if form.is_valid() else None
        rows = [] if wanted is None else list(page_of(wanted, before=_before(request.GET)))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Log of decisions",
            "form": form,
            "rows": decisions.tellable(rows[:PAGE]),
            "older": _older(request.GET, rows[PAGE - 1]) if len(rows) > PAGE else "",
            "dropped": decisions.dropped(),
        }
        return TemplateResponse(request, "admin/router/decisions.html", context)


def _before(asked: QueryDict) -> UUID | None:
    try:
        return UUID(str(asked["before"])) if "before" in asked else None
    except ValueError:
        raise Http404 from None


def _older(asked: QueryDict, last: LoggedDecision) -> str:
    query = asked.copy()
    query["before"] = str(last.pk)
    return query.urlencode()
