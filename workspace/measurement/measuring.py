"""A measurement on its way: every item to every lane, one answer at a time, in an order that favours nobody.

Items come in an order drawn by the seed; within an item the lanes are drawn too, so what the hour does to a provider it
does to all. Each lane first answers a few questions of no suite, which count for nothing. Timed completions follow in
random blocks, then the judge. What counts is stored in the transaction that settles its run: a killed server goes on
with the next one.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from uuid import UUID
from weakref import WeakValueDictionary

from channels.db import database_sync_to_async
from django.conf import settings

from workspace.measurement import asking, corpus, drift, judging, preferring, progress, taking
from workspace.measurement.asking import Unit
from workspace.measurement.models import Item, Measurement
from workspace.measurement.pace import Pace
from workspace.router import catalog
from workspace.router.states import RunState
from workspace.types import sha256
from workspace.writes import writer

PATIENCE = 900.0  # seconds that a collection may take to be indexed
CACHES = {
    Measurement.Cache.TEMPLATE: "warm for the template, cold for an item's own passages",
    Measurement.Cache.WARM: "warm: every prompt is sent once, for one token, before it is measured",
    Measurement.Cache.COLD: "cold: every prompt begins with a number that no other has",
}
AGAIN = "; times to the first token are of the first repeat, since the others send the same prompts again"

_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


async def measure(measurement_id: UUID) -> None:
    """Go on with a measurement until it is done or paused; nothing when another process has it. Who is told to go on
    while the last answer before a pause is still being written, here or elsewhere, waits for it: else it would be asked
    for twice."""
    turn = _turns.setdefault(measurement_id, asyncio.Lock())
    async with turn:
        measurement = await writer.submit(lambda: _taken(measurement_id))
        if measurement is None:
            return
        beating = asyncio.create_task(taking.keep_beating(measurement_id))
        try:
            await taking.wait(measurement_id)
            await _go_on(measurement)
        finally:
            beating.cancel()


def _taken(id: UUID) -> Measurement | None:
    """In one transaction, which no other process can be in."""
    measurement = taking.take(id)
    if measurement is not None:
        judging.pin(measurement)
    return measurement


async def _go_on(measurement: Measurement) -> None:
    pace = Pace(measurement)
    for part in (_answers, _completions, _verdicts, _preferences):
        if not await part(measurement, pace):
            return
    # Two reports are counted for it: not on the thread that everybody's answers are written by.
    await database_sync_to_async(drift.look, thread_sensitive=False)(measurement)
    await writer.submit(lambda: taking.finish(measurement.pk))


async def _answers(measurement: Measurement, pace: Pace) -> bool:
    """Every answer that is left; False when it can't go on."""
    units = await database_sync_to_async(_left)(measurement)
    if not measurement.held:
        await _hold(measurement)
    if units and settings.LOCAL_MODELS and measurement.grounded:
        await _indexed(measurement)
    for lane in sorted({unit.lane for unit in units}):
        for number in range(measurement.warmups):
            if await asking.warm_up(measurement, lane, number, pace.may_ask) is RunState.INTERRUPTED:
                return False
    for unit in units:
        if not await pace.goes_on(await asking.answer(measurement, unit, pace.may_ask)):
            return False
    return True


async def _completions(measurement: Measurement, pace: Pace) -> bool:
    left = await database_sync_to_async(_completions_left)(measurement)
    for lane in sorted({lane for lane, _ in left}):
        for number in range(measurement.warmups):
            ended = await asking.complete(measurement, lane, number, pace.may_ask, counts=False)
            if ended is RunState.INTERRUPTED:
                return False
    for lane, number in left:
        if not await pace.goes_on(await asking.complete(measurement, lane, number, pace.may_ask)):
            return False
    return True


async def _verdicts(measurement: Measurement, pace: Pace) -> bool:
    left = await database_sync_to_async(judging.left)(measurement)
    if not left:
        return True
    judges = await database_sync_to_async(judging.pinned)(measurement)
    for unit in left:
        if not await pace.goes_on(await judging.judge(measurement, unit, judges[unit.asks], pace.may_ask)):
            return False
    return True


async def _preferences(measurement: Measurement, pace: Pace) -> bool:
    left = await database_sync_to_async(preferring.left)(measurement)
    if not left:
        return True
    judge = (await database_sync_to_async(judging.pinned)(measurement))[judging.BETTER]
    for unit in left:
        if not await pace.goes_on(await preferring.prefer(measurement, unit, judge, pace.may_ask)):
            return False
    return True


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


async def _indexed(measurement: Measurement) -> None:
    """Wait until the suite's texts can be searched by meaning; not for ever, for words alone do too."""
    collection = measurement.suite.collection_id
    ends = asyncio.get_running_loop().time() + PATIENCE
    while collection and not await database_sync_to_async(corpus.is_ready)(collection):
        still = await database_sync_to_async(taking.mine(measurement.pk).exists)()
        if not still or asyncio.get_running_loop().time() > ends:
            return
        await asyncio.sleep(1)


async def _hold(measurement: Measurement) -> None:
    """Write down what is the same for every lane, before the first answer, and pin it: versions that come later are not
    what was measured."""
    known = await catalog.load()
    lanes = [lane for lane in measurement.lanes if lane["model"] in known.candidates]
    for lane in lanes:
        one = known.candidates[lane["model"]]
        lane["version"], lane["provider_version"] = one.version_id, one.provider_version_id
        lane["template"] = known.template.version_id or 0
    held = measurement.held = {
        "template": f"version {known.template.version_id}" if known.template.version_id else "built in",
        "template digest": sha256(known.template.system)[:12],
        "evidence": "gathered once for each item" if measurement.grounded else "none: closed book",
        "seed": f"{measurement.seed}, where a provider takes one",
        "order": f"random blocks of {len(measurement.lanes)}: items and, within each, lanes drawn by the seed",
        "warm-up": f"{measurement.warmups} answers a lane to questions of no suite, thrown away",
        "prefix cache": CACHES[Measurement.Cache(measurement.cache)] + (AGAIN if measurement.repeats > 1 else ""),
        "at once": "one answer",
        **(
            {"rate": f"{measurement.per_minute} answers a minute of one model, at most"}
            if measurement.per_minute
            else {}
        ),
        "models": {lane["label"]: known.candidates[lane["model"]].version_id for lane in lanes},
    }
    if measurement.judge:
        held |= await database_sync_to_async(judging.held)(measurement)
    await writer.submit(lambda: taking.mine(measurement.pk).update(held=held, lanes=measurement.lanes))


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
