"""A measurement from file to report: known error rates are found, nothing is lost or counted twice, bad files say
why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.test import override_settings

from retrieval import access, tasks
from retrieval.models import Collection
from tests.measurement.test_judging import thing
from tests.scripted import Scripted, add_model
from workspace.accounts.models import Person
from workspace.measurement import corpus, importing, measuring, starting, taking
from workspace.measurement import tasks as measurement_tasks
from workspace.measurement.importing import NotTaken
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Gathered, Item, Measurement, Outcome
from workspace.measurement.plots import against, first_tokens
from workspace.measurement.report import report
from workspace.providers.base import Call, Ended, ProviderError, Said, Sent
from workspace.router.models import Run
from workspace.types import Delta, Failure, Usage, text_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "scripted"),
    pytest.mark.timeout(240),
]

ITEMS = 90  # every third has no answer
WRONG = {"careful": 0.05, "hasty": 0.40, "broken": 0.0}  # of answerable ones
INVENTS = {"careful": 0.10, "hasty": 0.70, "broken": 0.0}  # of the others


def lines() -> bytes:
    rows = [
        {
            "id": f"q{n}",
            "question": f"What is the number of thing {n}?",
            "answers": [] if n % 3 == 0 else [f"number {n}"],
            "cluster": f"part {n // 10}",
            "evidence": [{"title": "Things", "text": f"The number of thing {n} is number {n}."}],
        }
        for n in range(ITEMS)
    ]
    return "\n".join(json.dumps(row) for row in rows).encode()


class Knowing(Scripted):
    """Answers as its model's error rates say: the same item always the same way."""

    asked: ClassVar[list[tuple[str, int]]] = []
    gate: ClassVar[asyncio.Event | None] = None
    held: ClassVar[asyncio.Event] = asyncio.Event()

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        n = thing(text_of(call.messages[-1].parts))
        self.asked.append((call.model, n))
        if self.gate and len(self.asked) > 40:
            self.held.set()
            await self.gate.wait()
        if call.model == "broken":
            raise ProviderError(Failure(code="refused", cause="Out of order.", action="Mend it.", permanent=True))
        yield Sent(parameters={})
        answerable = n % 3 != 0
        turn = (n * 7919) % 97 / 97  # spreads evenly over the items
        rate = (WRONG if answerable else INVENTS)[call.model]
        if turn < rate:
            yield Delta(f"It is number {n + 1000} [1].")
        else:
            yield Delta(f"It is number {n} [1]." if answerable else "The passages hold no answer.")
        yield Usage(input=50, output=10)
        yield Ended(finish_reason="stop", model=call.model)


@pytest.fixture(autouse=True)
def knowing(monkeypatch: pytest.MonkeyPatch, transactional_db: Any) -> None:
    Knowing.asked.clear()
    Knowing.gate = None
    monkeypatch.setattr(Scripted, "stream", Knowing.stream)
    monkeypatch.setattr(Scripted, "asked", Knowing.asked, raising=False)
    monkeypatch.setattr(Scripted, "gate", None, raising=False)
    monkeypatch.setattr(Scripted, "held", Knowing.held, raising=False)
    monkeypatch.setattr(measurement_tasks.go_on, "delay", lambda *_: None)
    monkeypatch.setattr(tasks.ingest_collection, "delay", lambda *_: None)
    for name in WRONG:
        add_model(name, price="100")


@database_sync_to_async
def begun(person: Person, *models: str, **options: Any) -> Measurement:
    """``warmups`` may be fewer than a person may ask for: a scripted model has nothing to warm."""
    suite = importing.add(person, "things.jsonl", lines())
    warmups = options.pop("warmups", starting.LEAST_WARMUPS)
    measurement = starting.begin(person, suite, models, **options)
    Measurement.objects.filter(pk=measurement.pk).update(warmups=warmups)
    return measurement


