"""What models hold in memory, and how much each device has left for them. It counts; ``tenants`` decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace.hosts.sizes import Size
from workspace.hosts.weights import Facts


@dataclass(frozen=True, slots=True)
class Plan:
    """``short`` says that memory was too short for a better one."""

    device: str
    precision: str
    short: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a model has room: at once if ``ready``, else when those ``going`` have left, in this order."""

    device: str
    going: tuple[Held, ...]
    ready: bool


@dataclass(slots=True, eq=False)
class Held:
    """A model in memory, as one: who uses it keeps all of it, and it is counted until the last of them has left."""

    name: str
    facts: Facts
    plan: Plan
    loaded: Any
    batch: Any  # of models that write
    size: Size  # that room is kept for
    users: int = 0
    used: float = field(default_factory=time.monotonic)
    leaving: bool = False
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def device(self) -> str:
        """Where it is now: short memory may have moved it."""
        return str(self.loaded.device)

    @property
    def plain(self) -> str:
        """Its name without the commit."""
        return self.name.partition("@")[0]

    @property
    def memory(self) -> int:
        return int(self.loaded.bytes) + self.facts.beside(self.loaded.precision, self.size, self.device)

    @property
    def lowered(self) -> bool:
        """Whether short memory has made it another model than was planned."""
        return bool(self.loaded.precision != self.plan.precision or self.device != self.plan.device)

    def take(self) -> Held:
        self.users += 1
        return self

    def leave(self) -> None:
        self.users -= 1
        self.used = time.monotonic()
        if not self.users:
            self._left.set()

    async def unused(self) -> None:
        """Wait until nobody uses it."""
        while self.users:
            self._left.clear()
            await self._left.wait()


class Ledger:
    """``budgets`` are bytes for each device, ``available`` is what the machine really has left, ``pinned`` are names of
    models that stay."""

    def __init__(self, budget: int, *, available: Callable[[], int], pinned: Callable[[], Collection[str]]) -> None:
        self.budgets = {"cpu": budget}
        self.held: list[Held] = []
        self._available = available
        self._pinned = pinned

    def used(self, device: str) -> int:
        return sum(held.memory for held in self.held if held.device == device)

    def free(self, device: str) -> int:
        left = self.budgets[device] - self.used(device)
        return max(0, min(left, self._available()) if device == "cpu" else left)

    def most(self, device: str) -> int:
        """What is free when all that may go has gone."""
        going = [held for held in self.held if held.leaving and held.device == device]
        return self.free(device) + sum(held.memory for held in [*going, *self.evictable(device)])

    def place(self, devices: Sequence[str], need: int) -> Place | None:
        """Where so many bytes have room, once others have gone: those not answering and the least recently used first.
        ``None`` where they never have."""
        could = [device for device in devices if self.most(device) >= need]
        if not could:
            return None
        free = {device: self.free(device) for device in could}
        ready = max(free.values()) >= need
        others = [held for device in could for held in self.evictable(device)]
        going = []
        for held in sorted(others, key=lambda held: (held.users > 0, held.used)):
            if max(free.values()) >= need:
                break
            free[held.device] += held.memory
            going.append(held)
        return Place(max(could, key=lambda device: free[device]), tuple(going), ready)

    def without(self, name: str) -> Ledger:
        """As if this model were in no memory."""
        gone = [held for held in self.held if held.name == name]
        given_back = sum(held.memory for held in gone if held.device == "cpu")
        other = Ledger(0, available=lambda: self._available() + given_back, pinned=self._pinned)
        other.budgets, other.held = self.budgets, [held for held in self.held if held not in gone]
        return other

    def evictable(self, device: str) -> list[Held]:
        pinned = self._pinned()
        here = [held for held in self.held if held.device == device and not held.leaving]
        return [held for held in here if held.name not in pinned]
