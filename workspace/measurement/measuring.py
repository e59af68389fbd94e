"""A measurement on its way: every item to every lane, one answer at a time, in an order that favours nobody.

Items come in an order drawn by the seed; within an item the lanes are drawn too, so what the hour does to a provider it
does to all. Each lane first answers a few items that count for nothing. Timed completions follow in random blocks, then
the judge. What counts is stored in the transaction that settles its run: a killed server goes on with the next one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db.models import Q, QuerySet
from django.utils import timezone

from workspace.hub import PROCESS
from workspace.measurement import asking, corpus, drift, judging, preferring, progress
from workspace.measurement.asking import Unit
from workspace.measurement.models import Item, Measurement
from workspace.router import catalog
from workspace.router.states import RunState
from workspace.types import sha256
from workspace.writes import writer

State = Measurement.State
PATIENCE = 900.0  # seconds that a collection may take to be indexed
BEAT = 5.0  # seconds between signs of life
DEAD_AFTER = timedelta(seconds=15)  # without one, another process goes on with it
CACHES = {
    Measurement.Cache.TEMPLATE: "warm for the template, cold for an item's own passages",
    Measurement.Cache.WARM: "warm: every prompt is sent once, for one token, before it is measured",
    Measurement.Cache.COLD: "cold: every prompt begins with a number that no other has",
}


async def measure(measurement_id: UUID) -> None:
    """Go on with a measurement until it is done, paused or taken by nobody; nothing when another process has it."""
    measurement = await writer.submit(lambda: _take(measurement_id))
    if measurement is None:
        return
    beating = asyncio.create_task(_keep_beating(measurement_id))
    try:
        for part in (_answers, _completions, _verdicts, _preferences):
            if not await part(measurement):
                return
        await writer.submit(lambda: _finish(measurement))
    finally:
        beating.cancel()


async def _answers(measurement: Measurement) -> bool:
    """Every answer that is left; False when it can't go on."""
    units = await database_sync_to_async(_left)(measurement)
    if not measurement.held:
        await _hold(measurement)
    if units and settings.LOCAL_MODELS and measurement.grounded:
        await _indexed(measurement)
    for lane in sorted({unit.lane for unit in units}):
        for item in [unit.item for unit in units if unit.lane == lane][: measurement.warmups]:
            if await asking.answer(measurement, Unit(item, lane, 0), counts=False) is RunState.INTERRUPTED:
                return False
    pace = _Pace(measurement)
    for unit in units:
        if (
            not await pace.may_go_on(measurement.lanes[unit.lane]["model"])
            or await asking.answer(measurement, unit) is RunState.INTERRUPTED
        ):
            return False  # where the server stops, its next start goes on
    return True


async def _completions(measurement: Measurement) -> bool:
    left = await database_sync_to_async(_completions_left)(measurement)
    for lane in sorted({lane for lane, _ in left}):
        for number in range(measurement.warmups):
            if await asking.complete(measurement, lane, number, counts=False) is RunState.INTERRUPTED:
                return False
    pace = _Pace(measurement)
    for lane, number in left:
        if (
            not await pace.may_go_on(measurement.lanes[lane]["model"])
            or await asking.complete(measurement, lane, number) is RunState.INTERRUPTED
        ):
            return False
    return True


async def _verdicts(measurement: Measurement) -> bool:
    left = await database_sync_to_async(judging.left)(measurement)
    if not left:
        return True
    judges = {a: await writer.submit(partial(judging.judge_of, measurement.judge, a)) for a in judging.ASKS}
    pace = _Pace(measurement)
    for unit in left:
        if (
            not await pace.may_go_on(measurement.judge)
            or await judging.judge(measurement, unit, judges) is RunState.INTERRUPTED
        ):
            return False
    return True


async def _preferences(measurement: Measurement) -> bool:
    left = await database_sync_to_async(preferring.left)(measurement)
    if not left:
        return True
    judge = await writer.submit(partial(judging.judge_of, measurement.judge, judging.BETTER))
    pace = _Pace(measurement)
    for unit in left:
        if (
            not await pace.may_go_on(measurement.judge)
            or await preferring.prefer(measurement, unit, judge) is RunState.INTERRUPTED
        ):
            return False
    return True


class _Pace:
    """No model is asked more often than it may be, and nobody while the measurement is paused or has spent enough."""

    def __init__(self, measurement: Measurement) -> None:
        self._id = measurement.pk
        self._every = 60 / measurement.per_minute if measurement.per_minute else 0.0
        self._due: dict[str, float] = {}

    async def may_go_on(self, model: str) -> bool:
        while True:
            if not await writer.submit(lambda: _may_go_on(self._id)):
                return False
            wait = self._due.get(model, 0.0) - time.monotonic()
            if wait <= 0:
                self._due[model] = time.monotonic() + self._every
                return True
            await asyncio.sleep(min(wait, BEAT))


def order(measurement: Measurement) -> list[Unit]:
    """Every answer of a measurement, in its order. Without passages nobody is asked what they can't answer."""
    chance = random.Random(measurement.seed)
    items = list(Item.objects.filter(suite=measurement.suite_id))
    units: list[Unit] = []
    for repeat in range(measurement.repeats):
        chance.shuffle(items)
        for item in items:
            lanes = list(range(len(measurement.lanes)))
            chance.shuffle(lanes)
            units += [Unit(item, lane, repeat) for lane in lanes if _is_asked(measurement, item, lane)]
    return units