async def test_known_error_rates_are_found_within_their_intervals_and_ranked(alice: Person) -> None:
    measurement = await begun(alice, "careful", "hasty", "broken", warmups=1)
    await measuring.measure(measurement.pk)
    found = await database_sync_to_async(report)(await Measurement.objects.aget(pk=measurement.pk))
    careful, hasty, broken = found.lanes
    for lane in (careful, hasty):
        right = sum((n * 7919) % 97 / 97 >= WRONG[lane.label] for n in range(ITEMS) if n % 3)
        assert lane.cells[Cell.CORRECT] == right and lane.correct
        assert lane.correct.low <= 1 - WRONG[lane.label] <= lane.correct.high
        invented = lane.cells[Cell.INVENTED] / (ITEMS / 3)
        assert invented == pytest.approx(INVENTS[lane.label], abs=0.08)
    assert careful.hallucinated and hasty.hallucinated
    assert careful.hallucinated.high < hasty.hallucinated.low
    assert broken.unscored == ITEMS and broken.right is None and broken.per_thousand is None
    assert found.headline == "careful is right more often than every other. hasty hallucinates more than the other."
    [pair] = found.pairs
    assert pair.told and pair.p == 2 / 2**9, "nine articles that all say the same can say no more"
    assert hasty.misread > 0 and hasty.not_found == 0, "the passages held every answer"
    assert careful.per_thousand == Decimal("6.0")
    assert (found.differ and {a["cell"] for a in found.differing[0].answers} >= {"correct"}) or found.differing
    assert [(part.done, part.of) for part in found.progress] == [(3 * ITEMS, 3 * ITEMS)]
    assert found.failures == [("broken", "Out of order.", ITEMS)]
    assert json.dumps(found.as_dict())
    assert first_tokens(found.lanes) and against(found.lanes, "cost")
    measurement = await Measurement.objects.aget(pk=measurement.pk)
    assert measurement.state == "done" and "template digest" in measurement.held


async def test_every_lane_reads_the_same_and_order_favours_nobody(alice: Person) -> None:
    measurement = await begun(alice, "careful", "hasty", warmups=0)
    await measuring.measure(measurement.pk)
    assert await Gathered.objects.acount() == ITEMS
    by_item: dict[int, set[str]] = {}
    async for outcome in Outcome.objects.select_related("run"):
        assert outcome.run and outcome.run.manifest
        by_item.setdefault(outcome.item_id, set()).add(json.dumps(outcome.run.manifest["evidence"]))
    assert all(len(read) == 1 for read in by_item.values())
    first = [model for at, (model, _) in enumerate(Knowing.asked) if at % 2 == 0]
    assert 0.3 < first.count("careful") / len(first) < 0.7


