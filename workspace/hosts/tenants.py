"""Which models are in memory: loaded on demand within a budget, the least recently used out first, pinned ones kept.

Models that do not fit together take turns: who waits for room is served when those before it have finished, and those
who come after it wait behind it. A load belongs to nobody who asked: whoever stops waiting takes nothing from the
others. It decides; ``ledger`` counts, and ``loader`` loads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

from workspace.hosts import machine
from workspace.hosts.at_work import AtWork
from workspace.hosts.ladder import CPU, Estimate, Rung, estimates, fewest, placed, rungs
from workspace.hosts.ledger import Held, Ledger, Plan
from workspace.hosts.loader import Loader
from workspace.hosts.references import NotHere, Reference, Shelf
from workspace.hosts.shortage import is_out_of_memory
from workspace.hosts.sizes import Size
from workspace.hosts.tenant import Ask, Say, Tenant
from workspace.hosts.weights import Facts, NotAModel, facts

logger = logging.getLogger(__name__)

GIB = 1024**3
ROOMY = Size(8192, 8)  # what room is made for where there is enough
SHARE = 0.25  # of the free memory, at most, for all that is not weights
LOOK = 5.0  # seconds between two looks for memory that somebody else gave back
OVER = 60.0  # seconds without an answer after which a shortage is over
FOR = {"chat": "writes answers", "embedding": "turns texts into vectors", "pairs": "scores pairs of texts"}
ASKED = {"chat": "chat", "embedding": "make vectors", "pairs": "score pairs of texts"}


class NoRoom(MemoryError):
    """Nothing that may be unloaded would make enough room; why, in words."""


class Unloaded(Exception):
    """Somebody took the model out of memory while it was waited for."""


class Tenants:
    def __init__(
        self,
        shelf: Shelf,
        *,
        budget: int,
        loader: Loader | None = None,
        available: Callable[[], int] | None = None,
        at_work: AtWork | None = None,
    ) -> None:
        self.shelf = shelf
        self._at_work = at_work
        self.ledger = Ledger(budget, available=available or machine.available, pinned=lambda: shelf.pinned)
        self.known: dict[str, Tenant] = {}
        self._loader = loader or Loader()
        self._queue: list[Tenant] = []
        self._serving: Tenant | None = None  # who is loaded, or waits for room, now
        self._short = False  # somebody waits for room: who comes now waits behind
        self._freed = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._usher: asyncio.Task[None] | None = None

    @property
    def engine(self) -> Any:
        return self._loader.engine

    @contextlib.asynccontextmanager
    async def using(self, name: str, say: Say, *, task: str = "") -> AsyncIterator[Held]:
        """A model that stays loaded while this lasts, of this ``task`` if one is named. Raises NotHere, NotAModel,
        NoRoom, Unloaded."""
        tenant = await self.find(name)
        if task and tenant.facts.task != task:
            raise NotAModel(f"{tenant.reference.name} {FOR[tenant.facts.task]}, and is asked to {ASKED[task]}")
        held = await self._taken(tenant, say)
        self._note()
        try:
            yield held
        finally:
            self._give_back(held)

    async def find(self, name: str) -> Tenant:
        reference = Reference.parse(name)
        if (known := self.known.get(str(reference))) and (known.held or known.loading):
            return known
        folder = await asyncio.to_thread(self.shelf.folder, reference)
        about = await asyncio.to_thread(facts, folder)
        tenant = self.known.setdefault(str(reference), Tenant(reference, folder, about))
        tenant.folder, tenant.facts = folder, about
        return tenant

    async def unload(self, name: str) -> bool:
        """Whether there was something to unload. Answers it is writing fail, and the router's fallback goes on; a load
        under way is waited for. It is done even if whoever asked for it leaves."""
        tenant = self.known.get(str(Reference.parse(name)))
        if tenant is None or not (tenant.held or tenant.loading or tenant.asks):
            return False
        await asyncio.shield(self._own(self._unload(tenant)))
        return True

    async def forget(self, name: str) -> None:
        """Unload a model whose files are about to go."""
        while await self.unload(name):
            pass
        self.known.pop(str(Reference.parse(name)), None)
        self.shelf.ask(name, None)
        self.pin(name, False)

    def pin(self, name: str, on: bool) -> None:
        self.shelf.pin(name, on)
        self._freed.set()  # what is waited for may have changed

    async def prepare(self) -> None:
        """Find the GPUs: until then room is told for the CPU alone."""
        self.ledger.budgets = {**await self._loader.start(), **self.ledger.budgets}

    def estimates(self, tenant: Tenant, asked: Size | None) -> list[Estimate]:
        """What loading it would try now, though it may be in memory already."""
        ledger = self.ledger.without(str(tenant.reference))
        return estimates(ledger, tenant.facts, rungs(ledger.budgets, tenant.facts, asked))

    def least(self, about: Facts) -> int:
        """Bytes that loading takes at the lowest precision."""
        return about.needs(CPU[-1], fewest(about), "cpu")

    def free(self) -> int:
        """Bytes that one more model could take, without another being unloaded."""
        return max(self.ledger.free(device) for device in self.ledger.budgets)

    async def _taken(self, tenant: Tenant, say: Say) -> Held:
        held = tenant.held
        if held and (held.loaded.broken or _is_over(held)):
            self._let_go(tenant)
            held = None
        if held and not self._short:
            return held.take()
        ask = Ask(say, asyncio.get_running_loop().create_future())
        self._line_up(tenant, ask)
        try:
            return await ask.given
        except asyncio.CancelledError:
            if ask in tenant.asks:
                tenant.asks.remove(ask)
                self._freed.set()  # nobody may want it any more
            elif not ask.given.cancelled() and not ask.given.exception():
                self._give_back(ask.given.result())
            raise

    def _give_back(self, held: Held) -> None:
        held.leave()
        self._note()
        self._freed.set()

    def _line_up(self, tenant: Tenant, ask: Ask) -> None:
        """Everybody is told something at once: a stream that says nothing is given up."""
        tenant.asks.append(ask)
        if self._serving is tenant:
            ask.say(tenant.words or f"Waiting for {tenant.reference.name} to be loaded")
            return
        if self._serving:
            ask.say(f"Waiting for {self._serving.reference.name} to be loaded")
        if tenant not in self._queue:
            self._queue.append(tenant)
        if self._usher is None or self._usher.done():
            self._usher = self._own(self._serve())

    async def _serve(self) -> None:
        """One model after the other, in the order they were asked for."""
        while self._queue:
            tenant = self._serving = self._queue.pop(0)
            try:
                if tenant.asks and tenant.held is None:
                    for other in self._queue:
                        other.say(f"Waiting for {tenant.reference.name} to be loaded")
                    await self._load(tenant)
                if tenant.held:
                    tenant.give(tenant.held)
            except Exception as error:
                tenant.why = str(error) or type(error).__name__
                tenant.refuse(error)
            finally:
                self._serving, tenant.words = None, ""

    async def _load(self, tenant: Tenant) -> None:
        tenant.loading, tenant.why, tenant.progress = asyncio.Event(), "", 0.0
        try:
            await self.prepare()
            await self._climb(tenant)
        finally:
            self._note()
            tenant.loading.set()
            tenant.loading = None

    async def _climb(self, tenant: Tenant) -> None:
        """The ladder of loading: the next lower precision, then the CPU, as long as memory is short."""
        on_cpu = self._after_death(tenant)
        asked = self.shelf.size(str(tenant.reference))
        ladder = rungs(self.ledger.budgets, tenant.facts, asked, on_cpu=on_cpu)
        for number, rung in enumerate(ladder):
            last = number + 1 == len(ladder)
            short = number > 0 or (rung.devices == ["cpu"] and on_cpu != CPU)
            untried = list(rung.devices)
            while untried:
                try:
                    found = await self._make_room(tenant, replace(rung, devices=untried))
                    if found:
                        device, size = found
                        if asked and size != rung.sizes[0]:
                            tenant.say(f"Room is short: it is made for {size} instead of {rung.sizes[0]}")
                        tenant.say(f"Loading {tenant.reference.name}")
                        await self._into_memory(tenant, Plan(device, rung.precision, short), size if asked else None)
                    return
                except NoRoom as error:
                    if last:
                        raise NoRoom(self._too_large(tenant, rung.precision)) from None
                    untried, why = [], f"{error}: it"
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error) or (last and untried == [device]):
                        raise
                    untried.remove(device)
                    why = f"Out of memory: {tenant.reference.name}"
                await self._loader.trim()
            then = ladder[number + 1]
            there = " on the CPU" if then.devices == ["cpu"] != rung.devices else ""
            tenant.say(f"{why} is loaded in {then.precision}{there}")

    def _after_death(self, tenant: Tenant) -> tuple[str, ...]:
        """The precisions to try on the CPU, lower than the one that the last host was killed with."""
        died = self._at_work.died.get(str(tenant.reference)) if self._at_work else None
        left = CPU[CPU.index(died) + 1 :] if died in CPU else CPU
        if left and left != CPU:
            tenant.say(
                f"The model host was killed for want of memory with {tenant.reference.name} in {died}: "
                f"it is loaded in {left[0]}"
            )
        return left or CPU[-1:]

    def _note(self, *begun: tuple[Tenant, Plan]) -> None:
        """What is at work now, should the kernel end it."""
        if self._at_work:
            working = {held.name: str(held.loaded.precision) for held in self.ledger.held if held.users}
            self._at_work.note(working | {str(tenant.reference): plan.precision for tenant, plan in begun})

    async def _into_memory(self, tenant: Tenant, plan: Plan, asked: Size | None) -> None:
        size = asked or self._roomy(tenant.facts, plan)

        def progress(done: float) -> None:
            tenant.progress = max(tenant.progress, done)

        self._note((tenant, plan))
        loaded = await self._loader.load(tenant.folder, tenant.facts, plan, progress)
        batch = None
        if tenant.facts.task == "chat":
            most, room = asked.answers if asked else None, (lambda: self.ledger.free("cpu"))
            batch = self._loader.batch(loaded, size=size, most=most, room=room, short=plan.short)
        tenant.held = Held(str(tenant.reference), tenant.facts, plan, loaded, batch, size)
        self.ledger.held.append(tenant.held)

    async def _make_room(self, tenant: Tenant, rung: Rung) -> tuple[str, Size] | None:
        """The device with the most room, and for what. Where none has enough, others are unloaded, the least recently
        used first, and those that are answering are waited for. ``None`` when nobody wants the model any more."""
        told = False
        while tenant.asks:
            size, place = placed(self.ledger, tenant.facts, rung)
            if place is None:
                need = tenant.facts.needs(rung.precision, rung.sizes[-1], rung.devices[0])
                most = max(self.ledger.most(device) for device in rung.devices)
                needs = f"{tenant.reference.name} needs {_gib(need)} in {rung.precision}"
                raise NoRoom(f"{needs} and may take {_gib(most)}")
            if place.ready:
                return place.device, size
            if place.going and not place.going[0].users:
                await self._let_go(self.known[place.going[0].name])
                continue
            if place.going and not told:
                told = True
                names = ", ".join(held.plain for held in place.going)
                tenant.say(f"Waiting for {names} to finish: they do not fit into memory together")
            await self._somebody_left()
        return None

    async def _somebody_left(self) -> None:
        self._freed.clear()
        self._short = True
        try:
            async with asyncio.timeout(LOOK):
                await self._freed.wait()
        except TimeoutError:
            pass
        finally:
            self._short = False

    def _roomy(self, about: Facts, plan: Plan) -> Size:
        """What room is kept for: for half as many answers, then for half as long a one, until it is a share of what is
        free."""
        room = (self.ledger.free(plan.device) - about.weights(plan.precision)) * SHARE
        least, size = fewest(about), Size(min(ROOMY.context, about.window), ROOMY.answers)
        while size.context > least.context or size.answers > 1:
            if about.beside(plan.precision, size, plan.device) <= room:
                return size
            size = size.smaller()
        return least

    async def _unload(self, tenant: Tenant) -> None:
        tenant.refuse(Unloaded(f"{tenant.reference.name} was unloaded"))
        self._freed.set()  # it may wait for room
        if tenant.loading:
            await tenant.loading.wait()
        if tenant.held:
            await self._let_go(tenant)

    def _let_go(self, tenant: Tenant) -> asyncio.Future[None]:
        """Nobody gets it any more from this moment on; it is counted until it is gone."""
        assert tenant.held is not None
        held, tenant.held = tenant.held, None
        held.leaving = True
        return asyncio.shield(self._own(self._gone(held)))

    async def _gone(self, held: Held) -> None:
        if held.batch is not None:
            await self._loader.remove(held.batch)
        await held.unused()
        self.ledger.held.remove(held)
        held.loaded = held.batch = None
        await self._loader.trim()
        self._freed.set()

    def _too_large(self, tenant: Tenant, precision: str) -> str:
        return (
            f"out of memory: {tenant.reference.name} needs about {_gib(self.least(tenant.facts))} even in "
            f"{precision}, and local models may take {_gib(self.ledger.most('cpu'))} here. "
            "Choose a smaller model, unpin another, or raise LOCAL_MEMORY_GIB."
        )

    def _own(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Done whoever waits for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _is_over(held: Held) -> bool:
    """Whether what short memory made of it may be made good: nobody uses it, and for a while nobody has."""
    return held.lowered and not held.users and time.monotonic() - held.used > OVER


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / 1024**2:.0f} MiB"


__all__ = ["Held", "NoRoom", "NotAModel", "NotHere", "Plan", "Tenant", "Tenants", "Unloaded"]
