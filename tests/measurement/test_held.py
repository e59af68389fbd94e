"""What a report says was held equal was: versions are pinned, and no prompt has been seen before it is measured."""

from __future__ import annotations

from collections import Counter

import pytest
from channels.db import database_sync_to_async

from tests.measurement import test_judging
from tests.measurement.test_going_on import ITEMS, Clerk, asked, begun, clerk  # noqa: F401
from workspace.accounts.models import Person
from workspace.measurement import measuring
from workspace.measurement.models import Measurement, Outcome
from workspace.measurement.report import report
from workspace.router import catalog
from workspace.router.models import PromptTemplate, PromptTemplateVersion
from workspace.types import text_of

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("live", "clerk"),
    pytest.mark.timeout(240),
]


@database_sync_to_async
def renewed(system: str) -> None:
    """The admin saves another version of the model, and another template."""
    test_judging.renewed("clerk")
    template, _ = PromptTemplate.objects.get_or_create(name=catalog.ACTIVE)
    number = template.versions.count() + 1
    template.current = PromptTemplateVersion.objects.create(template=template, number=number, system=system)
    template.save()
    catalog.forget()


@pytest.mark.parametrize("cache", ["template", "cold"])
async def test_a_version_that_comes_later_is_not_what_is_measured(alice: Person, cache: str) -> None:
    measurement = await begun(alice, repeats=2, cache=cache)
    await database_sync_to_async(halt_after)(measurement)
    await measuring.measure(measurement.pk)
    assert 0 < await Outcome.objects.acount() < 2 * ITEMS
    await renewed("Answer in verse.")
    await Measurement.objects.filter(pk=measurement.pk).aupdate(state="queued", budget=None)
    await measuring.measure(measurement.pk)
    assert await Outcome.objects.acount() == 2 * ITEMS
    assert {call.model for call in Clerk.asked} == {"clerk"}
    assert not any("verse" in call.system for call in Clerk.asked)
    versions = {outcome.run.model_version_id async for outcome in Outcome.objects.select_related("run") if outcome.run}
    held = (await Measurement.objects.aget(pk=measurement.pk)).held
    assert versions == set(held["models"].values())


def halt_after(measurement: Measurement) -> None:
    """A budget for a few answers: it pauses between two."""
    Measurement.objects.filter(pk=measurement.pk).update(budget="0.002")


async def test_no_warm_up_sends_what_is_measured_afterwards(alice: Person) -> None:
    measurement = await begun(alice, warmups=3, completions=12)
    await measuring.measure(measurement.pk)
    assert set(asked().values()) == {1}, "every prompt is sent once"
    warm = [call for call in Clerk.asked if "Warm-up" in text_of(call.messages[-1].parts)]
    assert (
        len(warm) == 3 + 3 and len({call.system for call in warm[:3]} - {call.system for call in Clerk.asked[3:]}) == 3
    )
    assert all("<passage" in call.system for call in Clerk.asked[:3]), "the template stands before passages, as it will"


async def test_prompts_that_were_sent_before_give_no_time_to_the_first_token(alice: Person) -> None:
    measurement = await begun(alice, repeats=2)
    await measuring.measure(measurement.pk)
    assert set(Counter(call.system for call in Clerk.asked).values()) == {2}
    row = await Measurement.objects.aget(pk=measurement.pk)
    [lane] = (await database_sync_to_async(report)(row)).lanes
    assert len(lane.times) == ITEMS and lane.answers == 2 * ITEMS
    assert "of the first repeat" in row.held["prefix cache"]
