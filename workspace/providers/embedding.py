"""Vectors of texts by a provider: a local model, or any server that speaks OpenAI's ``/v1/embeddings``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from workspace.providers.base import Address, Embeds
from workspace.providers.errors import failed
from workspace.providers.registry import provider

AT_ONCE = 96  # texts in one request: no server is known to take fewer


async def embed(
    kind: str, address: Address, model: str, texts: Sequence[str], *, at_once: int = AT_ONCE
) -> list[list[float]]:
    """One vector for each text, in their order, as the model makes them. Raises ProviderError."""
    if not hasattr(made := provider(kind), "embed"):
        raise failed("bad_request", why=f"{made.label} has no embeddings.", action="Choose another provider for them.")
    speaker = cast(Embeds, made)
    found: list[list[float]] = []
    for start in range(0, len(texts), at_once):
        found += await speaker.embed(address, model, texts[start : start + at_once])
    return found
