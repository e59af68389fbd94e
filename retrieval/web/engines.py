"""The engines that search the web: one module a kind, the admin's rows, and the order in which they are asked."""

from __future__ import annotations

import time
from dataclasses import replace
from types import ModuleType

from django.conf import settings
from django.db.models import F

from retrieval.models import SearchEngine
from retrieval.web import brave, searxng, tavily, wikipedia
from retrieval.web.results import LONGEST, Engine, Result, SearchFailed
from workspace.sealing import seal, unseal

KINDS: dict[str, ModuleType] = {"searxng": searxng, "brave": brave, "tavily": tavily, "wikipedia": wikipedia}
PURPOSE = b"onepane search keys"


def choices() -> list[tuple[str, str]]:
    return [(kind, module.LABEL) for kind, module in KINDS.items()]


def search(query: str, within: float) -> tuple[list[Result], list[dict[str, object]]]:
    """Ask one engine after another until one gives results, and tell of each what came of it. ``within`` so many
    seconds for all: each may take half of what is left, so that one that hangs leaves time for the next."""
    asked: list[dict[str, object]] = []
    ends, engines = time.monotonic() + within, configured()
    for number, engine in enumerate(engines, 1):
        told: dict[str, object] = {"engine": engine.name, "query": query[:LONGEST], "results": 0, "failed": ""}
        asked.append(told)
        left = max(0.0, ends - time.monotonic())
        try:
            found = KINDS[engine.kind].search(
                query[:LONGEST], replace(engine, within=left if number == len(engines) else left / 2)
            )
        except SearchFailed as failed:
            told["failed"] = f"{failed.cause} {failed.action}"
            continue
        told["results"] = len(found)
        if found:
            return found, asked
    return [], asked


def configured() -> list[Engine]:
    rows = SearchEngine.objects.filter(enabled=True).order_by("position", "pk")
    engines = [Engine(row.name, row.kind, row.base_url or KINDS[row.kind].BASE_URL, key_of(row)) for row in rows]
    return [engine for engine in engines if engine.key or not KINDS[engine.kind].NEEDS_KEY]


def key_of(row: SearchEngine) -> str:
    """The stored key goes first; else one of the environment, for the engine's own address alone."""
    if row.encrypted_key:
        return unseal(bytes(row.encrypted_key), purpose=PURPOSE)
    return "" if row.base_url else settings.SEARCH_KEYS.get(row.kind, "")


def sealed(key: str) -> bytes:
    return seal(key, purpose=PURPOSE)


def ensure() -> None:
    """The engines that are there by themselves: what the environment names, before all others, and at first the one
    that needs nothing. A kind, or a name, that is there already is left as it is."""
    rows = SearchEngine.objects.values_list("kind", "name")
    kinds, names = {kind for kind, _ in rows}, {name for _, name in rows}
    named = {"searxng": settings.SEARXNG_URL, **settings.SEARCH_KEYS, "wikipedia": "" if kinds else "itself"}
    made = [kind for kind in KINDS if named[kind] and kind not in kinds and KINDS[kind].LABEL not in names]
    SearchEngine.objects.update(position=F("position") + len(made))
    for position, kind in enumerate(made):
        url = settings.SEARXNG_URL if kind == "searxng" else ""
        SearchEngine.objects.create(name=KINDS[kind].LABEL, kind=kind, base_url=url, position=position)
