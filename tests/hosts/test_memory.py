"""Short memory: models take turns, steps of the ladder are told, and a killed host is waited for.

Memory is made short for real: by a budget, and by the kernel's limit on the host's address space.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from django.conf import LazySettings

from tests.hosts.small import small_models
from tests.hosts.test_model_host import answer, call_of
from workspace.hosts import link, machine, supervisor
from workspace.hosts.sizes import Size
from workspace.hosts.supervisor import Supervisor
from workspace.hosts.weights import facts
from workspace.providers import http
from workspace.providers.base import ProviderError
from workspace.providers.local import Local
from workspace.types import Delta

pytestmark = pytest.mark.timeout(180)
# What is freed goes back at once, and threads have no memory of their own.
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1"}


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    large = small_models("llama", "halved", size="30m")
    wide = small_models("llama", size="wide")["llama"]
    return {**small_models("llama", "gpt2"), "large": large["llama"], "halved": large["halved"], "wide": wide}


class Host:
    """A supervised model host, made when the test has set its budget."""

    def __init__(self, own: LazySettings) -> None:
        self._settings = own
        self._kept: Supervisor | None = None

    async def start(self, *, budget: float | None = None) -> int:
        """Its process id."""
        if budget is not None:
            self._settings.LOCAL_MEMORY_GIB = budget / 2**30
        self._kept = Supervisor((link.MODEL_HOST,))
        await self._kept.start()
        await self._kept.serving()
        return self.pid

    @property
    def pid(self) -> int:
        assert self._kept is not None
        return int(self._kept.status()[link.MODEL_HOST]["pid"])

    async def stop(self) -> None:
        if self._kept:
            await self._kept.stop()


@pytest_asyncio.fixture
async def host(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Host]:
    monkeypatch.setattr(supervisor, "PATIENCE", (0.0,))
    made = Host(settings)
    yield made
    await http.close()
    await made.stop()


def test_what_a_model_needs_is_read_from_its_files(models: dict[str, str]) -> None:
    about = facts(Path(models["large"]))
    assert about.parameters == 31_400_448  # what torch counts
    assert about.weights("float32") == pytest.approx(4 * about.parameters, rel=0.1)
    assert about.weights("bfloat16") * 2 == pytest.approx(about.weights("float32"), rel=0.01)
    assert about.shape.kept == 2 * 8 * 4 * 64  # keys and values, layers, heads, size
    assert about.cache("bfloat16", Size(1000, 2)) == 2 * 2000 * about.shape.kept
    assert about.cache("float32", Size(1000, 2)) == 4 * 2000 * about.shape.kept


async def test_models_that_do_not_fit_together_take_turns(host: Host, models: dict[str, str]) -> None:
    one, other = models["llama"], models["gpt2"]
    needs = [facts(Path(model)) for model in (one, other)]
    sizes = [about.needs("float32", Size(min(about.window, 2048), 1), "cpu") for about in needs]
    await host.start(budget=max(sizes) * 1.05)
    long = asyncio.create_task(answer(call_of(one, "Count.", max_tokens=400, temperature=0)))
    async with asyncio.timeout(30):
        while not any(row["state"] == "ready" for row in (await link.models())["models"]):
            pass
    waited = await answer(call_of(other, "Hello", max_tokens=8, temperature=0))
    assert waited.steps == [
        f"Waiting for {one} to finish: they do not fit into memory together",
        f"Loading {other}",
    ]
    assert long.done()
    assert (await long).ended in ("length", "stop")
    rows = {row["model"]: row["state"] for row in (await link.models())["models"]}
    assert rows == {one: "unloaded", other: "ready"}

    await link.ask("pin", other)
    with pytest.raises(ProviderError) as caught:
        await answer(call_of(models["large"], "Hello"))
    assert caught.value.failure.code == "out_of_memory"
    assert "LOCAL_MEMORY_GIB" in caught.value.failure.cause
    squeezed = await answer(call_of(one, "Hello", max_tokens=4, temperature=0))
    assert "is loaded in bfloat16" in squeezed.steps[0]  # beside the pinned one, which stays
    rows = {row["model"]: row["state"] for row in (await link.models())["models"]}
    assert rows == {one: "ready", other: "ready", models["large"]: "failed"}


async def test_a_budget_too_small_for_one_precision_takes_the_next_and_says_so(
    host: Host, models: dict[str, str]
) -> None:
    about = facts(Path(models["large"]))
    budget = about.needs("bfloat16", Size(2048, 1), "cpu") * 1.1
    await host.start(budget=budget)
    assert await link.free_memory() == int(budget)
    found = await answer(call_of(models["large"], "Hello", max_tokens=4, temperature=0))
    assert len(found.steps) == 2
    assert "is loaded in bfloat16" in found.steps[0]
    later = await answer(call_of(models["large"], "Hello", max_tokens=4, temperature=0))
    lower = {"precision": "bfloat16", "device": "cpu", "context": None, "short": True}
    assert (later.steps, found.ran, later.ran) == ([], [lower], [lower])  # who comes later hears of it as well
    told = await link.models()
    [row] = told["models"]
    assert (row["state"], row["precision"]) == ("ready", "bfloat16")
    assert await link.free_memory() == int(budget) - row["memory"]
    assert told["devices"] == [{"device": "cpu", "budget": int(budget), "free": int(budget) - row["memory"]}]


async def test_room_is_asked_for_before_a_model_is_loaded(host: Host, models: dict[str, str]) -> None:
    model = models["llama"]
    about = facts(Path(model))
    await host.start(budget=about.needs("float32", Size(1024, 4), "cpu") * 1.02)
    first = await link.ask("estimate", model, context=1024, answers=4)
    assert {name: first[name] for name in ("context", "answers", "window", "alone", "kept")} == {
        "context": 1024, "answers": 4, "window": 2048, "alone": False, "kept": False,
    }  # fmt: skip
    [fits] = first["tries"]
    assert (fits["fits"], fits["precision"], fits["cache"]) == (True, "float32", about.cache("float32", Size(1024, 4)))
    tries = (await link.ask("estimate", model, context=2048, answers=4))["tries"]
    assert [(each["fits"], each["context"], each["answers"]) for each in tries] == [(False, 2048, 4), (True, 2048, 1)]

    await link.ask("size", model, context=1024, answers=4)
    crowd = [call_of(model, f"{n}?", max_tokens=24, temperature=0) for n in range(6)]
    assert {each.ended for each in await asyncio.gather(*(answer(call) for call in crowd))} <= {"length", "stop"}
    [row] = (await link.models())["models"]
    assert row["memory"] == pytest.approx(sum(fits[name] for name in ("weights", "cache", "working")), rel=0.1)
    assert (row["estimate"]["context"], row["estimate"]["answers"]) == (1024, 4)
    assert (await link.ask("estimate", model))["kept"]

    for wrong, why in (
        ({"context": 4096, "answers": 1}, "takes 1 to 2048 tokens, not 4096"),
        ({"context": 1024, "answers": 0}, "1 to 128 answers"),
        ({"context": 1024, "answers": 129}, "1 to 128 answers"),
    ):
        with pytest.raises(link.Refused, match=why):
            await link.ask("size", model, **wrong)
    await link.ask("size", model)
    assert not (await link.ask("estimate", model))["kept"]


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the kernel of Linux does this")
async def test_an_allocation_that_fails_while_a_model_loads_takes_the_next_precision(
    host: Host, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for its file and for half of what it takes in float32."""
    for name, value in ALLOCATOR.items():
        monkeypatch.setenv(name, value)
    pid = await host.start()
    small, halved = models["llama"], models["halved"]
    await asyncio.gather(*(answer(call_of(small, f"{n}", max_tokens=4)) for n in range(8)))  # threads are there
    now = psutil.Process(pid).memory_info().vms
    resource.prlimit(pid, resource.RLIMIT_AS, (now + 166 * 2**20, resource.RLIM_INFINITY))
    found = await answer(call_of(halved, "Hello", max_tokens=4, temperature=0))
    lower = [step.rpartition(" ")[2] for step in found.steps if step.startswith("Out of memory: ")]
    assert lower in (["bfloat16"], ["bfloat16", "int8"]), "what threads take besides may leave no room for half of it"
    again = [[f"Out of memory: {halved} is loaded in {each}", f"Loading {halved}"] for each in lower]
    assert found.steps == [f"Loading {halved}", *chain.from_iterable(again)]
    assert found.ended in ("length", "stop")
    rows = {row["model"]: (row["state"], row["precision"]) for row in (await link.models())["models"]}
    assert rows == {small: ("ready", "float32"), halved: ("ready", lower[-1])}
    assert host.pid == pid


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the kernel of Linux does this")
async def test_an_allocation_that_fails_takes_a_rung_and_the_answer_goes_on(
    host: Host, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three long answers on a model whose cache for all of them the kernel refuses."""
    for name, value in ALLOCATOR.items():
        monkeypatch.setenv(name, value)
    pid = await host.start()
    wide = models["wide"]
    words = "What grows in an orchard? " * 40
    await asyncio.gather(*(answer(call_of(wide, f"{n}", max_tokens=4)) for n in range(8)))  # threads are there
    now = psutil.Process(pid).memory_info().vms
    resource.prlimit(pid, resource.RLIMIT_AS, (now + 80 * 2**20, resource.RLIM_INFINITY))
    asked = [call_of(wide, f"{n} {words}", max_tokens=40, temperature=0) for n in range(3)]
    calls = [replace(call, first_token_deadline=150.0) for call in asked]  # a busy machine takes its time
    crowd = await asyncio.gather(*(answer(call) for call in calls))
    steps = {step for each in crowd for step in each.steps}
    assert any(step.startswith("Out of memory: ") for step in steps), steps
    assert host.pid == pid  # the host itself lived
    assert all(each.ended in ("length", "stop") for each in crowd)


async def test_a_killed_host_breaks_its_answers_off_and_the_next_call_waits_for_the_new_one(
    host: Host, models: dict[str, str]
) -> None:
    pid = await host.start()
    stream = Local().stream(call_of(models["llama"], "Go on.", max_tokens=1900, temperature=0))
    async for said in stream:
        if isinstance(said, Delta):
            os.kill(pid, 9)
            break
    with pytest.raises(ProviderError) as caught:
        [said async for said in stream]
    assert caught.value.failure.code == "cut_off"
    found = await answer(call_of(models["llama"], "Go on.", max_tokens=8, temperature=0))
    assert found.steps[0] in (
        "The model host is starting",
        "The model host is starting again",
        f"Loading {models['llama']}",
    )
    assert found.ended in ("length", "stop")
    assert host.pid != pid


async def test_a_host_killed_for_memory_begins_lower_what_it_was_killed_with(
    host: Host, models: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel says that it killed one; the kill itself is ours."""
    kills = iter(range(1000))
    monkeypatch.setattr(machine, "killed_for_memory", lambda: next(kills))
    pid = await host.start()
    model = models["llama"]
    stream = Local().stream(call_of(model, "Go on.", max_tokens=1900, temperature=0))
    async for said in stream:
        if isinstance(said, Delta):
            os.kill(pid, 9)
            break
    with pytest.raises(ProviderError):
        [said async for said in stream]
    found = await answer(call_of(model, "Go on.", max_tokens=8, temperature=0))
    assert f"The model host was killed for want of memory with {model} in float32: it is loaded in bfloat16" in (
        found.steps
    )
    told = await link.models()
    [row] = told["models"]
    assert (row["state"], row["precision"]) == ("ready", "bfloat16")
    assert (told["host"]["restarts"], told["host"]["ended"]) == (1, "killed for want of memory")


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="the kernel of Linux has it")
async def test_the_kernel_takes_the_model_host_first(host: Host) -> None:
    pid = await host.start()
    score = await asyncio.to_thread(Path(f"/proc/{pid}/oom_score_adj").read_text)
    assert int(score) == supervisor.FIRST_TO_GO


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel of Linux keeps a process from growing")
@pytest.mark.parametrize(
    ("precision", "megabytes", "said"),
    [("float32", 0, "the model goes on in bfloat16"), ("int8", 0, "the last 958 tokens of the conversation are read")],
)
def test_a_lone_answer_takes_the_lower_rungs(models: dict[str, str], precision: str, megabytes: int, said: str) -> None:
    """The kernel gives its process nothing more; what it gives up lets the answer be written."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.ladder", models["large"], precision, str(megabytes)]
    done = subprocess.run(
        [*command, "1900"],
        env={**os.environ, **ALLOCATOR},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert any(said in step for step in found["steps"]), found
    assert found["ended"] == "length", found
    cut = found["read"] if "are read" in said else None
    assert found["ran"] == [{"precision": found["precision"], "device": "cpu", "context": cut, "short": True}]
