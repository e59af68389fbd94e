"""Rows that a message or a chat names and that may go: people, personas, and what it was copied from.

A column that named one is empty then, so what it named is told beside it for good, by ids, where a digest covers it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.db.models import Model


def told(row: Model, names: Collection[str]) -> dict[str, str]:
    """What the columns of these names point at, where they do."""
    pointed = {name: getattr(row, f"{name}_id") for name in names}
    return {name: str(key) for name, key in pointed.items() if key is not None}


def altered(row: Model, names: Collection[str], once: Mapping[str, str]) -> Iterator[str]:
    """The columns that point elsewhere than they did, or nowhere though what they pointed at is there."""
    now = told(row, names)
    for name in names:
        if once.get(name) != now.get(name) and (name in now or _exists(row, name, once[name])):
            yield name


def _exists(row: Model, name: str, key: str) -> bool:
    table: Any = row._meta.get_field(name).related_model
    return bool(table._base_manager.filter(pk=key).exists())
