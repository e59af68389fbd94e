"""Router configurations, prompt templates and runs in the admin. Nobody reads a prompt or an answer here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workspace.admin_site.pages import History, ReadOnlyAdmin, VersionedAdmin, VersionedForm
from workspace.providers.models import LanguageModel
from workspace.router import (
    attention,  # noqa: F401  it tells on the first page
    budget_admin,  # noqa: F401  it registers budgets
    catalog,
    decision_admin,  # noqa: F401  it registers the log of decisions
    replay_pages,
    usage_pages,  # noqa: F401  it registers usage
)
from workspace.router.configuration import DEFAULT_SOURCE, ConfigurationError, parse, save_version
from workspace.router.models import PromptTemplate, PromptTemplateVersion, RouterConfiguration, RouterVersion, Run

admin.site.on_change(catalog.forget)  # type: ignore[attr-defined]


class Source(forms.CharField):
    """Text kept to the character, with one kind of line end: browsers send two."""

    def __init__(self, *, rows: int, label: str, help_text: str = "") -> None:
        widget = forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "class": "source"})
        super().__init__(strip=False, widget=widget, label=label, help_text=help_text)

    def to_python(self, value: Any) -> str:
        return str(super().to_python(value)).replace("\r\n", "\n")


class RouterForm(VersionedForm):
    version_fields = ("source",)

    source = Source(
        rows=22, label="File", help_text="model_router.json: routes are tried from the top. // starts a comment."
    )
    note = forms.CharField(
        max_length=200, required=False, help_text="What this version changes, for whoever reads the list."
    )

    class Meta:
        model = RouterConfiguration
        fields = ("name",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.current is None:
            self.initial.setdefault("source", DEFAULT_SOURCE)

    def clean_source(self) -> str:
        source = str(self.cleaned_data["source"])
        try:
            parse(source, models=model_names())
        except ConfigurationError as error:
            raise forms.ValidationError([f"Line{str(problem)[4:]}" for problem in error.problems]) from None
        return source


class RouterHistory(History):
    model = RouterVersion
    fk_name = "configuration"
    version_columns = ("note", "short_digest", "file", "replay")

    @admin.display(description="digest")
    def short_digest(self, version: RouterVersion) -> str:
        return version.digest[:12]

    def file(self, version: RouterVersion) -> SafeString:
        return folded(version.source)

    def replay(self, version: RouterVersion) -> SafeString:
        url = reverse("admin:router_routerconfiguration_replay", args=[version.configuration_id, version.number])
        return format_html('<a href="{}">Replay version {}</a>', url, version.number)


@admin.register(RouterConfiguration)
class RouterConfigurationAdmin(VersionedAdmin):
    form = RouterForm
    version_model = RouterVersion
    version_of = "configuration"
    fields = ("name", "source", "note")
    inlines = (RouterHistory,)
    list_display = ("name", "version", "note")
    list_select_related = ("current",)

    def get_urls(self) -> list[URLPattern]:
        return [*replay_pages.urls(self), *super().get_urls()]

    def note(self, configuration: RouterConfiguration) -> str:
        return configuration.current.note if configuration.current else ""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The name says which one decides: renaming that would silently bring the built-in file back.
        return ("name",) if obj else ()

    def add_version(self, request: HttpRequest, obj: RouterConfiguration, values: dict[str, Any]) -> Model:
        note = request.POST.get("note", "")[:200]
        return save_version(obj.name, values["source"], author=request.user, note=note)  # type: ignore[arg-type]

    def why_not(self, version: RouterVersion) -> str:
        try:
            parse(version.source, models=model_names())
        except ConfigurationError as error:
            return f"Version {version.number} no longer fits: {error}"
        return ""


class TemplateForm(VersionedForm):
    version_fields = ("system",)

    system = Source(rows=12, label="System prompt", help_text="What every language model is told before the chat.")

    class Meta:
        model = PromptTemplate
        fields = ("name",)


class TemplateHistory(History):
    model = PromptTemplateVersion
    fk_name = "template"
    version_columns = ("text",)

    def text(self, version: PromptTemplateVersion) -> SafeString:
        return folded(version.system)


@admin.register(PromptTemplate)
class PromptTemplateAdmin(VersionedAdmin):
    form = TemplateForm
    version_model = PromptTemplateVersion
    version_of = "template"
    fields = ("name", "system")
    inlines = (TemplateHistory,)
    list_display = ("name", "version")
    list_select_related = ("current",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("created", "person", "language_model", "state", "tokens_input", "tokens_output", "price", "total_s")
    list_filter = ("state", "created")
    list_select_related = ("person", "model_version__model")
    fields = (
        "created", "person", "state", "model_version", "router_version", "template_version", "why_it_failed",
        "tokens_input", "tokens_output", "price", "first_token_s", "total_s", "settled",
    )  # fmt: skip
    ordering = ("-created",)
    show_full_result_count = False

    @admin.display(ordering="model_version__model__name", empty_value="unknown")
    def language_model(self, run: Run) -> str | None:
        return run.model_version.model.name if run.model_version else None

    @admin.display(description="cost", ordering="cost", empty_value="unknown")
    def price(self, run: Run) -> str | None:
        return None if run.cost is None else f"${run.cost.normalize():f}"

    @admin.display(description="failure", empty_value="none")
    def why_it_failed(self, run: Run) -> str | None:
        return f"{run.failure.get('cause', '')} {run.failure.get('action', '')}" if run.failure else None


def model_names() -> set[str]:
    return set(LanguageModel.objects.values_list("name", flat=True))


def folded(text: str) -> SafeString:
    return format_html("<details><summary>Show</summary><pre>{}</pre></details>", text)
