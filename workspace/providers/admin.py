"""Providers and language models in the admin. A provider's key goes in and never comes out."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import URLPattern

from workspace.admin_site.pages import History, VersionedAdmin, VersionedForm, as_json
from workspace.providers import registry
from workspace.providers.admin_forms import LanguageModelForm, ProviderForm, goes_elsewhere
from workspace.providers.base import Address, ProviderError
from workspace.providers.discovery import add_model
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.secrets import decrypt, encrypt


class ProviderHistory(History):
    model = ProviderVersion
    fk_name = "provider"
    version_columns = ("kind", "base_url", "options")


@admin.register(Provider)
class ProviderAdmin(VersionedAdmin):
    form = ProviderForm
    version_model = ProviderVersion
    version_of = "provider"
    fields = ("name", "kind", "base_url", "key", "remove_key", "options")
    inlines = (ProviderHistory,)
    list_display = ("name", "kind", "address", "has_key", "discovered", "version")
    list_select_related = ("current",)
    search_fields = ("name",)
    ordering = ("name",)
    change_form_template = "admin/providers/provider_form.html"

    @admin.display(description="protocol", ordering="current__kind")
    def kind(self, provider: Provider) -> str:
        return provider.current.kind if provider.current else "none"

    @admin.display(description="address", ordering="current__base_url")
    def address(self, provider: Provider) -> str:
        return provider.current.base_url if provider.current else ""

    @admin.display(description="key", boolean=True)
    def has_key(self, provider: Provider) -> bool:
        return bool(provider.encrypted_key)

    def save_model(self, request: HttpRequest, obj: Provider, form: VersionedForm, change: bool) -> None:
        if key := form.cleaned_data["key"]:
            obj.encrypted_key = encrypt(key)
        elif form.cleaned_data["remove_key"]:
            obj.encrypted_key = b""
        super().save_model(request, obj, form, change)

    def why_not(self, version: ProviderVersion) -> str:
        if goes_elsewhere(version.provider, version.base_url):
            said = "has another address, and the stored key is not for it. Save that address with its key."
            return f"Version {version.number} {said}"
        return ""

    def get_urls(self) -> list[URLPattern]:
        return [
            self.page("<int:id>/test/", self.test, "test"),
            self.page("<int:id>/find/", self.find, "find"),
            self.page("<int:id>/add/", self.add_found, "add_found"),
            *super().get_urls(),
        ]

    def test(self, request: HttpRequest, id: int) -> HttpResponse:
        """Ask the stored address for its models, and say what came of it."""
        provider = self._provider(request, id)
        names = self._ask(request, provider)
        if names is not None:
            count = f"{len(names)} model{'' if len(names) == 1 else 's'}"
            messages.success(request, f"{provider} answers and serves {count}.")
        return self.back_to(provider)

    def find(self, request: HttpRequest, id: int) -> HttpResponse:
        """What the provider serves, to choose from."""
        provider = self._provider(request, id)
        names = self._ask(request, provider)
        if names is None:
            return self.back_to(provider)
        known = self._known(provider)
        context = {
            **self.admin_site.each_context(request),
            "title": f"Models of {provider}",
            "opts": self.opts,
            "provider": provider,
            "found": [(name, name in known) for name in sorted(names)],
        }
        return render(request, "admin/providers/found_models.html", context)

    def add_found(self, request: HttpRequest, id: int) -> HttpResponse:
        provider = self._provider(request, id)
        with transaction.atomic():
            chosen = [name for name in dict.fromkeys(request.POST.getlist("model")) if name and len(name) <= 200]
            added = [add_model(provider, name) for name in chosen if name not in self._known(provider)]
            self.admin_site.changed()  # type: ignore[attr-defined]
        if added:
            messages.success(request, f"Added {', '.join(map(str, added))}. Prices are unknown until you enter them.")
        else:
            messages.info(request, "Nothing was chosen, so nothing was added.")
        return self.back_to(provider)

    def _provider(self, request: HttpRequest, id: int) -> Provider:
        provider: Provider | None = self.get_object(request, str(id))
        if provider is None or provider.current is None:
            raise Http404
        return provider

    def _known(self, provider: Provider) -> set[str]:
        return set(LanguageModel.objects.filter(current__provider=provider).values_list("current__upstream", flat=True))

    def _ask(self, request: HttpRequest, provider: Provider) -> list[str] | None:
        """The names it serves; when it doesn't answer, the person is told why."""
        current = provider.current
        assert current is not None
        key = decrypt(bytes(provider.encrypted_key))
        address = Address(base_url=current.base_url, key=key, options=current.options)
        try:
            return async_to_sync(registry.provider(current.kind).models)(address)
        except ProviderError as error:
            messages.error(request, f"{error.failure.cause.rstrip('.')}. {error.failure.action}")
            return None


class LanguageModelHistory(History):
    model = LanguageModelVersion
    fk_name = "model"
    version_columns = ("provider", "upstream", "window", "can", "sends", "price_input", "price_output", "price_cached")

    @admin.display(description="abilities")
    def can(self, version: LanguageModelVersion) -> str:
        return ", ".join(version.abilities) or "none"

    @admin.display(description="parameters")
    def sends(self, version: LanguageModelVersion) -> str:
        return as_json(version.parameters) or "none"


@admin.register(LanguageModel)
class LanguageModelAdmin(VersionedAdmin):
    form = LanguageModelForm
    version_model = LanguageModelVersion
    version_of = "model"
    fieldsets = (
        (None, {"fields": ("name", "enabled", "provider", "upstream", "window", "abilities", "parameters")}),
        (
            "Prices",
            {
                "fields": (("price_input", "price_output", "price_cached"),),
                "description": "US dollars per million tokens. Empty means unknown; 0 means free.",
            },
        ),
    )
    inlines = (LanguageModelHistory,)
    list_display = ("name", "provider", "upstream", "window", "enabled", "version")
    list_filter = ("enabled", "current__provider")
    list_select_related = ("current__provider",)
    search_fields = ("name", "current__upstream")
    ordering = ("name",)

    @admin.display(ordering="current__provider__name")
    def provider(self, model: LanguageModel) -> str:
        return str(model.current.provider) if model.current else "none"

    @admin.display(description="name there", ordering="current__upstream")
    def upstream(self, model: LanguageModel) -> str:
        return model.current.upstream if model.current else ""

    @admin.display(ordering="current__window", empty_value="unknown")
    def window(self, model: LanguageModel) -> str | None:
        return f"{model.current.window:,}" if model.current and model.current.window else None

    def save_model(self, request: HttpRequest, obj: LanguageModel, form: VersionedForm, change: bool) -> None:
        if not change:
            obj.mark = LanguageModel.free_mark()
        super().save_model(request, obj, form, change)
