"""What pages of the admin share: things only to be read, and fields of source text."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that the workspace writes and nobody edits."""

    actions = None
    show_facets = admin.ShowFacets.NEVER

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class Source(forms.CharField):
    """Text kept to the character, with one kind of line end: browsers send two."""

    def __init__(self, *, rows: int, label: str, help_text: str = "") -> None:
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "class": "source"})
        super().__init__(strip=False, widget=widget, label=label, help_text=help_text)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
