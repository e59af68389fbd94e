"""A measurement again and again: begun when it is due, held against the one before, and told of when it got worse."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import pytest
from channels.db import database_sync_to_async
from django.test import Client
from django.utils import timezone

from tests.measurement.test_judging import lines, renewed, thing
from tests.scripted import Scripted, add_model
from workspace.accounts.models import Person, Role
from workspace.measurement import drift, importing, measuring, starting
from workspace.measurement import tasks as measurement_tasks
from workspace.measurement.models import Measurement, Schedule
from workspace.providers.base import Call, Ended, Said, Sent
from workspace.types import Delta, Usage, text_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "fickle"),
    pytest.mark.timeout(240),
]


class Fickle(Scripted):
    """Knows every answer; those below ``forgets`` no more."""

    forgets: ClassVar[int] = 0

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        yield Sent(parameters={})
        n = thing(text_of(call.messages[-1].parts))
        yield Delta(f"It is number {n if n >= Fickle.forgets else n + 500} [1].")
        yield Usage(input=20, output=5)
        yield Ended(finish_reason="stop", model=call.model)


@pytest.fixture
def fickle(scripted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    Fickle.forgets = 0
    monkeypatch.setattr(Scripted, "stream", Fickle.stream)
    monkeypatch.setattr(measurement_tasks.go_on, "delay", lambda *_: None)
    add_model("elephant", price="1")


@database_sync_to_async
def scheduled(person: Person, **options: Any) -> Schedule:
    return starting.repeat(person, importing.add(person, "things.jsonl", lines()), ["elephant"], hours=24, **options)


@database_sync_to_async
def due(schedule: Schedule) -> Measurement:
    Schedule.objects.filter(pk=schedule.pk).update(due=timezone.now() - timedelta(minutes=1))
    assert starting.begin_due() == 1 and starting.begin_due() == 0, "once, whoever looks"
    return schedule.measurements.order_by("-created")[0]


async def test_what_gets_worse_is_told_until_somebody_notes_it(alice: Person) -> None:
    schedule = await scheduled(alice)
    await measuring.measure((await schedule.measurements.aget()).pk)
    same = await due(schedule)
    await measuring.measure(same.pk)
    await same.arefresh_from_db()
    assert same.drift and same.drift["found"] == [] and same.drift["noted"]
    Fickle.forgets = 12
    worse = await due(schedule)
    await measuring.measure(worse.pk)
    await worse.arefresh_from_db()
    assert worse.drift and worse.drift["against"] == str(same.pk)
    assert worse.drift["found"][0].startswith(
        "elephant is right less often: 50 points, p < 0.001 (12 items lost, 0 won)"
    )
    await database_sync_to_async(noted)(alice, worse)


def noted(alice: Person, worse: Measurement) -> None:
    client = Client()
    client.force_login(alice)
    assert "1 drifted" in client.get("/measure/").content.decode()
    page = client.get(f"/measure/{worse.pk}/").content.decode()
    assert "Drifted." in page and "12 items lost" in page
    beside = client.get(f"/measure/{worse.pk}/?beside={worse.drift['against']}").content.decode()  # type: ignore[index]
    assert "now less then" in beside and "All that is held equal" in beside
    taken_away(client, worse)
    client.post(f"/measure/{worse.pk}/change/", {"to": "note"})
    assert drift.alerts(alice) == 0 and "1 drifted" not in client.get("/measure/").content.decode()


def taken_away(client: Client, worse: Measurement) -> None:
    """What the page says of two reports, every export of figures says."""
    assert worse.drift
    query = f"?beside={worse.drift['against']}"
    page = client.get(f"/measure/{worse.pk}/{query}").content.decode()
    for form in ("html", "json", "figures"):
        assert f"/measure/{worse.pk}/{form}/{query}" in page, "it is the two that are taken away"
    whole = client.get(f"/measure/{worse.pk}/html/{query}").content.decode()
    assert "now less then" in whole and "12 items lost" in whole
    assert "now less then" not in client.get(f"/measure/{worse.pk}/html/").content.decode()
    told = client.get(f"/measure/{worse.pk}/json/{query}").json()
    [moved] = told["beside"]["moved"]
    assert moved["correct"]["now"]["value"] == 0.5 and moved["correct"]["then"]["value"] == 1.0
    assert told["drift"]["found"] == worse.drift["found"] and told["beside"]["unlike"] == {}
    assert client.get(f"/measure/{worse.pk}/json/").json()["beside"] is None
    table = list(csv.DictReader(io.StringIO(client.get(f"/measure/{worse.pk}/figures/{query}").content.decode())))
    values = {(row["part"], row["of"], row["figure"]): row["value"] for row in table}
    assert values["beside", "elephant", "moved correct now"] == "0.5"
    assert values["beside", "elephant", "moved pair only_second"] == "12"
    assert worse.drift["found"][0] in values.values()


async def test_a_drift_says_what_was_not_held_equal(alice: Person) -> None:
    schedule = await scheduled(alice, judge="elephant")
    await measuring.measure((await schedule.measurements.aget()).pk)
    await database_sync_to_async(renewed)("elephant")
    Fickle.forgets = 12
    worse = await due(schedule)
    await measuring.measure(worse.pk)
    await worse.arefresh_from_db()
    assert worse.drift and worse.drift["found"][-1] == "Not held equal between the two: models, judge."


async def test_none_is_begun_beside_one_that_is_going_or_by_who_may_no_more(alice: Person, bob: Person) -> None:
    schedule = await scheduled(bob)
    later = timezone.now() - timedelta(minutes=1)
    await Schedule.objects.aupdate(due=later)
    assert await database_sync_to_async(starting.begin_due)() == 0
    await schedule.arefresh_from_db()
    assert "not done" in schedule.why and schedule.due > timezone.now()
    await measuring.measure((await schedule.measurements.aget()).pk)
    await Person.objects.filter(pk=bob.pk).aupdate(role=Role.VIEWER)
    await Schedule.objects.aupdate(due=later)
    assert await database_sync_to_async(starting.begin_due)() == 0
    await schedule.arefresh_from_db()
    assert schedule.why == "bob may no longer measure."
