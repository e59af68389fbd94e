"""The engines that search the web: one module a kind, the admin's rows, and the order in which they are asked."""

from __future__ import annotations

from types import ModuleType

from django.conf import settings

from retrieval.models import SearchEngine
from retrieval.web import brave, searxng, tavily, wikipedia
from retrieval.web.results import LONGEST, Engine, Result, SearchFailed
from workspace.sealing import seal, unseal

KINDS: dict[str, ModuleType] = {"searxng": searxng, "brave": brave, "tavily": tavily, "wikipedia": wikipedia}
PURPOSE = b"onepane search keys"


def choices() -> list[tuple[str, str]]:
    return [(kind, module.LABEL) for kind, module in KINDS.items()]


def search(query: str) -> tuple[list[Result], list[dict[str, object]]]:
    """Ask one engine after another until one gives results, and tell of each what came of it."""
    asked: list[dict[str, object]] = []
    for engine in configured():
        told: dict[str, object] = {"engine": engine.name, "query": query[:LONGEST], "results": 0, "failed": ""}
        asked.append(told)
        try:
            found = KINDS[engine.kind].search(query[:LONGEST], engine)
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
    """The engines that are there by themselves: what the environment names, and the one that needs nothing."""
    if SearchEngine.objects.exists():
        return
    made = [(kind, "") for kind, key in settings.SEARCH_KEYS.items() if key]
    if settings.SEARXNG_URL:
        made.insert(0, ("searxng", settings.SEARXNG_URL))
    for position, (kind, url) in enumerate([*made, ("wikipedia", "")]):
        SearchEngine.objects.create(name=KINDS[kind].LABEL, kind=kind, base_url=url, position=position)
