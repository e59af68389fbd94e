"""The same model with other parameters or another instruction is a lane of its own, as in a comparison."""

from __future__ import annotations

from datetime import timedelta

import pytest
from channels.db import database_sync_to_async
from django.test import Client
from django.utils import timezone

from tests.measurement.test_going_on import ITEMS, Clerk, clerk  # noqa: F401
from tests.measurement.test_judging import lines
from workspace.accounts.models import Person
from workspace.measurement import importing, measuring, starting
from workspace.measurement.models import Measurement, Schedule

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "clerk"),
    pytest.mark.timeout(240),
]

FORM = {
    "model": ["clerk"],
    "model_0": "clerk", "temperature_0": "0.2", "max_tokens_0": "99",
    "model_1": "clerk", "system_1": "Answer in one word.",
    "model_2": "clerk", "system_2": "Answer in one word.",
    "model_3": "clerk",
}  # fmt: skip
LABELS = [
    "clerk", "clerk, max tokens 99, temperature 0.2", "clerk, “Answer in one word.”",
    "clerk, “Answer in one word.” (2)",
]  # fmt: skip


def post(person: Person, **more: str) -> str:
    """What the page says next."""
    suite = importing.add(person, "things.jsonl", lines())
    client = Client()
    client.force_login(person)
    form = {**FORM, "known": str(suite.pk), "grounded": "1", "repeats": "1", **more}
    return client.post("/measure/begin/", form, follow=True).content.decode()


async def test_each_is_asked_as_it_says_and_is_told_apart(alice: Person) -> None:
    await database_sync_to_async(post)(alice, closed_book="1")
    measurement = await Measurement.objects.aget()
    await measuring.measure(measurement.pk)
    measurement = await Measurement.objects.aget()
    assert [lane["label"] for lane in measurement.lanes] == [*LABELS, *(f"{label}, closed book" for label in LABELS)]
    asked = [(call.parameters.get("temperature"), call.parameters.get("max_tokens")) for call in Clerk.asked]
    of_each = 2 * (ITEMS + 3)  # with passages and without, and warm-ups
    assert asked.count((0.2, 99)) == of_each and asked.count((None, None)) == 3 * of_each
    assert sum("Answer in one word." in call.system for call in Clerk.asked) == 2 * of_each
    assert await measurement.outcomes.acount() == 8 * ITEMS


def test_what_is_no_parameter_is_refused_and_says_so(alice: Person) -> None:
    for more, said in (
        ({"temperature_0": "7"}, "“7” is no temperature: it is from 0 to 2."),
        ({"max_tokens_0": "2.5"}, "“2.5” is no max tokens"),
        ({"top_p_1": "much"}, "“much” is no top p"),
        ({"model_1": "nobody"}, "There is no model “nobody”"),
    ):
        assert said in post(alice, **more)
    assert not Measurement.objects.exists()


def test_a_schedule_asks_them_again(alice: Person) -> None:
    assert "clerk otherwise" in post(alice, hours="24")
    Measurement.objects.update(state="done")
    Schedule.objects.update(due=timezone.now() - timedelta(minutes=1))
    assert starting.begin_due() == 1
    assert [[lane["label"] for lane in one.lanes] for one in Measurement.objects.all()] == [LABELS, LABELS]
