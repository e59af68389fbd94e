"""Room that somebody asks for: so many answers of such a length, told before a model is loaded and kept to after."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.paper import PaperLoader, paper_model, tenants_of
from workspace.hosts.ladder import Estimate
from workspace.hosts.sizes import Size
from workspace.hosts.tenants import Tenants
from workspace.hosts.weights import facts

GIB = 2**30
LONG = 2**20  # tokens: 64 MiB in float32, of a model on paper


@pytest.fixture
def model(tmp_path: Path) -> str:
    return paper_model(tmp_path, "a", window=LONG)


def need(model: str, size: Size, precision: str = "float32", device: str = "cpu") -> int:
    return facts(Path(model)).needs(precision, size, device)


async def told(tenants: Tenants, model: str, size: Size | None) -> list[Estimate]:
    return tenants.estimates(await tenants.find(model), size)


async def load(tenants: Tenants, model: str) -> list[str]:
    said: list[str] = []
    async with tenants.using(model, said.append):
        pass
    return said


async def test_what_was_asked_for_is_what_room_is_made_for(tmp_path: Path, model: str) -> None:
    loader = PaperLoader()
    tenants = tenants_of(tmp_path, loader, budget=GIB)
    size = Size(LONG, 2)
    [estimate] = await told(tenants, model, size)
    assert (estimate.fits, estimate.turns, estimate.budget) == (True, (), GIB)
    assert estimate.cache == 2 * 64 * 2**20
    assert estimate.weights + estimate.cache + estimate.working == need(model, size)
    tenants.shelf.ask(model, size)
    await load(tenants, model)
    assert loader.batches == [(size, 2)]
    assert tenants.ledger.used("cpu") == need(model, size)
    assert await told(tenants, model, size) == [estimate], "what it holds itself is not in its way"

    again = tenants_of(tmp_path, other := PaperLoader(), budget=GIB)
    await load(again, model)
    assert other.batches == [(size, 2)], "after a start it is known still"
    again.shelf.ask(model, None)
    assert [each.answers for each in await told(again, model, None)] == [1]


async def test_a_load_does_what_was_told_before(tmp_path: Path, model: str) -> None:
    """Whatever the room: the same device, precision and size, and the same models leave for it."""
    beside = paper_model(tmp_path, "beside")
    size = Size(LONG, 4)
    found = set()
    for gpus in ({}, {"cuda:0": 300 * 2**20}):
        for mib in range(60, 1500, 40):
            loader = PaperLoader(gpus=gpus)
            tenants = tenants_of(tmp_path, loader, budget=mib * 2**20)
            await tenants.prepare()
            tenants.shelf.ask(model, size)
            try:
                await load(tenants, beside)
            except MemoryError:
                continue
            before = {held.plain for held in tenants.ledger.held}
            last = (await told(tenants, model, size))[-1]
            if last.fits:
                await load(tenants, model)
                assert loader.loads[-1] == ("a", last.precision, last.device)
                assert loader.batches[-1][0] == Size(last.context, last.answers)
                assert before - {held.plain for held in tenants.ledger.held} == set(last.turns)
            else:
                with pytest.raises(MemoryError):
                    await load(tenants, model)
            found.add((last.device, last.precision, last.answers, last.context, last.turns, last.fits))
    assert {answers for _, _, answers, *_ in found} >= {1, 2, 4}
    assert {context for *_, context, _, _ in found} == {2048, LONG}
    assert {precision for _, precision, *_ in found} == {"float32", "bfloat16", "int8"}
    assert {turns for *_, turns, _ in found} == {(), (beside,)}
    assert {device for device, *_ in found} == {"cpu", "cuda:0"}


async def test_fewer_answers_come_before_a_lower_precision_and_a_shorter_context_last(
    tmp_path: Path, model: str
) -> None:
    for budget, steps in (
        (need(model, Size(LONG, 2)), ["Room is short: it is made for 2 answers of 1048576 tokens instead of 4"]),
        (need(model, Size(LONG, 1), "bfloat16"), ["is loaded in bfloat16", "Room is short: it is made for 1 answer"]),
        (need(model, Size(2048, 1), "int8"), ["bfloat16", "int8", "Room is short: it is made for 1 answer of 2048"]),
    ):
        tenants = tenants_of(tmp_path, PaperLoader(), budget=budget)
        tenants.shelf.ask(model, Size(LONG, 4))
        said = await load(tenants, model)
        assert len(said) == len(steps) + 1, said
        assert all(step in words for step, words in zip(steps, said, strict=False)), said


async def test_pinned_models_give_no_room(tmp_path: Path, model: str) -> None:
    beside = paper_model(tmp_path, "beside")
    tenants = tenants_of(tmp_path, PaperLoader(), budget=need(model, Size(LONG, 1)))
    await load(tenants, beside)
    assert [each.turns for each in await told(tenants, model, Size(LONG, 1))] == [(beside,)]
    tenants.pin(beside, True)
    tries = await told(tenants, model, Size(LONG, 1))
    assert [each.fits for each in tries[:-1]] == [False] * (len(tries) - 1)
    assert tries[0].room < need(model, Size(LONG, 1)) <= tries[0].budget


async def test_a_model_with_states_serves_one_answer_of_its_window_at_the_most(tmp_path: Path) -> None:
    model = paper_model(tmp_path, "states", window=4096, layer_types=["mamba"])
    tenants = tenants_of(tmp_path, PaperLoader(), budget=GIB)
    [estimate] = await told(tenants, model, Size(LONG, 8))
    assert (estimate.context, estimate.answers, estimate.cache) == (4096, 1, 0)
