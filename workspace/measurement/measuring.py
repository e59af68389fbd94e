"""A measurement on its way: every item to every lane, one answer at a time, in an order that favours nobody.

Items come in an order drawn by the seed; within an item the lanes are drawn too, so what the hour does to a provider it
does to all. Each lane first answers a few items that count for nothing. An answer is stored in the transaction that
settles its run: a killed server goes on with the next one.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from workspace.hub import PROCESS
from workspace.ids import new_id
from workspace.measurement import corpus, metrics
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Gathered, Item, Measurement, Outcome
from workspace.router import catalog, run_rows
from workspace.router.execute import look_up
from workspace.router.run_rows import Outcome as Settled
from workspace.router.runs import Numbered, registry
from workspace.router.states import RunState
from workspace.types import Evidence, Grounding, PromptMessage, Request, canonical, plain, sha256, text_part
from workspace.writes import writer

State = Measurement.State
PATIENCE = 900.0  # seconds that a collection may take to be indexed
BEAT = 5.0  # seconds between signs of life
DEAD_AFTER = timedelta(seconds=15)  # without one, another process goes on with it


@dataclass(frozen=True, slots=True)
class Unit:
    """One answer that is still to be had."""

    item: Item
    lane: int
    repeat: int


async def measure(measurement_id: UUID) -> None:
    """Go on with a measurement until it is done, paused or taken by nobody; nothing when another process has it."""
    measurement = await writer.submit(lambda: _take(measurement_id))
    if measurement is None:
        return
    beating = asyncio.create_task(_keep_beating(measurement_id))
    try:
        await _go_on(measurement)
    finally:
        beating.cancel()


async def _go_on(measurement: Measurement) -> None:
    units = await database_sync_to_async(_left)(measurement)
    if units and not measurement.held:
        await _hold(measurement)
    if units and settings.LOCAL_MODELS and measurement.grounded:
        await _indexed(measurement)
    for lane in range(len(measurement.lanes) if units else 0):
        for item in [unit.item for unit in units[: measurement.warmups]]:
            if await _answer(measurement, Unit(item, lane, 0), counts=False) is RunState.INTERRUPTED:
                return
    for unit in units:
        if not await writer.submit(lambda: _may_go_on(measurement.pk)):
            return
        if await _answer(measurement, unit) is RunState.INTERRUPTED:
            return  # the server stops: its next start goes on
    await writer.submit(lambda: _finish(measurement.pk))


def order(measurement: Measurement) -> list[Unit]:
    """Every answer of a measurement, in its order."""
    chance = random.Random(measurement.seed)
    items = list(Item.objects.filter(suite=measurement.suite_id))
    units: list[Unit] = []
    for repeat in range(measurement.repeats):
        chance.shuffle(items)
        for item in items:
            lanes = list(range(len(measurement.lanes)))
            chance.shuffle(lanes)
            units += [Unit(item, lane, repeat) for lane in lanes]
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


class _Observer:
    """Of one run: its outcome is kept with it. What does not count is not kept."""

    hands_over = False

    def __init__(self, measurement: Measurement, unit: Unit, evidence: tuple[Evidence, ...], *, counts: bool) -> None:
        self._measurement, self._unit, self._evidence, self._counts = measurement, unit, evidence, counts
        self.state = RunState.INTERRUPTED

    def settle(self, outcome: Settled) -> None:
        if self._counts and outcome.state in (RunState.DONE, RunState.FAILED):
            fields = judged(self._unit.item, outcome, self._evidence)
            Outcome.objects.get_or_create(
                measurement=self._measurement,
                item=self._unit.item,
                lane=self._unit.lane,
                repeat=self._unit.repeat,
                defaults={"run_id": outcome.run_id, **fields},
            )

    async def handed_over(self) -> None: ...

    async def heard(self, numbered: Numbered) -> None: ...

    async def settled(self, outcome: Settled) -> None:
        self.state = outcome.state

    async def committed(self, seq: int) -> None: ...


def judged(item: Item, outcome: Settled, evidence: tuple[Evidence, ...]) -> dict[str, Any]:
    """What an answer is worth, as its row keeps it. A run that failed is unscored, and said to be so."""
    manifest, text = outcome.manifest, outcome.text
    failed = outcome.failure is not None
    usage, timings = manifest.usage, manifest.timings
    return {
        "text": text,
        "cell": Cell.UNSCORED if failed else metrics.cell(text, item.answers),
        "exact": not failed and metrics.exact(text, item.answers),
        "f1": 0.0 if failed else metrics.f1(text, item.answers),
        "found": metrics.contains("\n".join(e.text for e in evidence), item.answers),
        "first_token_s": timings.first_token,
        "first_answer_s": timings.first_answer_token,
        "total_s": timings.total,
        "tokens_input": usage.input if usage else None,
        "tokens_output": usage.output if usage else None,
        "estimated": bool(usage and usage.estimated),
        "cost": manifest.cost,
        "support": dict(manifest.support) if manifest.support else None,
        "failure": plain(outcome.failure) if outcome.failure else None,
    }


async def _answer(measurement: Measurement, unit: Unit, *, counts: bool = True) -> RunState:
    evidence = await _gather(measurement, unit.item) if measurement.grounded else ()
    lane = measurement.lanes[unit.lane]
    request = Request(
        messages=(PromptMessage(role="person", parts=(text_part(unit.item.question),)),),
        person_id=str(measurement.owner_id),
        user=measurement.owner.username,
        groups=await database_sync_to_async(_groups)(measurement),
        model=lane["model"],
        parameters=lane.get("parameters") or {},
        system=lane.get("system") or None,
        seed=measurement.seed + unit.repeat,
        evidence=evidence if measurement.grounded else None,
        quoted=True,
        alone=True,
    )
    run_id = new_id()
    await writer.submit(lambda: run_rows.open_row(pk=run_id, person_id=measurement.owner_id))
    observer = _Observer(measurement, unit, evidence, counts=counts)
    run = await registry().start(run_id, request, observer)
    await asyncio.shield(run.task)
    return observer.state


async def _gather(measurement: Measurement, item: Item) -> tuple[Evidence, ...]:
    """The item's passages: its own, or what its suite's collection holds, looked up once."""
    kept = await Gathered.objects.filter(measurement=measurement, item=item).afirst()
    if kept is not None:
        return tuple(Evidence(**one) for one in kept.evidence)
    if item.evidence is not None:
        evidence = tuple(_given(number, one) for number, one in enumerate(item.evidence, start=1))
    elif measurement.suite.collection_id:
        asked = (PromptMessage(role="person", parts=(text_part(item.question),)),)
        grounding = Grounding(collections=(str(measurement.suite.collection_id),))
        evidence = (await look_up(Request(messages=asked, grounding=grounding))).evidence
    else:
        evidence = ()
    rows = [plain(one) for one in evidence]
    digest = sha256(canonical([one.digest for one in evidence]))
    await writer.submit(
        lambda: Gathered.objects.get_or_create(
            measurement=measurement, item=item, defaults={"evidence": rows, "digest": digest}
        )
    )
    return evidence


def _given(number: int, passage: dict[str, str]) -> Evidence:
    text = passage["text"]
    return Evidence(
        number=number, chunk_id="", document_id="", title=passage["title"] or f"Passage {number}", text=text,
        digest=sha256(text), score=1.0, end=len(text),
    )  # fmt: skip


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
    measurement.held = {
        "prompt template": f"version {known.template.version_id}" if known.template.version_id else "built in",
        "template digest": sha256(known.template.system)[:12],
        "seed": measurement.seed,
        "order": "items and, within each, lanes drawn by the seed",
        "warm-up": f"{measurement.warmups} answers a lane, not counted",
        "judge": "gold match: an answer that names a gold answer is right; words that say there is none abstain",
        "models": {
            lane["label"]: known.candidates[lane["model"]].version_id
            for lane in measurement.lanes
            if lane["model"] in known.candidates
        },
    }
    held = measurement.held
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
    spent = measurement.outcomes.aggregate(all=Sum("cost"))["all"] or Decimal(0)
    if measurement.budget is not None and spent >= measurement.budget:
        pause(measurement, f"Its budget of ${measurement.budget:f} is spent. Raise it, and go on.")
        return False
    return True


def _left(measurement: Measurement) -> list[Unit]:
    done = set(measurement.outcomes.values_list("item_id", "lane", "repeat"))
    return [unit for unit in order(measurement) if (unit.item.pk, unit.lane, unit.repeat) not in done]


def _finish(id: UUID) -> None:
    _mine(id).update(state=State.DONE, finished=timezone.now(), worker="", heartbeat=None)


def _groups(measurement: Measurement) -> tuple[str, ...]:
    return tuple(measurement.owner.groups.values_list("name", flat=True))
