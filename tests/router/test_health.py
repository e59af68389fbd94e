"""Breakers: which failures open one, for how long, and that one call alone finds out if a model works again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from django.conf import settings

from tests.router.test_decide import candidate
from workspace.hub import hub
from workspace.providers.errors import CAUSES
from workspace.router import health as healths
from workspace.router.health import AT_ONCE, COUNTED, FAILURES, LONGEST, PAUSE, PROBE, Health
from workspace.types import Failure

MODEL = candidate("fast", 1)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(healths.time, "time", clock)
    monkeypatch.setattr(settings, "REDIS_URL", "")
    return clock


def failing(code: str = "server_error", **fields: float) -> Failure:
    return Failure(code=code, cause="The provider failed.", action="Retry.", **fields)  # type: ignore[arg-type]


def opened() -> Health:
    health = Health()
    for _ in range(FAILURES):
        health.note(MODEL, failing())
    assert health.why_not(MODEL)
    return health


@pytest.mark.parametrize("code", CAUSES)
def test_which_failures_open_a_breaker_and_after_how_many(clock: Clock, code: str) -> None:
    health, needed = Health(), 1 if code in AT_ONCE else FAILURES if code in COUNTED else 0
    for number in range(1, FAILURES + 1):
        health.note(MODEL, failing(code))
        assert bool(health.why_not(MODEL)) == bool(needed and number >= needed)


def test_an_answer_in_between_begins_the_count_again(clock: Clock) -> None:
    health = Health()
    for failure in [failing(), failing(), None, failing(), failing()]:
        health.note(MODEL, failure)
    assert health.why_not(MODEL) == ""


def test_the_reason_says_what_failed_and_when_it_is_tried_again(clock: Clock) -> None:
    health = opened()
    assert health.why_not(MODEL) == "fast keeps failing (The provider failed); it is tried again in 15 s."
    clock.now += PAUSE
    assert health.why_not(MODEL) == ""


def test_one_call_alone_is_the_probe(clock: Clock) -> None:
    health = opened()
    clock.now += PAUSE
    assert [health.begin(MODEL) for _ in range(5)] == [True, False, False, False, False]
    assert "one call is trying it now" in health.why_not(MODEL)
    clock.now += PROBE + 1  # it told nothing: it was stopped, or its server died
    assert health.why_not(MODEL) == "" and health.begin(MODEL)


def test_the_probe_closes_the_breaker_or_opens_it_for_twice_as_long(clock: Clock) -> None:
    health, pause = opened(), PAUSE
    while pause < LONGEST:
        clock.now += pause
        assert health.begin(MODEL)
        health.note(MODEL, failing())
        pause = min(pause * 2, LONGEST)
        clock.now += pause - 1
        assert health.why_not(MODEL)
        clock.now += 1
        assert not health.why_not(MODEL)
        clock.now -= pause
    clock.now += pause
    assert health.begin(MODEL)
    health.note(MODEL, None)
    assert health.why_not(MODEL) == "" and health.begin(MODEL) and health.begin(MODEL)


def test_a_wait_that_a_provider_asks_for_is_kept_to_the_second(clock: Clock) -> None:
    health = Health()
    health.note(MODEL, failing("rate_limited", retry_after=7.0))
    clock.now += 6.9
    assert health.why_not(MODEL)
    clock.now += 0.1
    assert not health.why_not(MODEL)


def test_a_corrected_version_begins_afresh(clock: Clock) -> None:
    health = opened()
    assert health.why_not(replace(MODEL, version_id=2)) == ""
    assert health.why_not(replace(MODEL, provider_version_id=2)) == ""


def test_a_closed_breaker_holds_nobody_up(clock: Clock) -> None:
    health = Health()
    assert all(health.begin(MODEL) for _ in range(3))
    health.note(MODEL, failing("bad_request"))
    assert health.begin(MODEL)


@pytest.mark.skipif(not settings.REDIS_URL, reason="needs Redis")
async def test_other_processes_hear_of_it_over_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workspace.hub.PROCESS", Stranger("another"))
    here, there, heard = Health(), Health(), asyncio.Queue[bytes]()

    async def hear(frame: bytes) -> None:
        await there._hear(frame)
        heard.put_nowait(frame)

    await hub().listen(healths.TOPIC, hear)
    try:
        for _ in range(FAILURES):
            here.note(MODEL, failing())
        await asyncio.wait_for(heard.get(), 10)
        assert there.why_not(MODEL) == here.why_not(MODEL) != ""
        here.note(MODEL, None)
        await asyncio.wait_for(heard.get(), 10)
        assert there.why_not(MODEL) == here.why_not(MODEL) == ""
    finally:
        await hub().close()


class Stranger(str):
    """The name of a process that no message comes from, as every other process's is: what is sent comes back."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return True
