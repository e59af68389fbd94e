"""Admin pages of things with a history of immutable versions: drafts, differences, and which one is in use.

It knows no table: a subclass says which row holds the versions and which values make one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Max, Model, QuerySet, Window
from django.db.models.functions import Lag
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST, require_safe

from workspace.admin_site.differences import count, rows


class VersionedForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form whose other fields begin with a version's values: the current one's, or those of the one that is shown.

    ``seen`` is what stood when the page was made. When somebody has saved since, the form is refused once, in words,
    and keeps what was typed; saved again, it makes the next version on top of theirs.
    """

    version_fields: ClassVar[tuple[str, ...]] = ()

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        shown = getattr(self.instance, "shown", None) or self.instance.current
        for name in self.version_fields if shown else ():
            self.initial.setdefault(name, getattr(shown, name))
        self.initial["seen"] = stamp(self.instance)

    def version_values(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in self.version_fields}

    def clean_seen(self) -> str:
        """Locks the row until the save is done, so of two people who save at once the second one is told."""
        seen = str(self.cleaned_data["seen"])
        if self.instance.pk and seen:
            locked = type(self.instance)._default_manager.select_for_update().get(pk=self.instance.pk)
            now = stamp(locked)
            if now != seen:
                self.data = typed_again(self, seen=now)
                self.add_error(None, changed_since(locked, seen))
        return seen


def typed_again(form: forms.BaseForm, **values: str) -> QueryDict:
    """What was typed, with these fields as if they had been typed so: for showing a refused form again."""
    data = QueryDict(mutable=True)
    data.update(form.data)
    for name, value in values.items():
        data[form.add_prefix(name)] = value
    return data


def stamp(obj: Any) -> str:
    """The newest version and the one in use, by their numbers: changes when somebody saves or activates."""
    if not obj.pk:
        return ""
    newest = obj.versions.aggregate(newest=Max("number"))["newest"] or 0
    return f"{newest}.{obj.current.number if obj.current else 0}"


def changed_since(obj: Any, seen: str) -> str:
    newest = obj.versions.select_related("author").order_by("-number").first()
    if newest and not seen.startswith(f"{newest.number}."):
        who = newest.author or "Somebody"
        what = f"{who} saved version {newest.number} while you were here."
    else:
        number = obj.current.number if obj.current else "none"
        what = f"Version {number} was put in use while you were here."
    return f"{what} Nothing of yours is lost. Compare below; save again to go on from yours."


class History(admin.TabularInline):  # type: ignore[type-arg]
    """Every version, newest first. A version is never changed or deleted; an older one can be used again."""

    verbose_name_plural = "versions"
    version_columns: tuple[str, ...] = ()
    compared = ""  # the field whose lines are counted, where versions are texts
    extra = 0
    can_delete = False

    @property
    def fields(self) -> Sequence[str]:  # type: ignore[override]
        counted = ("change",) if self.compared else ()
        return ("number", "use", *self.version_columns, *counted, "author", "created")

    @property
    def readonly_fields(self) -> Sequence[str]:  # type: ignore[override]
        return self.fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        own = self.fk_name or ""
        rows = super().get_queryset(request).select_related(f"{own}__current", "author").order_by("-number")
        if self.compared:
            rows = rows.annotate(earlier=Window(Lag(self.compared), partition_by=own, order_by="number"))
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="change")
    def change(self, version: Any) -> str:
        """Lines more and lines less than the version before it has."""
        earlier = getattr(version, "earlier", None)
        if earlier is None:
            return "the first"
        more, less = count(earlier, getattr(version, self.compared))
        return f"+{more} −{less} line{'' if more + less == 1 else 's'}" if more or less else "the same lines"

    @admin.display(description="use")
    def use(self, version: Any) -> str | SafeString:
        of = getattr(version, self.fk_name or "")
        if of.current_id == version.pk:
            return "in use"
        page = f"admin:{of._meta.app_label}_{of._meta.model_name}"
        compare = [of.pk, of.current.number if of.current else version.number, version.number]
        return format_html(
            '<a href="{}">Compare</a> <button class="small" formaction="{}" formnovalidate>Use version {}</button>',
            reverse(f"{page}_compare", args=compare),
            reverse(f"{page}_use", args=[of.pk, version.number]),
            version.number,
        )


class VersionedAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Saving a changed value makes the next version and points at it; the old row stays as it was.

    Runs point at versions, so nothing here can be deleted.
    """

    version_model: type[Model]
    version_of: str  # the version's field that names its owner
    drafts = False  # whether a version may be kept that is not yet in use
    change_form_template = "admin/versions/form.html"
    actions = None
    show_facets = admin.ShowFacets.NEVER

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_inlines(self, request: HttpRequest, obj: Any) -> Sequence[type[Any]]:  # type: ignore[override]
        return self.inlines if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """``seen`` stands in every form without being listed in each."""
        [(title, options), *more] = super().get_fieldsets(request, obj)
        return [(title, {**options, "fields": (*options["fields"], "seen")}), *more]

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """With ``?version=N`` the form begins with that version's values."""
        obj = super().get_object(request, object_id, from_field)
        number = request.GET.get("version", "")
        if obj is not None and number.isascii() and number.isdigit():
            obj.shown = obj.versions.filter(number=min(int(number), 2**31 - 1)).first()
        return obj

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        shown = getattr(obj, "shown", None) or getattr(obj, "current", None)
        context |= {"drafts": self.drafts, "shown": shown, "stamp": stamp(obj) if obj else ""}
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: VersionedForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        values = form.version_values()
        # One writer at a time, so two people who save at once make two versions with two numbers.
        locked = type(obj)._default_manager.select_for_update().get(pk=obj.pk)
        current = locked.current
        if current is None or any(getattr(current, name) != value for name, value in values.items()):
            version = self.add_version(request, locked, values)
            if self.drafts and "_draft" in request.POST:
                obj.drafted = version
            else:
                obj.current = version
                obj.save(update_fields=["current"])
                self.moved(obj)
        self.admin_site.changed()  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self._drafted(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        return self._drafted(request, obj) or super().response_change(request, obj)

    def _drafted(self, request: HttpRequest, obj: Any) -> HttpResponse | None:
        """Back to the draft that was saved, which is not yet in use."""
        if "_draft" not in request.POST:
            return None
        version = getattr(obj, "drafted", None)
        if version is None:
            messages.info(request, "It reads as the version in use, so there is nothing to keep.")
            return self.back_to(obj)
        still = f"version {obj.current.number} stays in use" if obj.current else "none is in use yet"
        messages.success(request, f"Version {version.number} is kept as a draft; {still}.")
        return redirect(f"{self.back_to(obj).url}?version={version.number}")  # type: ignore[attr-defined]

    def add_version(self, request: HttpRequest, obj: Any, values: dict[str, Any]) -> Model:
        newest = obj.versions.aggregate(newest=Max("number"))["newest"] or 0
        return self.version_model._default_manager.create(
            **{self.version_of: obj}, number=newest + 1, author=request.user, **values
        )

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_compare"
        compare = self.admin_site.admin_view(require_safe(self.compare))
        return [
            self.page("<int:id>/use/<int:number>/", self.use, "use"),
            path("<int:id>/compare/<int:old>/<int:new>/", compare, name=name),
            *super().get_urls(),
        ]

    def page(self, route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
        """One more address below this model's, for a button: it takes POST only."""
        full = f"{self.opts.app_label}_{self.opts.model_name}_{name}"
        return path(route, self.admin_site.admin_view(require_POST(view)), name=full)

    def compare(self, request: HttpRequest, id: int, old: int, new: int) -> HttpResponse:
        """What differs between two versions, and a button to use the second."""
        obj, before = self._version(request, id, old)
        _, after = self._version(request, id, new)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{obj}: version {old} and version {new}",
            "original": obj,
            "old": before,
            "new": after,
            "versions": obj.versions.order_by("-number"),
            "differences": self._differences(before, after),
            "refused": self.why_not(after),
            "stamp": stamp(obj),
            "page": f"admin:{self.opts.app_label}_{self.opts.model_name}",
            **self.compare_context(obj, after),
        }
        return TemplateResponse(request, "admin/versions/compare.html", context)

    def compare_context(self, obj: Any, version: Any) -> dict[str, Any]:
        """What else a page of two versions shows."""
        return {}

    def _differences(self, before: Any, after: Any) -> list[tuple[str, list[Any]]]:
        """Each value that differs, by what its field is called."""
        found = []
        for name in self.form.version_fields:  # type: ignore[attr-defined]
            told = [_told(getattr(version, name)) for version in (before, after)]
            if told[0] != told[1]:
                found.append((name.replace("_", " "), rows(*told)))
        return found

    def _version(self, request: HttpRequest, id: int, number: int) -> tuple[Any, Any]:
        obj = self.get_object(request, str(id))
        version = obj.versions.filter(number=number).select_related("author").first() if obj else None
        if version is None:
            raise Http404
        return obj, version

    def use(self, request: HttpRequest, id: int, number: int) -> HttpResponse:
        """Point at another version. What moved since the page was made is told first, and nothing moves."""
        obj, version = self._version(request, id, number)
        with transaction.atomic():
            obj = type(obj)._default_manager.select_for_update().get(pk=obj.pk)
            seen = request.POST.get("seen", "")
            if seen and seen != stamp(obj):
                messages.error(request, changed_since(obj, seen).partition(" Nothing")[0] + " Look again, then choose.")
            elif refused := self.why_not(version):
                messages.error(request, refused)
            elif obj.current_id == version.pk:
                messages.info(request, f"{obj} uses version {number} already.")
            else:
                left = obj.current.number if obj.current else "none"
                obj.current = version
                obj.save(update_fields=["current"])
                self.moved(obj)
                self.admin_site.changed()  # type: ignore[attr-defined]
                self.log_change(request, obj, f"Used version {number}, in place of version {left}.")
                messages.success(request, f"{obj} now uses version {number}. Version {left} stays one click away.")
        return self.back_to(obj)

    def moved(self, obj: Any) -> None:
        """Another version is in use from now on."""

    def why_not(self, version: Any) -> str:
        """Why a version can't be used again, in words; empty when it can."""
        return ""

    def back_to(self, obj: Any) -> HttpResponse:
        return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_change", obj.pk)

    @admin.display(description="version", ordering="current__number")
    def version(self, obj: Any) -> str:
        return f"v{obj.current.number}" if obj.current else "none"


def _told(value: Any) -> str:
    """A version's value as lines of text."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, indent=2, sort_keys=True) if value else ""
    return "" if value is None else str(value)
