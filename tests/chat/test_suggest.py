"""Autocomplete: a draft goes in, words that may follow come out, and a newer draft silences the older one."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group

from chat.frames import Suggest
from chat.suggesting import Suggesting
from tests.scripted import Scripted, add_model, broken, say
from workspace.accounts.models import Person
from workspace.providers.models import LanguageModel
from workspace.router import catalog, history
from workspace.router.configuration import save_version
from workspace.router.health import health
from workspace.router.models import Budget, DailyUsage, Run
from workspace.router.suggest import suggest
from workspace.types import Request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

ON = '{"routes": [{"condition": "default", "model": "fast"}], "autocomplete": "fast"}'
OFF = '{"routes": [{"condition": "default", "model": "fast"}]}'


@pytest.fixture
def person(alice: Person) -> Person:
    add_model("fast")
    history.forget()
    health.forget()
    configure(ON)
    return alice


def configure(source: str) -> None:
    save_version("default", source)
    catalog.forget()


async def all_of(draft: str, person: Person, *, groups: tuple[str, ...] = ()) -> list[str]:
    asker = Request(messages=(), person_id=str(person.pk), user=person.username, groups=groups)
    return [text async for text in suggest(draft, asker)]


async def test_the_words_that_may_follow_come_as_they_are_written(person: Person) -> None:
    say(" the bridge", " at night", "\nAnd more that nobody asked for.")
    said = await all_of("Describe how they cross", person)
    assert list(dict.fromkeys(said)) == [" the bridge", " the bridge at night"]
    call = Scripted.calls[-1]
    assert call.parameters["max_tokens"] <= 32 and "Describe how they cross" in call.messages[0].parts[0].text
    usage = await DailyUsage.objects.aget(route="autocomplete")
    assert (usage.model, usage.runs, usage.tokens_output > 0) == ("fast", 1, True)
    assert not await Run.objects.aexists()


async def test_what_the_model_repeats_of_the_draft_is_not_shown_twice(person: Person) -> None:
    say("Describe how they cross", " the bridge")
    assert (await all_of("Describe how they cross", person))[-1] == " the bridge"


@pytest.mark.parametrize("draft", ["", "   ", "Short"])
async def test_a_draft_of_a_few_letters_asks_nobody(person: Person, draft: str) -> None:
    assert await all_of(draft, person) == [] and Scripted.calls == []


async def test_a_file_without_the_key_turns_it_off(person: Person) -> None:
    await sync_to_async(configure)(OFF)
    assert await all_of("Describe how they cross", person) == [] and Scripted.calls == []


async def test_a_model_of_another_group_and_one_over_budget_say_nothing(person: Person) -> None:
    model = await LanguageModel.objects.aget(name="fast")
    group = await Group.objects.acreate(name="fast ones")
    model.for_all = False
    await model.asave()
    await model.groups.aadd(group)
    catalog.forget()
    assert await all_of("Describe how they cross", person) == []
    say(" the bridge")
    assert await all_of("Describe how they cross", person, groups=("fast ones",)) == [" the bridge"]
    await Budget.objects.acreate(usd=Decimal("0.01"))
    catalog.forget()
    assert await all_of("Describe how they cross", person, groups=("fast ones",)) == []  # its price is not known


async def test_a_model_that_fails_is_silent(person: Person) -> None:
    say(broken("server_error"))
    assert await all_of("Describe how they cross", person) == []


async def test_a_newer_draft_ends_the_older_ones_call(person: Person) -> None:
    told: list[bytes] = []
    newest = asyncio.Event()

    async def send(frame: bytes) -> None:
        told.append(frame)
        newest.set()

    never = asyncio.Event()
    say(never, " too late")
    say(" in time")
    suggesting = Suggesting(send)
    asker = Request(messages=(), person_id=str(person.pk), user=person.username)
    suggesting.begin(asker, Suggest(id=1, text="Describe how they cr"))
    while not Scripted.calls:  # noqa: ASYNC110  the provider tells nobody that it was called
        await asyncio.sleep(0)
    suggesting.begin(asker, Suggest(id=2, text="Describe how they cross"))
    await newest.wait()
    never.set()
    suggesting.end()
    assert len(told) == 1 and b'"id":2' in told[0] and b"in time" in told[0]
