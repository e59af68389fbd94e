"""Router configurations and runs in the admin. Nobody reads a prompt or an answer here."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from workspace.admin_site.pages import ReadOnlyAdmin, Source
from workspace.admin_site.versions import History, VersionedAdmin, VersionedForm, typed_again
from workspace.router import (
    attention,  # noqa: F401  it tells on the first page
    budget_admin,  # noqa: F401  it registers budgets
    catalog,
    decision_admin,  # noqa: F401  it registers the log of decisions
    editor_pages,
    replay_pages,
    rollout_pages,
    rollouts,
    template_admin,  # noqa: F401  it registers prompt templates
    usage_pages,  # noqa: F401  it registers usage
)
from workspace.router.configuration import DEFAULT_SOURCE, MAX_FILE, ConfigurationError, parse, save_version
from workspace.router.models import RouterConfiguration, RouterVersion, Run

admin.site.on_change(catalog.forget)  # type: ignore[attr-defined]


class RouterForm(VersionedForm):
    version_fields = ("source",)

    upload = forms.FileField(
        required=False, label="From a file", help_text="A model_router.json; its text takes the place of what is below."
    )
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
        self.fields["source"].required = "upload" not in (self.files or {})

    def clean_upload(self) -> None:
        """Its text becomes what was typed, so that a problem is shown where it can be mended."""
        if brought := self.cleaned_data["upload"]:
            try:
                text = editor_pages.read_upload(brought.read(4 * MAX_FILE + 1))
            except ValueError as error:
                raise forms.ValidationError(str(error)) from None
            self.data = typed_again(self, source=text)

    def clean_source(self) -> str:
        source = self.fields["source"].clean(self.data.get(self.add_prefix("source"), ""))
        try:
            parse(source, models=editor_pages.model_names())
        except ConfigurationError as error:
            raise forms.ValidationError([f"Line{str(problem)[4:]}" for problem in error.problems]) from None
        return str(source)


class RouterHistory(History):
    model = RouterVersion
    fk_name = "configuration"
    version_columns = ("note", "short_digest", "file", "replay")
    compared = "source"

    @admin.display(description="digest")
    def short_digest(self, version: RouterVersion) -> str:
        return version.digest[:12]

    def file(self, version: RouterVersion) -> SafeString:
        url = reverse("admin:router_routerconfiguration_file", args=[version.configuration_id, version.number])
        return format_html('<a href="{}" download>Download</a>', url)

    def replay(self, version: RouterVersion) -> SafeString:
        return format_html('<a href="{}">Replay</a>', replay_of(version))


@admin.register(RouterConfiguration)
class RouterConfigurationAdmin(VersionedAdmin):
    form = RouterForm
    version_model = RouterVersion
    version_of = "configuration"
    drafts = True
    change_form_template = "admin/router/file_form.html"
    fields = ("name", "upload", "source", "note")
    inlines = (RouterHistory,)
    list_display = ("name", "version", "note")
    list_select_related = ("current",)

    def get_urls(self) -> list[URLPattern]:
        pages = rollout_pages.Pages(self).urls()
        return [*editor_pages.urls(self), *replay_pages.urls(self), *pages, *super().get_urls()]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        obj = kwargs.get("obj")
        context |= {"guide": editor_pages.guide(), "live_trial": rollout_pages.live(obj) if obj else None}
        return super().render_change_form(request, context, *args, **kwargs)

    def compare_context(self, obj: RouterConfiguration, version: RouterVersion) -> dict[str, Any]:
        return {"replay": replay_of(version), "trial": "admin/router/_try.html"}

    def moved(self, obj: RouterConfiguration) -> None:
        rollouts.end_all(obj, why=f"Version {obj.current.number if obj.current else 0} was put in use.")

    def note(self, configuration: RouterConfiguration) -> str:
        return configuration.current.note if configuration.current else ""

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        # The name says which one decides: renaming that would silently bring the built-in file back.
        return ("name",) if obj else ()

    def add_version(self, request: HttpRequest, obj: RouterConfiguration, values: dict[str, Any]) -> Model:
        note = request.POST.get("note", "")[:200]
        who: Any = request.user
        return save_version(obj.name, values["source"], author=who, note=note, activate=False)

    def why_not(self, version: RouterVersion) -> str:
        try:
            parse(version.source, models=editor_pages.model_names())
        except ConfigurationError as error:
            return f"Version {version.number} no longer fits: {error}"
        return ""


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Those of a blind comparison that is open are left out: what they took, and how they sort, tells who they are."""

    list_display = ("created", "person", "language_model", "state", "tokens_input", "tokens_output", "price", "total_s")
    list_filter = ("state", "created")
    list_select_related = ("person", "model_version__model")
    fields = (
        "created", "person", "state", "model_version", "router_version", "template_version", "why_it_failed",
        "tokens_input", "tokens_output", "price", "first_token_s", "total_s", "settled",
    )  # fmt: skip
    ordering = ("-created",)
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        return super().get_queryset(request).filter(withheld=False)

    @admin.display(ordering="model_version__model__name", empty_value="unknown")
    def language_model(self, run: Run) -> str | None:
        return run.model_version.model.name if run.model_version else None

    @admin.display(description="cost", ordering="cost", empty_value="unknown")
    def price(self, run: Run) -> str | None:
        return None if run.cost is None else f"${run.cost.normalize():f}"

    @admin.display(description="failure", empty_value="none")
    def why_it_failed(self, run: Run) -> str | None:
        return f"{run.failure.get('cause', '')} {run.failure.get('action', '')}" if run.failure else None


def replay_of(version: RouterVersion) -> str:
    return reverse("admin:router_routerconfiguration_replay", args=[version.configuration_id, version.number])
