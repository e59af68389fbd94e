"""The provider every workspace has."""

from __future__ import annotations

from django.db import transaction

from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion


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
