"""One model that was asked for, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from workspace.hosts.ledger import Held
from workspace.hosts.references import Reference
from workspace.hosts.weights import Facts

Say = Callable[[str], None]


@dataclass(slots=True, eq=False)
class Ask:
    """Somebody who waits for a model. The future gets what is in memory, already taken for them."""

    say: Say
    given: asyncio.Future[Held]


@dataclass(slots=True, eq=False)
class Tenant:
    """One model that was asked for. ``asks`` are those who wait for it, ``words`` what they were told last."""

    reference: Reference
    folder: Path
    facts: Facts
    why: str = ""
    progress: float = 0.0
    held: Held | None = None
    loading: asyncio.Event | None = None  # set when it is over, however it went
    asks: list[Ask] = field(default_factory=list)
    words: str = ""

    @property
    def state(self) -> str:
        if self.loading:
            return "loading"
        return "ready" if self.held else "failed" if self.why else "unloaded"

    def say(self, words: str) -> None:
        self.words = words
        for ask in self.asks:
            ask.say(words)

    def give(self, held: Held) -> None:
        asks, self.asks = self.asks, []
        for ask in asks:
            if not ask.given.done():
                ask.given.set_result(held.take())

    def refuse(self, error: Exception) -> None:
        asks, self.asks = self.asks, []
        for ask in asks:
            if not ask.given.done():
                ask.given.set_exception(error)