async def test_a_measurement_that_is_paused_goes_on_without_losing_or_repeating(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    measurement = await begun(alice, "careful", "hasty", warmups=0)
    gate, held = asyncio.Event(), asyncio.Event()
    monkeypatch.setattr(Scripted, "gate", gate)
    monkeypatch.setattr(Scripted, "held", held)
    first = asyncio.create_task(measuring.measure(measurement.pk))
    await held.wait()
    await database_sync_to_async(taking.pause)(measurement)
    gate.set()
    await first
    assert await Outcome.objects.acount() == len(Knowing.asked) < 2 * ITEMS
    await Measurement.objects.filter(pk=measurement.pk).aupdate(state="queued")
    await measuring.measure(measurement.pk)
    assert await Outcome.objects.acount() == 2 * ITEMS == len(Knowing.asked)
    await measuring.measure(measurement.pk)
    assert len(Knowing.asked) == 2 * ITEMS, "what is done is not done again"


async def test_a_budget_pauses_and_a_pause_is_kept(alice: Person) -> None:
    measurement = await begun(alice, "careful", warmups=0, budget=Decimal("0.05"))
    await measuring.measure(measurement.pk)
    paused = await Measurement.objects.aget(pk=measurement.pk)
    assert paused.state == "paused" and "budget of $0.05" in paused.why
    assert 0 < await Outcome.objects.acount() < ITEMS
    await measuring.measure(measurement.pk)
    assert (await Measurement.objects.aget(pk=measurement.pk)).state == "paused"


async def test_repeats_are_asked_with_seeds_of_their_own_and_agreement_is_told(alice: Person) -> None:
    measurement = await begun(alice, "careful", warmups=0, repeats=3)
    await measuring.measure(measurement.pk)
    assert await Outcome.objects.acount() == 3 * ITEMS
    [lane] = (await database_sync_to_async(report)(await Measurement.objects.aget(pk=measurement.pk))).lanes
    assert lane.steadiness.verdict and lane.steadiness.verdict.value == 1.0
    seeds = {run.manifest["seed"] async for run in Run.objects.exclude(manifest=None)}
    assert seeds == {0, 1, 2}


def test_a_corpus_is_searched_for_its_suite_alone(alice: Person) -> None:
    texts = [{"id": "t1", "title": "Tea", "text": "Green tea wants eighty degrees."}]
    collection = corpus.add(alice, "tea", json.dumps(texts[0]).encode())
    assert corpus.add(alice, "tea", json.dumps(texts[0]).encode()) == collection
    assert access.collections_of(alice) == [] and access.shelves_of(alice) == []
    assert Collection.objects.get().documents.count() == 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no question"),
        (b"{", "Line 1 is no JSON"),
        (b"[]", "Line 1 is no JSON object"),
        (b'{"answers": []}', "has no “question”"),
        (b'{"question": "Q", "answers": 7}', "no list of texts"),
        (b'{"question": "Q", "evidence": [7]}', "no list of passages"),
        (b'{"question": "Q", "evidence": 7}', "no list of passages"),
        (b'{"question": "Q", "id": 1}\n{"question": "R", "id": 1}', "stands twice"),
        (b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_file_that_is_no_suite_says_where_it_breaks(alice: Person, data: bytes, said: str) -> None:
    with pytest.raises(NotTaken, match=said):
        importing.add(alice, "file.jsonl", data)
    assert not Item.objects.exists()


def test_a_table_is_a_suite_too_and_the_same_file_is_the_same_suite(alice: Person) -> None:
    data = b"id,question,answers,title\na,Who?,Ann|Anne,People\nb,Why?,,People\n"
    suite = importing.add(alice, "people.csv", data)
    assert importing.add(alice, "people.csv", data) == suite
    assert list(suite.items.values_list("key", "answers", "cluster")) == [
        ("a", ["Ann", "Anne"], "People"), ("b", [], "People"),
    ]  # fmt: skip
    with pytest.raises(NotTaken, match="no column “question”"):
        importing.add(alice, "people.csv", b"a,b\n1,2\n")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("tea.csv", b"question,answers,evidence\nHow hot?,80,Green tea wants 80 degrees.\n"),
        ("tea.jsonl", b'{"question": "How hot?", "answers": "80", "evidence": "Green tea wants 80 degrees."}'),
        (
            "tea.jsonl",
            b'{"question": "How hot?", "answers": ["80"], "evidence": {"text": "Green tea wants 80 degrees."}}',
        ),
    ],
)
def test_evidence_that_is_one_text_is_one_passage(alice: Person, name: str, data: bytes) -> None:
    [item] = importing.add(alice, name, data).items.all()
    assert item.evidence == [{"title": "", "text": "Green tea wants 80 degrees."}] and item.answers == ["80"]


def test_a_line_of_a_table_can_leave_its_question_open(alice: Person) -> None:
    table = (
        b"id,question,answers,reference,rubric,open\n0,A?,,,,\n1,B?,,,,yes\n2,C?,,It is known.,,\n3,D?,,,Be kind.,no\n"
    )
    items = importing.add(alice, "open.csv", table).items.all()
    assert [(item.key, item.answers) for item in items] == [("0", []), ("1", None), ("2", None), ("3", [])]


@override_settings(LOCAL_MODELS=False)
def test_who_may_not_use_a_model_can_not_measure_it(alice: Person) -> None:
    add_model("secret", groups=["bridge"])
    with pytest.raises(NotTaken, match="There is no model “secret”. There are: broken, careful, hasty"):
        async_to_sync(begun)(alice, "secret")
    for options, said in (({"repeats": 0}, "1 to 20 times"),):
        with pytest.raises(NotTaken, match=said):
            async_to_sync(begun)(alice, "careful", **options)
