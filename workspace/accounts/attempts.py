"""A bound on wrong passwords: so many for a name and for an address within a quarter of an hour."""

from __future__ import annotations

from django.core.cache import cache

from workspace.types import sha256

WITHIN = 15 * 60  # seconds
MOST = {"name": 8, "address": 40}


def too_many(name: str, address: str) -> bool:
    return any(cache.get(key, 0) >= MOST[kind] for kind, key in _keys(name, address))


def note_failure(name: str, address: str) -> None:
    for _, key in _keys(name, address):
        cache.add(key, 0, WITHIN)
        cache.incr(key)


def _keys(name: str, address: str) -> list[tuple[str, str]]:
    return [("name", f"attempts.name.{sha256(name.lower())}"), ("address", f"attempts.address.{sha256(address)}")]
