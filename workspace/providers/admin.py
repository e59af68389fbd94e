"""Providers and language models in the admin. A provider's key goes in and never comes out."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import URLPattern, path

from workspace.admin_site.pages import as_json
from workspace.admin_site.versions import History, VersionedAdmin, VersionedForm
from workspace.providers import registry
from workspace.providers.adding import add_model, known_of
from workspace.providers.admin_forms import LanguageModelForm, NamesForm, ProviderForm, goes_elsewhere
from workspace.providers.base import Address, ProviderError
from workspace.providers.local_admin import LocalPages
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.names import tie
from workspace.providers.presets import PRESETS, preset
from workspace.providers.secrets import encrypt, key_of, lacks
from workspace.providers.setup import add_first_models


class ProviderHistory(History):
    model = ProviderVersion
    fk_name = "provider"
    version_columns = ("kind", "base_url", "options")


@admin.register(Provider)
class ProviderAdmin(VersionedAdmin):
    form = ProviderForm
    version_model = ProviderVersion
    version_of = "provider"
    fields = ("name", "kind", "base_url", "key", "remove_key", "options", "preset")
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
        return bool(key_of(provider))

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """What a preset knows: the form comes filled in."""
        one = preset(request.GET.get("preset", ""))
        if one is None:
            return super().get_changeform_initial_data(request)
        name, number = one.name, 2
        while Provider.objects.filter(name=name).exists():
            name, number = f"{one.name}-{number}", number + 1
        return {"name": name, "kind": one.kind, "base_url": one.base_url, "preset": one.name}

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None) -> Any:
        context = {"presets": PRESETS, "chosen": preset(request.GET.get("preset", ""))}
        return super().add_view(request, form_url, {**(extra_context or {}), **context})

    def response_add(self, request: HttpRequest, obj: Provider, post_url_continue: str | None = None) -> HttpResponse:
        """To the provider's own page, where its models are found next."""
        super().response_add(request, obj, post_url_continue)
        return self.back_to(obj)

    def save_model(self, request: HttpRequest, obj: Provider, form: VersionedForm, change: bool) -> None:
        if key := form.cleaned_data["key"]:
            obj.encrypted_key = encrypt(key)
        elif form.cleaned_data["remove_key"]:
            obj.encrypted_key = b""
        super().save_model(request, obj, form, change)
        one = preset(form.cleaned_data["preset"])
        if one and not change and (added := add_first_models(obj, one)):
            messages.success(request, f"Added {', '.join(map(str, added))}.")

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
            if unlisted := sorted(self._known(provider) - set(names)):
                messages.warning(request, f"It does not list {', '.join(unlisted)}. Check the name there.")
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
            "found": [(name, name in known, known_of(provider, name)) for name in sorted(names)],
        }
        return render(request, "admin/providers/found_models.html", context)

    def add_found(self, request: HttpRequest, id: int) -> HttpResponse:
        provider = self._provider(request, id)
        with transaction.atomic():
            chosen = [name for name in dict.fromkeys(request.POST.getlist("model")) if name and len(name) <= 200]
            added = [add_model(provider, name) for name in chosen if name not in self._known(provider)]
            if added:
                self.log_change(request, provider, f"Added {', '.join(map(str, added))}.")
            self.admin_site.changed()  # type: ignore[attr-defined]
        if added:
            unknown = [str(model) for model in added if model.current and model.current.price_input is None]
            said = f" Nobody lists a price of {', '.join(unknown)}: enter it." if unknown else ""
            messages.success(request, f"Added {', '.join(map(str, added))}.{said}")
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
        if missing := lacks(provider):
            messages.error(request, f"{missing}. Set it and start again, or store a key here.")
            return None
        address = Address(base_url=current.base_url, key=key_of(provider), options=current.options)
        try:
            return async_to_sync(registry.provider(current.kind).models)(address)
        except ProviderError as error:
            messages.error(request, f"{error.failure.cause.rstrip('.')}. {error.failure.action}")
            return None


class LanguageModelHistory(History):
    model = LanguageModelVersion
    fk_name = "model"
    version_columns = (
        "provider", "upstream", "window", "can", "sends", "price_input", "price_output", "price_cached", "price_source",
    )  # fmt: skip

    @admin.display(description="abilities")
    def can(self, version: LanguageModelVersion) -> str:
        return ", ".join(version.abilities) or "none"

    @admin.display(description="parameters")
    def sends(self, version: LanguageModelVersion) -> str:
        return as_json(version.parameters) or "none"


@admin.register(LanguageModel)
class LanguageModelAdmin(LocalPages, VersionedAdmin):
    form = LanguageModelForm
    version_model = LanguageModelVersion
    version_of = "model"
    fieldsets = (
        (None, {"fields": ("name", "enabled", "provider", "upstream", "window", "abilities", "parameters")}),
        (
            "People",
            {"fields": ("for_all", "groups"), "description": "To everybody else it looks as if it were not there."},
        ),
        (
            "Prices",
            {
                "fields": (("price_input", "price_output", "price_cached"),),
                "description": "US dollars per million tokens; 0 means free. Left empty, they are those that "
                "genai-prices keeps for the model, else unknown. What you enter always wins.",
            },
        ),
    )
    inlines = (LanguageModelHistory,)
    list_display = ("name", "provider", "upstream", "window", "prices", "enabled", "version")
    change_list_template = "admin/providers/model_list.html"
    list_filter = ("enabled", "for_all", "current__provider")
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

    @admin.display(empty_value="unknown")
    def prices(self, model: LanguageModel) -> str | None:
        """In and out, per million tokens."""
        current = model.current
        if current is None or current.price_input is None or current.price_output is None:
            return None
        return f"${current.price_input.normalize():f} / ${current.price_output.normalize():f}"

    def get_urls(self) -> list[URLPattern]:
        names = path("names/", self.admin_site.admin_view(self.names), name="providers_languagemodel_names")
        return [names, *self.local_urls(self.admin_site.admin_view), *super().get_urls()]

    def names(self, request: HttpRequest) -> HttpResponse:
        """Tie the names of the article's router file to models."""
        form = NamesForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            chosen = {name: model for name, model in form.cleaned_data.items() if model}
            for name, model in chosen.items():
                self.log_change(request, tie(name, model, author=request.user), f"Tied to {model}.")
            self.admin_site.changed()  # type: ignore[attr-defined]
            said = ", ".join(f"{name} is {model}" for name, model in chosen.items())
            messages.success(request, f"{said}." if said else "Nothing was chosen, so nothing was tied.")
            return redirect("admin:providers_languagemodel_changelist")
        context = {
            **self.admin_site.each_context(request),
            "title": "Names for the router",
            "opts": self.opts,
            "form": form,
        }
        return render(request, "admin/providers/names.html", context)
