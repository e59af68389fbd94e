"""Who is in memory: loads that belong to nobody, unloads that lose nothing, and turns when memory is short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hosts.paper import MIB, PaperLoader, needs, paper_model, tenants_of
from workspace.hosts import tenants as owning
from workspace.hosts.ledger import Held, Plan
from workspace.hosts.tenants import NoRoom, Tenants, Unloaded

GIB = 2**30


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    return [paper_model(tmp_path, name) for name in ("a", "b", "c")]


async def use(tenants: Tenants, model: str, said: list[str] | None = None) -> None:
    async with tenants.using(model, (said if said is not None else []).append):
        pass


class Visit:
    """Somebody who uses a model until told to leave."""

    def __init__(self, tenants: Tenants, model: str) -> None:
        self.said: list[str] = []
        self.held: Held | None = None
        self._go = asyncio.Event()
        self.task = asyncio.create_task(self._stay(tenants, model))

    async def _stay(self, tenants: Tenants, model: str) -> None:
        async with tenants.using(model, self.said.append) as held:
            self.held = held
            await self._go.wait()

    async def leave(self) -> None:
        self._go.set()
        await self.task


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  each asks about something else
            await asyncio.sleep(0)


async def test_the_least_recently_used_of_three_goes_first(tmp_path: Path, models: list[str]) -> None:
    a, b, c = models
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=int(needs(a) * 2.1))
    for model in (a, b, a, c):
        await use(tenants, model)
    assert [name for name, _, _ in loader.loads] == ["a", "b", "c"]
    assert {Path(name).name: tenant.state for name, tenant in tenants.known.items()} == {
        "a": "ready", "b": "unloaded", "c": "ready",
    }  # fmt: skip
    tenants.pin(a, True)
    await use(tenants, b)
    assert sorted(Path(held.name).name for held in tenants.ledger.held) == ["a", "b"]  # the pinned one stayed


async def test_whoever_stops_takes_the_load_from_nobody(tmp_path: Path, models: list[str]) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    loader.gate.clear()
    first = Visit(tenants, models[0])
    await loader.begun.wait()
    second = Visit(tenants, models[0])
    await until(lambda: second.said)
    first.task.cancel()
    await asyncio.wait([first.task])
    loader.gate.set()
    await until(lambda: second.held)
    assert len(loader.loads) == 1
    assert second.said == ["Loading " + models[0]]
    await second.leave()

    loader.gate.clear()
    loader.begun.clear()
    alone = Visit(tenants, models[1])
    await loader.begun.wait()
    alone.task.cancel()
    await asyncio.wait([alone.task])
    loader.gate.set()
    await use(tenants, models[1])
    assert len(loader.loads) == 2  # what was loaded for who had left is there, and counted
    assert tenants.ledger.used("cpu") == sum(held.memory for held in tenants.ledger.held) > 0
    assert [held.users for held in tenants.ledger.held] == [0, 0]


async def test_whoever_waits_is_told_at_once_for_what(tmp_path: Path, models: list[str]) -> None:
    a, b, c = models
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    loader.gate.clear()
    visits = [Visit(tenants, a)]
    await loader.begun.wait()
    for model in (a, b, c):  # each stands in line before the next comes
        visits.append(Visit(tenants, model))
        await until(lambda: bool(visits[-1].said))
    loader.gate.set()
    await until(lambda: all(visit.held for visit in visits))
    said = [visit.said for visit in visits]
    assert said[:2] == [[f"Loading {a}"]] * 2
    assert said[2] == [f"Waiting for {a} to be loaded", f"Loading {b}"]
    assert said[3] == [f"Waiting for {a} to be loaded", f"Waiting for {b} to be loaded", f"Loading {c}"]
    for visit in visits:
        await visit.leave()


async def test_who_comes_while_somebody_waits_for_room_waits_behind(tmp_path: Path, models: list[str]) -> None:
    a, b, _ = models
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=int(needs(a) * 1.1))
    first = Visit(tenants, a)
    await until(lambda: first.held)
    waits = Visit(tenants, b)
    await until(lambda: waits.said)
    assert waits.said == [f"Waiting for {a} to finish: they do not fit into memory together"]
    behind = Visit(tenants, a)
    await until(lambda: behind.said)
    assert (behind.held, behind.said) == (None, [f"Waiting for {b} to be loaded"])
    await first.leave()
    await until(lambda: waits.held)
    assert behind.held is None
    await waits.leave()
    await until(lambda: behind.held)
    await behind.leave()
    assert [name for name, _, _ in loader.loads] == ["a", "b", "a"]


async def test_a_model_that_nobody_wants_any_more_holds_nobody_up(tmp_path: Path, models: list[str]) -> None:
    a, b, _ = models
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=int(needs(a) * 1.1))
    first = Visit(tenants, a)
    await until(lambda: first.held)
    waits = Visit(tenants, b)
    await until(lambda: waits.said)
    waits.task.cancel()
    await asyncio.wait([waits.task])
    async with asyncio.timeout(10):
        await use(tenants, a)  # beside the first
    await first.leave()
    assert [name for name, _, _ in loader.loads] == ["a"]


async def test_an_unload_and_a_load_at_the_same_moment_lose_nothing(tmp_path: Path, models: list[str]) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=int(needs(models[0]) * 2.5))
    first = Visit(tenants, models[0])
    await until(lambda: first.held)
    unloading = asyncio.create_task(tenants.unload(models[0]))
    await until(lambda: loader.removed)
    second = Visit(tenants, models[0])
    await until(lambda: second.held)
    assert first.held is not second.held
    assert first.held and first.held.loaded  # who still uses the old one keeps it, and it is counted
    assert len(tenants.ledger.held) == 2
    assert not unloading.done()
    await first.leave()
    assert await unloading
    assert tenants.ledger.held == [second.held]
    assert tenants.known[models[0]].state == "ready"
    await second.leave()
    assert await tenants.unload(models[0])
    assert tenants.ledger.held == []
    assert not await tenants.unload(models[0])


async def test_what_is_unloaded_or_deleted_while_it_loads_is_not_kept(tmp_path: Path, models: list[str]) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    for end in (tenants.unload, tenants.forget):
        loader.gate.clear()
        loader.begun.clear()
        visit = Visit(tenants, models[0])
        await loader.begun.wait()
        ending = asyncio.ensure_future(end(models[0]))  # type: ignore[operator]
        with pytest.raises(Unloaded):
            await visit.task
        assert not ending.done()
        loader.gate.set()
        await ending
        assert tenants.ledger.held == []
    assert tenants.known == {}
    await use(tenants, models[0])  # its files are still here: it is found anew
    assert tenants.known[models[0]].state == "ready"


async def test_pinning_what_is_waited_for_ends_the_waiting(tmp_path: Path, models: list[str]) -> None:
    a = models[0]
    large = paper_model(tmp_path, "large", mib=400)
    tenants = tenants_of(tmp_path, PaperLoader(), budget=int(needs(large) * 1.02))
    first = Visit(tenants, a)
    await until(lambda: first.held)
    waits = Visit(tenants, large)
    await until(lambda: waits.said)
    tenants.pin(a, True)
    await until(lambda: waits.held)
    assert "is loaded in bfloat16" in waits.said[1]
    await waits.leave()

    huge = paper_model(tmp_path, "huge", mib=1500)  # in int8 it fits alone
    waits = Visit(tenants, huge)
    with pytest.raises(NoRoom, match="unpin another"):
        await waits.task
    await first.leave()


async def test_an_allocation_that_fails_while_it_loads_takes_the_next_rung(tmp_path: Path, models: list[str]) -> None:
    def fails(name: str, plan: Plan) -> Exception | None:
        errors: dict[tuple[str, str], Exception] = {
            ("cuda:0", "bfloat16"): RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"),
            ("cuda:0", "int8"): RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
            ("cpu", "float32"): MemoryError(),
        }
        return errors.get((plan.device, plan.precision))

    loader = PaperLoader(gpus={"cuda:0": GIB}, fails=fails)
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    said: list[str] = []
    await use(tenants, models[0], said)
    name = models[0]
    assert [step for step in said if not step.startswith("Loading")] == [
        f"Out of memory: {name} is loaded in int8",
        f"Out of memory: {name} is loaded in float32 on the CPU",
        f"Out of memory: {name} is loaded in bfloat16",
    ]
    [held] = tenants.ledger.held
    assert (held.plan, held.device) == (Plan("cpu", "bfloat16", short=True), "cpu")

    loader.fails = lambda name, plan: MemoryError("nothing left")
    with pytest.raises(MemoryError, match="nothing left"):
        await use(tenants, models[1])
    tenant = tenants.known[models[1]]
    assert (tenant.state, tenant.why) == ("failed", "nothing left")
    loader.fails = lambda name, plan: OSError("half a file")
    with pytest.raises(OSError, match="half a file"):  # which no lower precision mends
        await use(tenants, models[2])
    assert [plan for name, *plan in loader.loads if name == "c"] == [["bfloat16", "cuda:0"]]


async def test_of_two_gpus_the_one_with_room_takes_it_before_anybody_goes(tmp_path: Path, models: list[str]) -> None:
    a, b, c = models
    enough = needs(a, "bfloat16", "cuda")
    loader = PaperLoader(gpus={"cuda:0": enough + 5 * MIB, "cuda:1": enough + MIB})
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    for model in (a, b):
        await use(tenants, model)
    assert loader.loads == [("a", "bfloat16", "cuda:0"), ("b", "bfloat16", "cuda:1")]
    await use(tenants, c)  # in the place of the least recently used, before any precision is given up
    assert loader.loads[2:] == [("c", "bfloat16", "cuda:0")]
    assert sorted(Path(held.name).name for held in tenants.ledger.held) == ["b", "c"]


async def test_what_the_machine_has_left_bounds_the_budget(tmp_path: Path, models: list[str]) -> None:
    tenants = tenants_of(tmp_path, PaperLoader(), budget=100 * GIB, available=int(needs(models[0], "bfloat16") * 1.1))
    said: list[str] = []
    await use(tenants, models[0], said)
    assert "may take 5" in said[0]
    assert "is loaded in bfloat16" in said[0]


async def test_what_short_memory_made_of_a_model_is_counted_and_made_good(
    tmp_path: Path, models: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    visit = Visit(tenants, models[0])
    await until(lambda: visit.held)
    held = visit.held
    assert held
    before = tenants.ledger.used("cpu")
    held.loaded.precision, held.loaded.bytes = "bfloat16", held.loaded.bytes // 2
    assert tenants.ledger.used("cpu") == pytest.approx(before / 2, rel=0.1)
    monkeypatch.setattr(owning, "OVER", 0.0)
    await use(tenants, models[0])  # somebody is being answered: it stays as it is
    await visit.leave()
    monkeypatch.setattr(owning, "OVER", 60.0)
    await use(tenants, models[0])  # the shortage was just now
    assert len(loader.loads) == 1
    monkeypatch.setattr(owning, "OVER", 0.0)
    await use(tenants, models[0])
    assert len(loader.loads) == 2
    assert tenants.ledger.used("cpu") == before


async def test_a_model_left_half_way_is_loaded_again(tmp_path: Path, models: list[str]) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    await use(tenants, models[0])
    tenants.ledger.held[0].loaded.broken = True
    await use(tenants, models[0])
    assert len(loader.loads) == 2
    assert len(tenants.ledger.held) == 1


async def test_what_was_at_work_when_memory_killed_the_host_begins_lower(tmp_path: Path, models: list[str]) -> None:
    a, b, c = models
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    await use(tenants, b)
    visit = Visit(tenants, a)
    await until(lambda: visit.held)
    loader.gate.clear()
    loading = Visit(tenants, c)
    await until(lambda: len(loader.loads) == 3)

    after = PaperLoader()
    others = tenants_of(tmp_path, after, budget=GIB, killed=True)
    said: list[str] = []
    for model in (a, b, c):
        await use(others, model, said)
    assert [precision for _, precision, _ in after.loads] == ["bfloat16", "float32", "bfloat16"]
    assert said[0] == f"The model host was killed for want of memory with {a} in float32: it is loaded in bfloat16"
    unharmed = PaperLoader()
    await use(tenants_of(tmp_path, unharmed, budget=GIB, killed=True), a)  # nothing was at work any more
    assert [precision for _, precision, _ in unharmed.loads] == ["float32"]
    loader.gate.set()
    for one in (visit, loading):
        await one.leave()
