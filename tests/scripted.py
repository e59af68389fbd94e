"""A provider that says what a test wrote: enqueue pieces, then read what it was asked. Nothing is patched.

A piece is text, a ``Said`` value, an exception to raise, or an ``asyncio.Event`` to wait for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from workspace.providers.base import Address, Call, Ended, ProviderError, Said, Sent
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.types import Delta, Failure

Piece = Any


class Scripted:
    kind: ClassVar[str] = "scripted"
    label: ClassVar[str] = "Scripted"
    scripts: ClassVar[deque[list[Piece]]] = deque()
    calls: ClassVar[list[Call]] = []

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        self.calls.append(call)
        yield Sent(parameters=dict(call.parameters))
        for piece in self.scripts.popleft():
            if isinstance(piece, asyncio.Event):
                await piece.wait()
            elif isinstance(piece, Exception):
                raise piece
            else:
                yield Delta(piece) if isinstance(piece, str) else piece
        yield Ended(finish_reason="stop", model=call.model)

    async def models(self, address: Address) -> list[str]:
        return ["scripted"]


def say(*pieces: Piece) -> None:
    """The next call answers with these pieces."""
    Scripted.scripts.append(list(pieces))


def broken(
    code: str = "server_error", cause: str = "The provider failed.", *, permanent: bool = False
) -> ProviderError:
    return ProviderError(Failure(code=code, cause=cause, action="Retry it.", permanent=permanent))


def add_model(
    name: str, *, abilities: tuple[str, ...] = (), window: int | None = None, enabled: bool = True
) -> LanguageModel:
    """A model of the scripted provider, as the admin would have made it."""
    provider, made = Provider.objects.get_or_create(name="scripted")
    if made:
        provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="scripted")
        provider.save()
    model = LanguageModel.objects.create(name=name, enabled=enabled, mark=LanguageModel.free_mark())
    model.current = LanguageModelVersion.objects.create(
        model=model, number=1, provider=provider, upstream=name, abilities=list(abilities), window=window
    )
    model.save()
    return model
