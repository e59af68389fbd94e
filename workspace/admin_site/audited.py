"""Every change made in the admin goes into the audit log: what a form changed, from what to what.

The site puts ``Audited`` in front of each page that registers, so that no page can forget it. A page with a button of
its own calls ``log_change`` with a sentence, as Django's pages do, and that is logged too.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest

from workspace.audit.log import Changes, record
from workspace.audit.models import Action

SECRETS = {"key", "secret", "password", "token"}  # fields that are told as set, and never shown


class Audited(admin.ModelAdmin):  # type: ignore[type-arg]
    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        """Django calls this with the form once all is saved, and ``log_addition`` or ``log_change`` right after."""
        request.audited = changes_of(form)  # type: ignore[attr-defined]
        return super().construct_change_message(request, form, formsets, add)

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        record(Action.CREATED, about=obj, changes=_taken(request))
        return super().log_addition(request, obj, message)

    @transaction.atomic
    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        changes = _taken(request)
        words = message if isinstance(message, str) else ""
        if changes or words:
            record(Action.CHANGED, about=obj, changes=changes, words=words)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> Any:
        rows = list(queryset)
        for row in rows:
            record(Action.DELETED, about=row)
        return super().log_deletions(request, rows)  # type: ignore[arg-type]


def audited(page: type[admin.ModelAdmin[Any]]) -> type[admin.ModelAdmin[Any]]:
    return type(page.__name__, (Audited, page), {"__module__": page.__module__, "__doc__": page.__doc__})


def changes_of(form: forms.BaseForm) -> Changes:
    """Each changed field with what stood there and what stands there now."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in form.changed_data:
        field, new = form.fields[name], form.cleaned_data.get(name)
        if field.widget.is_hidden:
            continue
        if name in SECRETS or isinstance(field.widget, forms.PasswordInput):
            found[name] = ("", "set" if new else "removed")
        else:
            old = form.get_initial_for_field(field, name)
            found[name] = (_told(field, old), _told(field, new))
    return found


def _told(field: forms.Field, value: Any) -> Any:
    """A choice by what it is called: the rows a key or keys stand for."""
    if value is None or not isinstance(field, forms.ModelChoiceField):
        return value
    if isinstance(field, forms.ModelMultipleChoiceField):
        return sorted(str(_row(field, one)) for one in value)
    return _row(field, value)


def _row(field: forms.ModelChoiceField, value: Any) -> Any:  # type: ignore[type-arg]
    if isinstance(value, Model) or not value:
        return value
    return field.queryset.filter(pk=value).first() or value  # type: ignore[union-attr]


def _taken(request: HttpRequest) -> Changes:
    changes: Changes = request.__dict__.pop("audited", {})
    return changes
