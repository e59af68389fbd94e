"""Racing a slow model: who speaks first answers, the other is ended at once, and both are recorded."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any

import pytest

from tests.router.test_decide import candidate
from tests.scripted import Scripted, broken, say
from workspace.providers.base import Address, Call, ProviderError
from workspace.router.attempt import Calling
from workspace.router.prompts import Prompt
from workspace.router.race import Allowance, race
from workspace.types import Delta, Failure

pytestmark = pytest.mark.usefixtures("scripted")

NEVER = 100.0


def calling(name: str) -> Calling:
    now = time.monotonic()
    call = Call(address=Address(), model=name, messages=())
    return Calling(candidate(name, 1, kind="scripted"), call, Prompt("", ()), began=now)


class Race:
    """One race of ``first`` against ``second``, and what came of it."""

    def __init__(self, *, after: float = 0, second: bool = True) -> None:
        self.lost: list[tuple[str, str]] = []
        self.asked = asyncio.Event()
        self._second = second
        self._race = race(calling("first"), self._other, after=after, lost=self._lose)

    async def _other(self) -> Calling | None:
        self.asked.set()
        return calling("second") if self._second else None

    def _lose(self, calling: Calling, failure: Failure) -> None:
        self.lost.append((calling.candidate.name, failure.code))

    async def run(self) -> tuple[str, str]:
        """Who spoke, and what."""
        speakers, text = set(), ""
        async with aclosing(self._race) as said:
            async for caller, piece in said:
                assert isinstance(piece, Delta)
                speakers.add(caller.candidate.name)
                text += piece.text
        return " ".join(speakers), text


async def test_a_model_that_speaks_in_time_is_not_raced() -> None:
    say("In ", "time.")
    one = Race(after=NEVER)
    assert await one.run() == ("first", "In time.")
    assert (one.asked.is_set(), one.lost, len(Scripted.calls)) == (False, [], 1)


async def test_the_first_to_speak_answers_and_the_other_is_ended() -> None:
    ended = Ended()
    say(ended, "Late.")
    say("Quick ", "answer.")
    one = Race()
    assert await one.run() == ("second", "Quick answer.")
    assert one.lost == [("first", "outrun")] and ended.cancelled


async def test_the_slow_one_wins_when_it_speaks_after_all() -> None:
    gate, ended = asyncio.Event(), Ended()
    say(gate, "After ", "all.")
    say(Opening(gate), ended)
    one = Race()
    assert await one.run() == ("first", "After all.")
    assert one.lost == [("second", "outrun")] and ended.cancelled


@pytest.mark.parametrize("failing", ["first", "second"])
async def test_when_one_fails_the_other_answers(failing: str) -> None:
    gate = asyncio.Event()
    waits = [gate, "Here."]
    one = Race()
    fails = [one.asked, Opening(gate), broken("overloaded")]
    say(*(fails if failing == "first" else waits))
    say(*(waits if failing == "first" else fails))
    speaker, text = await one.run()
    assert text == "Here." and speaker != failing
    assert one.lost == [(failing, "overloaded")]


async def test_when_both_fail_the_last_failure_is_told() -> None:
    gate = asyncio.Event()
    say(gate, broken("timeout"))
    say(Opening(gate), broken("overloaded"))
    one = Race()
    with pytest.raises(ProviderError):
        await one.run()
    assert len(one.lost) == 1


async def test_a_failure_before_the_race_is_told_at_once() -> None:
    say(broken("auth"))
    one = Race(after=NEVER)
    with pytest.raises(ProviderError, match="The provider failed"):
        await one.run()
    assert (one.asked.is_set(), one.lost) == (False, [])


async def test_nobody_to_race_with_leaves_the_slow_one_its_time() -> None:
    gate = asyncio.Event()
    say(gate, "At last.")
    one = Race(second=False)
    running = asyncio.create_task(one.run())
    await one.asked.wait()
    gate.set()
    assert await running == ("first", "At last.")


async def test_a_mistake_of_ours_ends_the_race_instead_of_hanging_it() -> None:
    say(RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match="a bug"):
        await Race(after=NEVER).run()


async def test_a_race_that_is_stopped_ends_both_calls() -> None:
    first, second = Ended(), Ended()
    say(first)
    say(second)
    running = asyncio.create_task(Race().run())
    await first.reached.wait()
    await second.reached.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert first.cancelled and second.cancelled


def test_at_most_so_many_of_a_hundred_calls_are_doubled() -> None:
    allowance, doubled = Allowance(), 0
    for _ in range(1_000):
        allowance.called()
        doubled += allowance.take(5)
    assert doubled == 50


class Ended(asyncio.Event):
    """Waits for ever, and remembers how that ended."""

    cancelled = False

    def __init__(self) -> None:
        super().__init__()
        self.reached = asyncio.Event()

    async def wait(self) -> Any:
        self.reached.set()
        try:
            return await super().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise


class Opening(asyncio.Event):
    """Opens another when its turn comes, and holds nobody up."""

    def __init__(self, gate: asyncio.Event) -> None:
        super().__init__()
        self._gate = gate

    async def wait(self) -> Any:
        self._gate.set()
        return True
