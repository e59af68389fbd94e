"""Two kinds of admin page: things with a history of immutable versions, and things only to be read.

It knows no table: a subclass says which row holds the versions and which values make one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Max, Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST


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


class VersionedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose other fields begin with the current version's values."""

    version_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        current = self.instance.current
        for name in self.version_fields if current else ():
            self.initial.setdefault(name, getattr(current, name))

    def version_values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.version_fields}


class History(admin.TabularInline):  # type: ignore[type-arg]
    """Every version, newest first. A version is never changed or deleted; an older one can be used again."""

    verbose_name_plural = "versions"
    version_columns: tuple[str, ...] = ()
    extra = 0
    can_delete = False

    @property
    def fields(self) -> Sequence[str]:  # type: ignore[override]
        return ("number", *self.version_columns, "author", "created", "use")

    @property
    def readonly_fields(self) -> Sequence[str]:  # type: ignore[override]
        return self.fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(self.fk_name or "", "author").order_by("-number")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="")
    def use(self, version: Any) -> str | SafeString:
        of = getattr(version, self.fk_name or "")
        if of.current_id == version.pk:
            return "in use"
        url = reverse(f"admin:{of._meta.app_label}_{of._meta.model_name}_use", args=[of.pk, version.number])
        return format_html(
            '<button class="small" formaction="{}" formnovalidate>Use version {}</button>', url, version.number
        )


class VersionedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Saving a changed value makes the next version and points at it; the old row stays as it was.

    Runs point at versions, so nothing here can be deleted.
    """

    version_model: type[Model]
    version_of: str  # the version's field that names its owner
    actions = None
    show_facets = admin.ShowFacets.NEVER

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_inlines(self, request: HttpRequest, obj: Any) -> Sequence[type[Any]]:  # type: ignore[override]
        return self.inlines if obj else ()

    def save_model(self, request: HttpRequest, obj: Any, form: VersionedForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = form.version_values()
        # One writer at a time, so two people who save at once make two versions with two numbers.
        locked = type(obj)._default_manager.select_for_update().get(pk=obj.pk)
        current = locked.current
        if current is None or any(getattr(current, name) != value for name, value in values.items()):
            obj.current = self.add_version(request, locked, values)
            obj.save(update_fields=["current"])
        self.admin_site.changed()  # type: ignore[attr-defined]

    def add_version(self, request: HttpRequest, obj: Any, values: dict[str, Any]) -> Model:
        newest = obj.versions.aggregate(newest=Max("number"))["newest"] or 0
        return self.version_model._default_manager.create(
            **{self.version_of: obj}, number=newest + 1, author=request.user, **values
        )

    def get_urls(self) -> list[URLPattern]:
        return [self.page("<int:id>/use/<int:number>/", self.use, "use"), *super().get_urls()]

    def page(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        """One more address below this model's, for a button: it takes POST only."""
        full = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(require_POST(view)), name=full)

    def use(self, request: HttpRequest, id: int, number: int) -> HttpResponse:
        """Point at an older version again."""
        obj = self.get_object(request, str(id))
        version = obj.versions.filter(number=number).first() if obj else None
        if obj is None or version is None:
            raise Http404
        if refused := self.why_not(version):
            messages.error(request, refused)
        else:
            left = obj.current.number if obj.current else "none"
            obj.current = version
            obj.save(update_fields=["current"])
            self.admin_site.changed()  # type: ignore[attr-defined]
            self.log_change(request, obj, f"Used version {number} again, in place of version {left}.")
            messages.success(request, f"{obj} now uses version {number}.")
        return self.back_to(obj)

    def why_not(self, version: Any) -> str:
        """Why a version can't be used again, in words; empty when it can."""
        return ""

    def back_to(self, obj: Any) -> HttpResponse:
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", obj.pk)

    @admin.display(description="version", ordering="current__number")
    def version(self, obj: Any) -> str:
        return f"v{obj.current.number}" if obj.current else "none"


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
