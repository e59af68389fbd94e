"""Prompt templates in the admin: versioned as configurations are, and shown as a model would be sent them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from workspace.admin_site.pages import Source
from workspace.admin_site.versions import History, VersionedAdmin, VersionedForm
from workspace.router.models import PromptTemplate, PromptTemplateVersion
from workspace.router.personas import NotKept, declared, previews, written
from workspace.router.prompts import estimate_tokens


class Variables(forms.CharField):
    """Names and values, a line each; a dict within."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return written(value) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> Any:
        try:
            return declared(str(value or ""))
        except NotKept as wrong:
            raise forms.ValidationError(str(wrong)) from None


class TemplateForm(VersionedForm):
    version_fields = ("system", "variables")

    system = Source(
        rows=12,
        label="System prompt",
        help_text="What a language model is told before the chat. {date}, {weekday}, {time} and {person} stand for "
        "themselves, {evidence} for the passages, and other names in braces for what is listed below.",
    )
    variables = Variables(
        required=False, help_text="One a line: a name, = and what it stands for where a chat says nothing."
    )

    class Meta:
        model = PromptTemplate
        fields = ("name", "title", "about", "offered")


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
    fields = ("name", "title", "about", "offered", "system", "variables")
    inlines = (TemplateHistory,)
    list_display = ("name", "title", "owner", "offered", "version")
    list_select_related = ("current", "owner")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_POST(self.preview))
        return [path("preview/", preview, name="router_prompttemplate_preview"), *super().get_urls()]

    def preview(self, request: HttpRequest) -> HttpResponse:
        """What a model would be sent, with two passages in their place and without any. Nothing is stored."""
        system = request.POST.get("system", "").replace("\r\n", "\n")
        try:
            variables = declared(request.POST.get("variables", ""))
        except NotKept as wrong:
            messages.error(request, str(wrong))
            variables = {}
        prompts = previews(system, variables, person=request.user.get_username())
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": "As it is sent"}
        context["sent"] = [(title, text, estimate_tokens(text)) for title, text in prompts]
        return TemplateResponse(request, "admin/router/template_preview.html", context)


def folded(text: str) -> SafeString:
    return format_html("<details><summary>Show</summary><pre>{}</pre></details>", text)
