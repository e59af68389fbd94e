"""The names that the article's router file calls models by, each tied to a model of this workspace."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import Max

from workspace.providers.models import LanguageModel, LanguageModelVersion

COPIED = (
    "provider", "upstream", "window", "abilities", "parameters", "price_input", "price_output", "price_cached",
    "price_source",
)  # fmt: skip


@transaction.atomic
def tie(name: str, model: LanguageModel, *, author: Any = None) -> LanguageModel:
    """Let ``name`` answer with what ``model`` is now: its next version has that one's values. Who may use it is as
    for that model."""
    assert model.current is not None
    named, new = LanguageModel.objects.select_for_update().get_or_create(
        name=name, defaults={"mark": LanguageModel.free_mark()}
    )
    values = {field: getattr(model.current, field) for field in COPIED}
    if new or named.current is None or any(getattr(named.current, field) != values[field] for field in COPIED):
        number = (named.versions.aggregate(newest=Max("number"))["newest"] or 0) + 1
        named.current = LanguageModelVersion.objects.create(model=named, number=number, author=author, **values)
    named.enabled, named.for_all = True, model.for_all
    named.save(update_fields=["current", "enabled", "for_all"])
    named.groups.set(model.groups.all())
    return named


def tied_to(name: str) -> LanguageModel | None:
    """Which other model a name answers with now, if it can be told."""
    named = LanguageModel.objects.filter(name=name).select_related("current").first()
    if named is None or named.current is None:
        return None
    same = LanguageModel.objects.filter(
        current__provider=named.current.provider_id, current__upstream=named.current.upstream
    )
    return same.exclude(pk=named.pk).order_by("pk").first()