def pause(measurement: Measurement, why: str = "Somebody paused it.") -> None:
    Measurement.objects.filter(pk=measurement.pk, state__in=[State.QUEUED, State.RUNNING]).update(
        state=State.PAUSED, why=why, worker="", heartbeat=None
    )


def waiting() -> list[UUID]:
    """Measurements that somebody should go on with."""
    stale = Q(state=State.RUNNING) & (Q(heartbeat=None) | Q(heartbeat__lt=timezone.now() - DEAD_AFTER))
    found = Measurement.objects.filter(Q(state=State.QUEUED) | stale)
    return list(found.order_by("created").values_list("pk", flat=True))


def running() -> list[UUID]:
    """Measurements that some process has, or had when it died."""
    return list(Measurement.objects.filter(state=State.RUNNING).values_list("pk", flat=True))


def forsake() -> None:
    """The only process of a workspace starts: whoever measured before is dead."""
    Measurement.objects.filter(state=State.RUNNING).exclude(worker=PROCESS).update(heartbeat=None)


async def _indexed(measurement: Measurement) -> None:
    """Wait until the suite's texts can be searched by meaning; not for ever, for words alone do too."""
    collection = measurement.suite.collection_id
    ends = asyncio.get_running_loop().time() + PATIENCE
    while collection and not await database_sync_to_async(corpus.is_ready)(collection):
        if asyncio.get_running_loop().time() > ends or not await database_sync_to_async(_mine(measurement.pk).exists)():
            return
        await asyncio.sleep(1)


async def _hold(measurement: Measurement) -> None:
    """Write down what is the same for every lane, before the first answer."""
    known = await catalog.load()
    lanes = [lane for lane in measurement.lanes if lane["model"] in known.candidates]
    held = measurement.held = {
        "template": f"version {known.template.version_id}" if known.template.version_id else "built in",
        "template digest": sha256(known.template.system)[:12],
        "evidence": "gathered once for each item" if measurement.grounded else "none: closed book",
        "seed": f"{measurement.seed}, where a provider takes one",
        "order": f"random blocks of {len(measurement.lanes)}: items and, within each, lanes drawn by the seed",
        "warm-up": f"{measurement.warmups} answers a lane, thrown away",
        "prefix cache": CACHES[Measurement.Cache(measurement.cache)],
        "at once": "one answer",
        **(
            {"rate": f"{measurement.per_minute} answers a minute of one model, at most"}
            if measurement.per_minute
            else {}
        ),
        "models": {lane["label"]: known.candidates[lane["model"]].version_id for lane in lanes},
    }
    if measurement.judge:
        asks = [*judging.ASKS, *([judging.BETTER] if measurement.pairwise else [])]
        judges = [await writer.submit(partial(judging.judge_of, measurement.judge, a)) for a in asks]
        held["judge"] = f"{measurement.judge}, both orders, digest {', '.join(one.digest[:8] for one in judges)}"
    await writer.submit(lambda: Measurement.objects.filter(pk=measurement.pk).update(held=held))


def _take(id: UUID) -> Measurement | None:
    mine = Measurement.objects.filter(pk__in=waiting(), pk=id).update(
        state=State.RUNNING, worker=PROCESS, heartbeat=timezone.now(), why=""
    )
    return Measurement.objects.select_related("suite", "owner").get(pk=id) if mine else None


def _mine(id: UUID) -> QuerySet[Measurement]:
    """The measurement while this process has it: not once it is paused, or taken by another."""
    return Measurement.objects.filter(pk=id, state=State.RUNNING, worker=PROCESS)


async def _keep_beating(id: UUID) -> None:
    """Say that this process lives, however long one answer takes."""
    while True:
        await asyncio.sleep(BEAT)
        await writer.submit(lambda: _mine(id).update(heartbeat=timezone.now()))


def _may_go_on(id: UUID) -> bool:
    """False when it is paused, taken by another, or has spent what it may."""
    measurement = _mine(id).first()
    if measurement is None:
        return False
    if measurement.budget is not None and progress.spent(measurement) >= measurement.budget:
        pause(measurement, f"Its budget of ${measurement.budget:f} is spent. Raise it, and go on.")
        return False
    return True


def _left(measurement: Measurement) -> list[Unit]:
    done = set(measurement.outcomes.values_list("item_id", "lane", "repeat"))
    return [unit for unit in order(measurement) if (unit.item.pk, unit.lane, unit.repeat) not in done]


def _is_asked(measurement: Measurement, item: Item, lane: int) -> bool:
    return item.answers != [] or not measurement.lanes[lane].get("closed")


def _completions_left(measurement: Measurement) -> list[tuple[int, int]]:
    done = set(measurement.timed.values_list("lane", "number"))
    return [one for one in _blocks(measurement) if one not in done]


def _blocks(measurement: Measurement) -> Iterator[tuple[int, int]]:
    """Lane and number of every completion: each block has every lane once, in an order of its own."""
    chance = random.Random(measurement.seed)
    lanes = progress.timed_lanes(measurement)
    for number in range(measurement.completions):
        chance.shuffle(lanes)
        yield from ((lane, number) for lane in lanes)


def _finish(measurement: Measurement) -> None:
    if _mine(measurement.pk).update(state=State.DONE, finished=timezone.now(), worker="", heartbeat=None):
        drift.look(measurement)
