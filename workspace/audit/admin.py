"""The audit log in the admin: read, narrowed, checked and taken away as JSON Lines. Nothing there can be changed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.apps import apps
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from workspace.admin_site.pages import ReadOnlyAdmin
from workspace.audit import chain
from workspace.audit.log import record
from workspace.audit.models import Action, AuditEntry
from workspace.types import canonical

PAGE = 50


class Filters(forms.Form):
    """Each narrows the log by a value that an index serves."""

    actor = forms.CharField(max_length=150, required=False, label="Who")
    action = forms.ChoiceField(choices=[("", "anything"), *Action.choices], required=False, label="Did")
    about = forms.ChoiceField(required=False, label="To")
    day = forms.DateField(required=False, label="On", widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = sorted({(model._meta.label_lower, str(model._meta.verbose_name)) for model in apps.get_models()})
        self.fields["about"].choices = [("", "anything"), *known]  # type: ignore[attr-defined]

    def rows(self) -> QuerySet[AuditEntry]:
        found = dict(self.cleaned_data)
        day: date | None = found.pop("day", None)
        rows = AuditEntry.objects.filter(**{name: value for name, value in found.items() if value})
        if day:
            zone = timezone.get_current_timezone()
            rows = rows.filter(when__range=[datetime.combine(day, moment, zone) for moment in (time.min, time.max)])
        return rows


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    fields = (
        "number", "when", "actor", "address", "action", "about", "about_id", "about_name", "words", "changes",
        "previous", "digest",
    )  # fmt: skip

    def get_urls(self) -> list[URLPattern]:
        own = [
            ("verify/", self.verify, "audit_auditentry_verify"),
            ("download/", self.download, "audit_auditentry_download"),
        ]
        pages = [path(route, self.admin_site.admin_view(require_POST(view)), name=name) for route, view, name in own]
        return [*pages, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        form = Filters(request.GET)
        rows = list(_page(form.rows(), request.GET.get("before", ""))) if form.is_valid() else []
        asked = {name: value for name, value in request.GET.items() if value and name != "before"}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Audit log",
            "form": form,
            "rows": [(row, _page_of(row)) for row in rows[:PAGE]],
            "older": urlencode({**asked, "before": rows[PAGE - 1].number}) if len(rows) > PAGE else "",
            "asked": asked,
        }
        return TemplateResponse(request, "admin/audit/entries.html", context)

    def verify(self, request: HttpRequest) -> HttpResponse:
        """The whole chain, told in a sentence."""
        verdict = chain.verify()
        if verdict.wrong:
            messages.error(request, f"{verdict.wrong} The {verdict.entries} before it fit.")
        else:
            messages.success(
                request,
                f"All {verdict.entries} entries fit. Note {verdict.entries}:{verdict.digest} somewhere else: with it, "
                "verify_audit --expect shows even a log that was rewritten whole.",
            )
        return redirect("admin:audit_auditentry_changelist")

    def download(self, request: HttpRequest) -> HttpResponse:
        """What the filters leave, oldest first, one JSON object a line with all that its digest is made of."""
        form = Filters(request.POST)
        if not form.is_valid():
            raise Http404
        words = ", ".join(f"{name}: {value}" for name, value in form.cleaned_data.items() if value)
        record(Action.EXPORTED, name="the audit log", words=words or "Everything.")
        response = HttpResponse(b"".join(_lines(form.rows())), content_type="application/jsonl")
        name = f"audit-{timezone.localdate()}.jsonl"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        return response


def _lines(rows: QuerySet[AuditEntry]) -> Iterator[bytes]:
    for row in rows.order_by("number").iterator(chunk_size=chain.AT_ONCE):
        yield canonical({**chain.content(row), "digest": row.digest}) + b"\n"


def _page(rows: QuerySet[AuditEntry], before: str) -> QuerySet[AuditEntry]:
    """A page and one row more, which tells whether there is another page."""
    if before:
        if not before.isascii() or not before.isdigit():
            raise Http404
        rows = rows.filter(number__lt=min(int(before), 2**62))
    return rows.order_by("-number")[: PAGE + 1]


def _page_of(row: AuditEntry) -> str:
    """Where the thing stands in the admin, if it has a page and is still there."""
    if not row.about_id or row.action == Action.DELETED:
        return ""
    try:
        return reverse(f"admin:{row.about.replace('.', '_')}_change", args=[row.about_id])
    except NoReverseMatch:
        return ""
