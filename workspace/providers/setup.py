"""The providers a workspace has by itself: quotes, and those whose keys are in the environment."""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from workspace.providers import prices
from workspace.providers.adding import add_model
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.presets import PRESETS, Preset, begun_with


@transaction.atomic
def ensure_quotes() -> None:
    """``quotes`` as a provider and a model, so that a workspace answers from its first minute."""
    if LanguageModel.objects.filter(name="quotes").exists():
        return
    provider, _ = Provider.objects.get_or_create(name="quotes")
    if provider.current is None:
        provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="quotes")
        provider.save(update_fields=["current"])
    # The fourth mark: diamonds stay quotes' own wherever it stands among later models.
    model = LanguageModel.objects.create(name="quotes", mark=3)
    model.current = LanguageModelVersion.objects.create(
        model=model, number=1, provider=provider, upstream="quotes", price_input=0, price_output=0, price_cached=0
    )
    model.save(update_fields=["current"])


@transaction.atomic
def ensure_from_environment() -> list[str]:
    """A provider for each known variable that is set, begun with the newest of its families; their names. One that is
    there already, or was, is left as it is."""
    added = []
    for one in PRESETS:
        variable = next((name for name in one.variables if settings.PROVIDER_KEYS[name]), "")
        if variable and not Provider.objects.filter(name=one.name).exists():
            begin(one, key_variable=variable)
            added.append(one.label)
    return added


def begin(one: Preset, *, key_variable: str = "") -> Provider:
    """A provider as its preset describes it, with its first models."""
    provider = Provider.objects.create(name=one.name, discovered=True)
    provider.current = ProviderVersion.objects.create(
        provider=provider, number=1, kind=one.kind, base_url=one.base_url, key_variable=key_variable
    )
    provider.save(update_fields=["current"])
    add_first_models(provider, one)
    return provider


def add_first_models(provider: Provider, one: Preset) -> list[LanguageModel]:
    """What the preset begins with, of what is listed for its address."""
    listed = prices.names_at(one.base_url) if one.families else []
    return [add_model(provider, name, abilities=one.abilities) for name in begun_with(one, listed)]
