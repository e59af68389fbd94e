"""Immutable rows by their content: the digests that a manifest keeps of the versions it names.

A row that was altered past the product no longer has the digest that answers made by it say it had.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from django.db.models import Model

from retrieval.models import CollectionState
from workspace.providers.models import LanguageModelVersion, ProviderVersion
from workspace.router.models import PromptTemplateVersion, RouterVersion
from workspace.types import canonical, sha256

# What makes each kind of version: everything but who wrote it, when, and who keeps its prices.
CONTENT: dict[type[Model], tuple[str, ...]] = {
    LanguageModelVersion: (
        "model_id", "number", "provider_id", "upstream", "window", "abilities", "parameters", "price_input",
        "price_output", "price_cached",
    ),
    ProviderVersion: ("provider_id", "number", "kind", "base_url", "options", "key_variable"),
    PromptTemplateVersion: ("template_id", "number", "system", "variables"),
    RouterVersion: ("configuration_id", "number", "source"),
    CollectionState: ("collection_id", "number", "documents"),
}  # fmt: skip


def digest_of(row: Model) -> str:
    return sha256(canonical({name: _value(getattr(row, name)) for name in CONTENT[type(row)]}))


def named_by(manifest: Mapping[str, Any]) -> Iterator[tuple[str, type[Model], int, str]]:
    """Each row that a manifest names: what it is called, its table, its key and the digest that it had."""
    digests = manifest.get("versions") or {}
    decision = manifest.get("decision") or {}
    rows: tuple[tuple[str, type[Model], Any], ...] = (
        ("model", LanguageModelVersion, manifest.get("model_version")),
        ("provider", ProviderVersion, manifest.get("provider_version")),
        ("prompt template", PromptTemplateVersion, manifest.get("prompt_template_version")),
        ("router", RouterVersion, decision.get("configuration")),
    )
    for name, table, key in rows:
        if key is not None and name in digests:
            yield name, table, int(key), str(digests[name])


def _value(value: Any) -> Any:
    """Decimals as the database gives them back, whatever was typed."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value
