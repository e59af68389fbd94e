"""What a measurement can be told besides its models: closed book, timed completions, caches, rates, warm-ups."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from channels.db import database_sync_to_async
from django.test import Client

from tests.measurement.test_judging import lines
from tests.scripted import Scripted, add_model, broken
from workspace.accounts.models import Person
from workspace.measurement import asking, importing, measuring, starting
from workspace.measurement import tasks as measurement_tasks
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Completion, Measurement, Outcome
from workspace.measurement.report import report
from workspace.providers.base import Call, Ended, Said, Sent
from workspace.types import Delta, Reasoning, Usage, text_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "reader"),
    pytest.mark.timeout(240),
]

ITEMS = 24


class Reader(Scripted):
    """Right with passages, wrong without. Writes 256 tokens when it is let, but for every fourth completion."""

    asked: ClassVar[list[Call]] = []
    limits: ClassVar[int] = 0  # calls that are still refused for their rate

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        self.asked.append(call)
        if Reader.limits:
            Reader.limits -= 1
            raise broken("rate_limited", "Too many requests.", retry_after=0.0)
        yield Sent(parameters=dict(call.parameters))
        said = text_of(call.messages[-1].parts)
        count = 12
        if "thing " in said:
            n = int(said.split("thing ")[1].split("?")[0])
            yield Reasoning("Let me look.")
            yield Delta(f"It is number {n if call.evidence else n + 700}")
            yield Delta(" [1].")
        else:
            count = min(call.parameters["max_tokens"], 100 if "bridges" in said else 256)
            yield Delta("Once ")
            yield Delta("upon a time.")
        yield Usage(input=40, output=count, cached=10)
        yield Ended(finish_reason="stop" if count < 256 else "length", model=call.model)


@pytest.fixture
def reader(scripted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Reader.asked.clear()
    Reader.limits = 0
    monkeypatch.setattr(Scripted, "stream", Reader.stream)
    monkeypatch.setattr(Scripted, "asked", Reader.asked, raising=False)
    monkeypatch.setattr(measurement_tasks.go_on, "delay", lambda *_: None)
    add_model("reader", price="10")


@database_sync_to_async
def begun(person: Person, **options: Any) -> Measurement:
    return starting.begin(person, importing.add(person, "things.jsonl", lines()), ["reader"], **options)


@database_sync_to_async
def told(measurement: Measurement) -> Any:
    return report(Measurement.objects.get(pk=measurement.pk))


async def test_closed_book_accuracy_stands_beside_the_grounded_one(alice: Person) -> None:
    measurement = await begun(alice, closed_book=True)
    await measuring.measure(measurement.pk)
    [lane] = (await told(measurement)).lanes
    assert lane.label == "reader" and lane.correct.value == 1.0 and lane.closed_book.value == 0.0
    assert await Outcome.objects.acount() == 2 * ITEMS
    assert lane.speed.first_token and lane.speed.first_answer.value >= lane.speed.first_token.value
    assert lane.speed.cached == 0.25 and lane.speed.estimated == 0


async def test_completions_are_timed_and_short_ones_are_counted_apart(alice: Person) -> None:
    measurement = await begun(alice, completions=24)
    await measuring.measure(measurement.pk)
    [lane] = (await told(measurement)).lanes
    assert (lane.completed.full, lane.completed.short, lane.completed.shortest) == (21, 3, 100)
    assert lane.completed.whole and lane.completed.whole_p95 is None, "a median from 20, a tail from 100"
    timed = [call for call in Reader.asked if "essay" in text_of(call.messages[-1].parts)]
    assert len(timed) == 3 + 24 and all(
        c.parameters["max_tokens"] == 256 and c.parameters["temperature"] == 0 for c in timed
    )
    assert await Completion.objects.acount() == 24
    await measuring.measure(measurement.pk)
    assert len(Reader.asked) == 3 + ITEMS + 3 + 24, "what is done is not done again"


async def test_caches_are_warm_or_cold_as_was_asked(alice: Person) -> None:
    warm = await begun(alice, cache="warm")
    await measuring.measure(warm.pk)
    assert sum(call.parameters.get("max_tokens") == 1 for call in Reader.asked) == ITEMS
    Reader.asked.clear()
    cold = await begun(alice, cache="cold")
    await measuring.measure(cold.pk)
    assert len({call.system.split("\n")[0] for call in Reader.asked}) == len(Reader.asked) == ITEMS + 3
    assert "cold" in (await Measurement.objects.aget(pk=cold.pk)).held["prefix cache"]


async def test_who_limits_the_rate_is_waited_for_and_asked_again(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "PAUSES", (0.0, 0.0))
    measurement = await begun(alice)
    Reader.limits = 3
    await measuring.measure(measurement.pk)
    [lane] = (await told(measurement)).lanes
    assert lane.unscored == 0 and lane.answers == ITEMS


async def test_no_model_is_asked_more_often_than_it_may(alice: Person) -> None:
    measurement = await begun(alice, per_minute=6_000)
    began = time.monotonic()
    await measuring.measure(measurement.pk)
    assert time.monotonic() - began >= (ITEMS - 1) * 0.01
    assert "6000 answers a minute" in (await Measurement.objects.aget(pk=measurement.pk)).held["rate"]


def test_what_makes_no_measurement_is_said(alice: Person) -> None:
    suite = importing.add(alice, "things.jsonl", lines())
    for options, said in (
        ({"warmups": 2}, "Warm-ups are 3 to 100"),
        ({"completions": 501}, "0 to 500"),
        ({"cache": "tepid"}, "template, warm, cold"),
        ({"judge": "nobody"}, "no model “nobody”"),
        ({"per_minute": 10_001}, "1 to 10000 times a minute"),
    ):
        with pytest.raises(NotTaken, match=said):
            starting.begin(alice, suite, ["reader"], **options)
    with pytest.raises(NotTaken, match="every 1 to 2,160 hours"):
        starting.repeat(alice, suite, ["reader"], hours=0)
    assert not Measurement.objects.exists()


async def test_a_report_leads_down_to_the_run_and_is_taken_away(alice: Person) -> None:
    measurement = await begun(alice, closed_book=True, repeats=2, completions=20, budget=Decimal(5))
    await measuring.measure(measurement.pk)
    await database_sync_to_async(read)(alice, measurement)


def read(alice: Person, measurement: Measurement) -> None:
    client = Client()
    client.force_login(alice)
    address = f"/measure/{measurement.pk}/"
    page = client.get(address).content.decode()
    for words in ("Closed book", "256-token completions", "From repeat to repeat", "How it is counted", "Length alone"):
        assert words in page
    assert "(tn − t1) / (n − 1) of each answer" in page, "formulas are printed"
    every = client.get(f"{address}items/").content.decode()
    assert every.count("What is the number of thing") == ITEMS
    assert "No item is of this kind" in client.get(f"{address}items/?show=differ").content.decode()
    one = client.get(f"{address}items/3/").content.decode()
    assert "The number of thing 2 is number 2" in one and one.count("end to end") == 4
    outcome = measurement.outcomes.first()
    assert outcome
    manifest = client.get(f"{address}answers/{outcome.pk}/manifest.json").json()
    assert manifest["attempts"][0]["last_token"] >= manifest["attempts"][0]["first_token"]
    whole = client.get(f"{address}html/")
    assert "<style>" in (text := whole.content.decode()) and "Held equal" in text and "href=" not in text
    assert whole["Content-Disposition"].startswith("attachment")
    table = client.get(f"{address}csv/").content.decode().splitlines()
    assert len(table) == 1 + 4 * ITEMS and table[0].startswith("item,question,gold,model")
    told = client.get(f"{address}json/").json()
    assert "sets, digest" in told["held"]["passages"] and measurement.suite.digest[:12] in told["held"]["suite"]
    figures = list(csv.DictReader(io.StringIO(client.get(f"{address}figures/").content.decode())))
    stood = {(row["part"], row["of"], row["figure"]): row for row in figures}
    for name, value in leaves(told["lanes"][0]):
        row = stood["lanes", "reader", name]
        assert (row["value"], row["low"], row["high"]) == value, "a table holds what the report holds"
    assert stood["held", "", "passages"]["value"] == told["held"]["passages"]
    assert not [row for row in figures if row["of"] == "" and row["part"] in ("lanes", "judges", "progress")]
    assert client.get(f"{address}xlsx/").status_code == 404


def leaves(told: dict[str, Any], *above: str) -> Iterator[tuple[str, tuple[str, str, str]]]:
    """Every figure of one lane but the single times, which stand with the answers."""
    for name, value in told.items():
        if isinstance(value, dict) and set(value) == {"value", "low", "high"}:
            yield " ".join((*above, name)), (str(value["value"]), str(value["low"]), str(value["high"]))
        elif isinstance(value, dict):
            yield from leaves(value, *above, name)
        elif value is not None and name != "times":
            yield " ".join((*above, name)), (str(value), "", "")
