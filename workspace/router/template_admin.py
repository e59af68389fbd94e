"""Prompt templates in the admin: versioned as configurations are, and shown as a model would be sent them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from workspace.admin_site.pages import Source
from workspace.admin_site.versions import History, VersionedAdmin, VersionedForm
from workspace.router.catalog import Template
from workspace.router.models import PromptTemplate, PromptTemplateVersion
from workspace.router.prompts import build, estimate_tokens
from workspace.types import Evidence, PromptMessage, Request, text_part

QUESTION = Request(messages=(PromptMessage(role="person", parts=(text_part("When are apple trees pruned?"),)),))
EXAMPLE = tuple(
    Evidence(number=number, chunk_id="", document_id="", title=title, text=text, digest="", score=1.0)
    for number, (title, text) in enumerate(
        [("Orchard", "Apple trees are pruned in late winter."), ("Garden", "Cherry trees are pruned after harvest.")], 1
    )
)


class Endless:
    """A model into whose window everything fits."""

    window = None


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
    compared = "system"

    def text(self, version: PromptTemplateVersion) -> SafeString:
        return folded(version.system)


@admin.register(PromptTemplate)
class PromptTemplateAdmin(VersionedAdmin):
    form = TemplateForm
    version_model = PromptTemplateVersion
    version_of = "template"
    drafts = True
    change_form_template = "admin/router/template_form.html"
    fields = ("name", "system")
    inlines = (TemplateHistory,)
    list_display = ("name", "version")
    list_select_related = ("current",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_POST(self.preview))
        return [path("preview/", preview, name="router_prompttemplate_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What a model would be sent, with two passages in their place and without any. Nothing is stored."""
        template = Template(system=request.POST.get("system", "").replace("\r\n", "\n"))
        cases = (("With documents", EXAMPLE), ("Without documents", ()))
        prompts = [(title, build(QUESTION, Endless(), evidence, template).system) for title, evidence in cases]
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "As it is sent"}
        context["sent"] = [(title, text, estimate_tokens(text)) for title, text in prompts]
        return TemplateResponse(request, "admin/router/template_preview.html", context)


def folded(text: str) -> SafeString:
    return format_html("<details><summary>Show</summary><pre>{}</pre></details>", text)
