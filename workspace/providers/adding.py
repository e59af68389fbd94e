"""A language model's first version: a free name, what is known of it, and the prices that others keep."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max
from django.utils.text import slugify

from workspace.providers import prices
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider
from workspace.providers.prices import Known

FREE = Known(price_input=Decimal(0), price_output=Decimal(0), price_cached=Decimal(0))
FREE_KINDS = ("quotes", "local")


def add_model(
    provider: Provider,
    upstream: str,
    *,
    name: str = "",
    free: bool = False,
    abilities: Collection[str] = ("system",),
    window: int | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> LanguageModel:
    """A model of a provider under a free name, its own or one like ``upstream``; what runs on this machine is ``free``.
    Prices and window are of the kept source; what that does not know stays unknown."""
    assert provider.current is not None
    about = FREE if free or provider.current.kind in FREE_KINDS else known_of(provider, upstream)
    model = LanguageModel.objects.create(name=_free_name(name or upstream), mark=LanguageModel.free_mark())
    model.current = LanguageModelVersion.objects.create(
        model=model,
        number=1,
        provider=provider,
        upstream=upstream,
        abilities=list(abilities),
        window=window or about.window,
        parameters=dict(parameters or {}),
        price_input=about.price_input,
        price_output=about.price_output,
        price_cached=about.price_cached,
        price_source=about.source,
    )
    model.save(update_fields=["current"])
    return model


def known_of(provider: Provider, upstream: str) -> Known:
    return prices.known(upstream, base_url=provider.current.base_url) if provider.current else Known()


@transaction.atomic
def refresh_prices() -> list[str]:
    """A new version for each model whose prices are of an older source and have changed; their names. Prices that an
    admin entered are never touched."""
    changed = []
    rows = LanguageModel.objects.select_related("current__provider__current").order_by("pk")
    for model in rows.filter(current__price_source__startswith=prices.PACKAGE):
        assert model.current is not None
        about = known_of(model.current.provider, model.current.upstream)
        if about.source and _reprice(model, about):
            changed.append(model.name)
    return changed


def prices_are_old() -> bool:
    """Whether some prices are of an earlier release of the source."""
    kept = LanguageModel.objects.filter(current__price_source__startswith=prices.PACKAGE)
    return kept.exclude(current__price_source=prices.source()).exists()


def _reprice(model: LanguageModel, about: Known) -> bool:
    """The same prices of a newer release are only told apart by their source, which makes no version."""
    version = model.current
    assert version is not None
    own = Known(
        window=version.window,
        price_input=version.price_input,
        price_output=version.price_output,
        price_cached=version.price_cached,
        source=about.source,
    )
    if own == replace(about, window=version.window):
        LanguageModelVersion.objects.filter(pk=version.pk).update(price_source=about.source)
        return False
    version.pk = None
    version._state.adding = True
    version.number = (model.versions.aggregate(newest=Max("number"))["newest"] or 0) + 1
    version.author = None
    version.price_input, version.price_output = about.price_input, about.price_output
    version.price_cached, version.price_source = about.price_cached, about.source
    version.save(force_insert=True)
    model.current = version
    model.save(update_fields=["current"])
    return True


def _free_name(wanted: str) -> str:
    base = slugify(wanted.rsplit("/", 1)[-1].replace(":", "-").replace(".", "-"))[:70] or "model"
    name, number = base, 2
    while LanguageModel.objects.filter(name=name).exists():
        name, number = f"{base}-{number}", number + 1
    return name
