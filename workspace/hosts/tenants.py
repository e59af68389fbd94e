"""Which models are in memory: loaded on demand within a budget, the least recently used out first, pinned ones kept.

Models that do not fit together take turns: who waits for room is served when those before it have finished, and those
who come after it wait behind it. It decides; ``loading`` does, in a thread of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from workspace.hosts.making import LOADING
from workspace.hosts.references import NotHere, Reference, Shelf
from workspace.hosts.weights import Facts, NotAModel, facts

logger = logging.getLogger(__name__)

GIB = 1024**3
CONTEXT = 8192  # tokens of one answer that room is made for, and how many such answers
ANSWERS = 8
SHARE = 0.25  # of the free memory, at most, for keys and values
FOR = {"chat": "writes answers", "embedding": "turns texts into vectors", "pairs": "scores pairs of texts"}
ASKED = {"chat": "chat", "embedding": "make vectors", "pairs": "score pairs of texts"}

Say = Callable[[str], None]


class NoRoom(MemoryError):
    """Nothing that may be unloaded would make enough room; why, in words."""


@dataclass(frozen=True, slots=True)
class Plan:
    device: str
    precision: str


@dataclass(slots=True, eq=False)
class Tenant:
    """One model that was asked for. ``state`` is absent, loading, ready, unloaded or failed."""

    reference: Reference
    folder: Path
    facts: Facts
    state: str = "unloaded"
    why: str = ""
    progress: float = 0.0
    plan: Plan | None = None
    memory: int = 0
    users: int = 0
    used: float = 0.0
    loaded: Any = None
    batch: Any = None  # of models that write
    steps: list[str] = field(default_factory=list)


class Tenants:
    """``engine`` is given once torch is there. ``budgets`` are bytes for each device."""

    def __init__(self, shelf: Shelf, *, budget: int) -> None:
        self.shelf = shelf
        self.budgets = {"cpu": budget}
        self.engine: Any = None
        self.known: dict[str, Tenant] = {}
        self._loading = asyncio.Lock()
        self._short = False  # somebody waits for room: who comes now waits behind
        self._freed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="loader")

    @contextlib.asynccontextmanager
    async def using(self, name: str, say: Say, *, task: str = "") -> AsyncIterator[Tenant]:
        """A model that stays loaded while this lasts, of this ``task`` if one is named. Raises NotHere, NotAModel,
        NoRoom."""
        tenant = await self.find(name)
        if task and tenant.facts.task != task:
            raise NotAModel(f"{tenant.reference.name} {FOR[tenant.facts.task]}, and is asked to {ASKED[task]}")
        if tenant.state == "ready" and tenant.loaded.broken:
            await self._unload(tenant)
        if tenant.state != "ready" or self._short:
            async with self._loading:
                if tenant.state != "ready":
                    await self._load(tenant, say)
                tenant.users += 1
        else:
            tenant.users += 1
        try:
            yield tenant
        finally:
            tenant.users -= 1
            tenant.used = time.monotonic()
            self._freed.set()

    async def find(self, name: str) -> Tenant:
        reference = Reference.parse(name)
        if (known := self.known.get(str(reference))) and (known.state == "ready" or known.state == "loading"):
            return known
        folder = await asyncio.to_thread(self.shelf.folder, reference)
        about = await asyncio.to_thread(facts, folder)
        tenant = self.known.setdefault(str(reference), Tenant(reference, folder, about))
        tenant.folder, tenant.facts = folder, about
        return tenant

    async def unload(self, name: str) -> bool:
        """Whether it was loaded. Answers it is writing fail, and the router's fallback goes on."""
        tenant = self.known.get(str(Reference.parse(name)))
        if tenant is None or tenant.state != "ready":
            return False
        await self._unload(tenant)
        return True

    def used(self, device: str = "cpu") -> int:
        return sum(t.memory for t in self.known.values() if t.plan and t.plan.device == device and t.state == "ready")

    def free(self) -> int:
        """Bytes that one more model could take, without another being unloaded."""
        left = max(budget - self.used(device) for device, budget in self.budgets.items())
        return max(0, min(left, psutil.virtual_memory().available) if len(self.budgets) == 1 else left)

    async def _load(self, tenant: Tenant, say: Say) -> None:
        """The ladder of loading: the next lower precision, then the next device, as long as memory is short."""
        tenant.state, tenant.why, tenant.progress = "loading", "", 0.0
        try:
            await self._engine()
            await self._climb(tenant, say)
        except BaseException as error:
            tenant.state = "failed" if isinstance(error, Exception) else "unloaded"
            tenant.why = str(error) or type(error).__name__
            raise
        tenant.state, tenant.progress, tenant.used = "ready", 1.0, time.monotonic()

    async def _climb(self, tenant: Tenant, say: Say) -> None:
        plans = self._plans(tenant)
        for number, plan in enumerate(plans):
            last = number + 1 == len(plans)
            if not self._could_fit(tenant, plan):
                if last:
                    raise NoRoom(self._too_large(tenant, plan))
                then = plans[number + 1]
                say(f"{tenant.reference.name} needs {_gib(self._least(tenant, plan))} in {plan.precision} and may take "
                    f"{_gib(self._most(plan.device))}: it is loaded in {then.precision}")  # fmt: skip
                continue
            tokens = await self._make_room(tenant, plan, say)
            say(f"Loading {tenant.reference.name}")
            try:
                await self._into_memory(tenant, plan, tokens)
                return
            except (MemoryError, RuntimeError) as error:
                if last or not _is_memory(error):
                    raise
                where = plans[number + 1]
            _trim()
            say(f"Out of memory: {tenant.reference.name} is loaded in {where.precision} on {where.device}")

    async def _into_memory(self, tenant: Tenant, plan: Plan, tokens: int) -> None:
        loop = asyncio.get_running_loop()
        watch = asyncio.create_task(_watch(tenant, tenant.facts.weights(plan.precision)))
        try:
            tenant.loaded = await asyncio.shield(loop.run_in_executor(self._thread, _loaded, tenant, plan))
        finally:
            watch.cancel()
        tenant.plan = plan
        tenant.memory = tenant.loaded.bytes + tenant.facts.cache(plan.precision, tokens)
        if tenant.facts.task == "chat":
            from workspace.hosts.batch import Batch

            tenant.batch = Batch(tenant.loaded, self.engine.tell, tokens=tokens)
            self.engine.add(str(tenant.reference), tenant.batch)

    async def _make_room(self, tenant: Tenant, plan: Plan, say: Say) -> int:
        """Unload others, the least recently used first, and wait for those that are answering. Returns the tokens of
        keys and values that there is room for."""
        told = False
        while (free := self.budgets[plan.device] - self.used(plan.device)) < self._least(tenant, plan):
            others = [t for t in self._evictable(plan.device) if not t.users]
            if others:
                await self._unload(min(others, key=lambda other: other.used))
                continue
            if not told:
                told = True
                names = ", ".join(t.reference.name for t in self._evictable(plan.device))
                say(f"Waiting for {names} to finish: they do not fit into memory together")
            self._freed.clear()
            self._short = True
            try:
                await self._freed.wait()
            finally:
                self._short = False
        room = free - tenant.facts.weights(plan.precision)
        a_token = tenant.facts.cache(plan.precision, 1) or 1
        most = min(CONTEXT, tenant.facts.window) * ANSWERS
        return max(_fewest(tenant), min(most, int(room * SHARE) // a_token))

    async def _unload(self, tenant: Tenant) -> None:
        tenant.state = "unloaded"
        await self.engine.remove(str(tenant.reference))
        tenant.loaded, tenant.batch, tenant.memory = None, None, 0
        await asyncio.to_thread(_trim)
        self._freed.set()

    def _evictable(self, device: str) -> list[Tenant]:
        pinned = self.shelf.pinned
        loaded = [t for t in self.known.values() if t.state == "ready" and t.plan and t.plan.device == device]
        return [t for t in loaded if str(t.reference) not in pinned]

    def _plans(self, tenant: Tenant) -> list[Plan]:
        """Best first. On a CPU float32 is the quickest; a GPU takes what the makers stored."""
        gpu = [Plan(name, p) for name in self.budgets if name != "cpu" for p in ("bfloat16", "int8")]
        return [*gpu, *(Plan("cpu", precision) for precision in ("float32", "bfloat16", "int8"))]

    def _least(self, tenant: Tenant, plan: Plan) -> int:
        return tenant.facts.weights(plan.precision) + tenant.facts.cache(plan.precision, _fewest(tenant))

    def _most(self, device: str) -> int:
        """What is left when all others that may be unloaded are."""
        staying = self.used(device) - sum(t.memory for t in self._evictable(device))
        return self.budgets[device] - staying

    def _could_fit(self, tenant: Tenant, plan: Plan) -> bool:
        return self._least(tenant, plan) <= self._most(plan.device)

    def _too_large(self, tenant: Tenant, plan: Plan) -> str:
        return (
            f"out of memory: {tenant.reference.name} needs about {_gib(self._least(tenant, plan))} even in "
            f"{plan.precision}, and local models may take {_gib(self._most(plan.device))} here. "
            "Choose a smaller model, unpin another, or raise LOCAL_MEMORY_GIB."
        )

    async def _engine(self) -> None:
        """torch is imported when the first model is loaded."""
        if self.engine is None:
            loop = asyncio.get_running_loop()
            self.engine, gpus = await loop.run_in_executor(self._thread, _start, loop)
            self.budgets = {**gpus, **self.budgets}


def _start(loop: asyncio.AbstractEventLoop) -> tuple[Any, dict[str, int]]:
    with LOADING:  # the embedding model's thread imports the same
        import torch
        from transformers.utils import logging as transformers_logging

        from workspace.hosts.engine import Engine

    transformers_logging.disable_progress_bar()
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = {f"cuda:{n}": int(torch.cuda.mem_get_info(n)[0] * 0.9) for n in range(count)}
    return Engine(loop, _deliver), gpus


def _loaded(tenant: Tenant, plan: Plan) -> Any:
    task = tenant.facts.task
    if task == "chat":
        from workspace.hosts.loading import load

        return load(tenant.folder, device=plan.device, precision=plan.precision, sees=tenant.facts.images)
    from workspace.hosts.encoders import Encoder

    return Encoder(tenant.folder, task=task, device=plan.device, precision=plan.precision)


def _deliver(told: list[Any]) -> None:
    for job, piece in told:
        job.hear(piece)


async def _watch(tenant: Tenant, expected: int) -> None:
    """Progress by the memory that the process has gained."""
    process = psutil.Process()
    before = process.memory_info().rss
    while True:
        await asyncio.sleep(0.2)
        gained = process.memory_info().rss - before
        tenant.progress = max(tenant.progress, min(0.99, gained / max(1, expected)))


def _fewest(tenant: Tenant) -> int:
    return min(tenant.facts.window, 2048)


def _is_memory(error: BaseException) -> bool:
    from workspace.hosts.shortage import is_out_of_memory

    return is_out_of_memory(error)


def _trim() -> None:
    """Give freed memory back to the system."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB // 10 else f"{size / 1024**2:.0f} MiB"


__all__ = ["NoRoom", "NotAModel", "NotHere", "Plan", "Tenant", "Tenants"]
