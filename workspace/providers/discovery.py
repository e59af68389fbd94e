"""Model servers on this machine: asked what they serve, and kept as providers and models by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.db import transaction

from workspace.providers.adding import add_model
from workspace.providers.base import Address, ProviderError
from workspace.providers.models import LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.registry import provider

WAIT = 2.0  # seconds: it is this machine
LABELS = {11434: "ollama", 1234: "lm-studio", 8000: "vllm"}
NOT_FOR_CHAT = ("embed", "rerank", "whisper", "tts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    base_url: str
    label: str
    models: tuple[str, ...]


async def discover(urls: Sequence[str]) -> list[Found]:
    """Which of these addresses serve models now."""
    answers = await asyncio.gather(*(_ask(url) for url in urls))
    return [found for found in answers if found]


@transaction.atomic
def store(found: Sequence[Found]) -> bool:
    """Keep what was found; True when something is new. Nothing an admin has changed is touched."""
    new = [_keep(one) for one in found]
    return any(new)


async def _ask(url: str) -> Found | None:
    try:
        async with asyncio.timeout(WAIT):
            names = await provider("openai").models(Address(base_url=url))
    except (ProviderError, TimeoutError):
        return None
    for_chat = tuple(name for name in names if not any(word in name.lower() for word in NOT_FOR_CHAT))
    port = urlsplit(url).port
    return Found(base_url=url, label=LABELS.get(port or 0, f"local-{port}"), models=for_chat)


def _keep(found: Found) -> bool:
    row, new = Provider.objects.get_or_create(name=found.label, defaults={"discovered": True})
    if new:
        row.current = ProviderVersion.objects.create(provider=row, number=1, kind="openai", base_url=found.base_url)
        row.save(update_fields=["current"])
    if not row.discovered:
        return new
    known = set(LanguageModelVersion.objects.filter(provider=row).values_list("upstream", flat=True))
    for upstream in found.models:
        if upstream not in known:
            add_model(row, upstream, free=True, abilities=("system", "seed"))
            new = True
    return new
