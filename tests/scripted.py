"""A provider that says what a test wrote: enqueue pieces, then read what it was asked. Nothing is patched.

A piece is text, a ``Said`` value, an exception to raise, or an ``asyncio.Event`` to wait for.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar

from django.contrib.auth.models import Group

from workspace.providers.base import Address, Call, Ended, ProviderError, Said, Sent
from workspace.providers.errors import failed
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
                try:
                    async with asyncio.timeout(None if call.deadline == math.inf else call.deadline - time.monotonic()):
                        await piece.wait()
                except TimeoutError:
                    raise failed("timeout") from None
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
    code: str = "server_error",
    cause: str = "The provider failed.",
    *,
    permanent: bool = False,
    retry_after: float | None = None,
) -> ProviderError:
    failure = Failure(code=code, cause=cause, action="Retry it.", permanent=permanent, retry_after=retry_after)
    return ProviderError(failure)


def add_model(
    name: str,
    *,
    abilities: tuple[str, ...] = (),
    window: int | None = None,
    enabled: bool = True,
    price: str | None = None,
    groups: Sequence[str] | None = None,
    at: str = "scripted",
) -> LanguageModel:
    """A model of the scripted provider, as the admin would have made it. ``price`` is of a million tokens, whichever
    way they go; ``groups`` are the only ones that may use it; ``at`` is the provider's name."""
    provider, made = Provider.objects.get_or_create(name=at)
    if made:
        provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="scripted")
        provider.save()
    model = LanguageModel.objects.create(name=name, enabled=enabled, mark=LanguageModel.free_mark())
    model.current = LanguageModelVersion.objects.create(
        model=model, number=1, provider=provider, upstream=name, abilities=list(abilities), window=window,
        price_input=price, price_output=price,
    )  # fmt: skip
    model.for_all = groups is None
    model.save()
    model.groups.set(Group.objects.get_or_create(name=each)[0] for each in groups or ())
    return model
