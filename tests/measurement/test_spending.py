"""What a measurement spends and how often it asks is bounded as it says, calls that count for nothing included."""

from __future__ import annotations

import time
from decimal import Decimal

import pytest
from channels.db import database_sync_to_async

from tests.measurement.test_going_on import COST, ITEMS, Clerk, begun, clerk  # noqa: F401
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.measurement import measuring, progress
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Measurement, Outcome
from workspace.measurement.report import report
from workspace.router.models import Run

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "clerk"),
    pytest.mark.timeout(240),
]


async def test_calls_that_count_for_nothing_are_spent_all_the_same(alice: Person) -> None:
    measurement = await begun(alice, warmups=3, cache="warm")
    await measuring.measure(measurement.pk)
    assert len(Clerk.asked) == 3 + 2 * ITEMS
    told = await database_sync_to_async(report)(await Measurement.objects.aget(pk=measurement.pk))
    assert told.cost == await database_sync_to_async(progress.spent)(measurement) == (3 + 2 * ITEMS) * COST
    billed = sum([run.cost async for run in Run.objects.all()])
    assert billed == told.cost, "as the runs say"


async def test_a_budget_ends_warm_ups_too(alice: Person) -> None:
    measurement = await begun(alice, warmups=20, budget=5 * COST)
    await measuring.measure(measurement.pk)
    assert len(Clerk.asked) == 5 and await Outcome.objects.acount() == 0
    assert (await Measurement.objects.aget(pk=measurement.pk)).state == "paused"


async def test_no_budget_is_promised_over_a_price_that_nobody_knows(alice: Person) -> None:
    await database_sync_to_async(add_model)("priceless")
    for names, options in ((("clerk", "priceless"), {}), (("clerk",), {"judge": "priceless"})):
        with pytest.raises(NotTaken, match="price of “priceless” is not known"):
            await begun(alice, *names, budget=Decimal(1), **options)
    await begun(alice, "clerk", "priceless")


async def test_every_call_waits_for_its_turn(alice: Person) -> None:
    measurement = await begun(alice, warmups=10, cache="warm", per_minute=2_400)
    began = time.monotonic()
    await measuring.measure(measurement.pk)
    calls = 10 + 2 * ITEMS
    assert len(Clerk.asked) == calls and time.monotonic() - began >= (calls - 1) * 0.025
