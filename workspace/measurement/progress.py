"""How far a measurement is, and what it has spent. Read from its rows."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import QuerySet, Sum

from workspace.measurement import judging
from workspace.measurement.models import Completion, Item, Judgement, Measurement, Outcome


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one part of a measurement is."""

    part: str
    done: int
    of: int


def progress(measurement: Measurement) -> list[Progress]:
    """How far every part is; those that are not asked for are left out."""
    answers = Progress("answers", measurement.outcomes.count(), answers_of(measurement))
    found = [answers]
    if measurement.completions:
        timed = len(timed_lanes(measurement)) * measurement.completions
        found.append(Progress("timed completions", measurement.timed.count(), timed))
    if measurement.judge:
        done = Judgement.objects.filter(outcome__measurement=measurement).count()
        found.append(Progress("verdicts", done, done + len(judging.left(measurement))))
    return found


def answers_of(measurement: Measurement) -> int:
    """How many answers it has when it is done."""
    items = Item.objects.filter(suite=measurement.suite_id)
    every = items.count()
    answerable = items.exclude(answers=[]).count()
    return measurement.repeats * sum(answerable if lane.get("closed") else every for lane in measurement.lanes)


def spent(measurement: Measurement) -> Decimal:
    """US dollars of answers, completions and verdicts whose price is known."""
    judgements = Judgement.objects.filter(outcome__measurement=measurement)
    parts: tuple[QuerySet[Outcome] | QuerySet[Completion] | QuerySet[Judgement], ...] = (
        measurement.outcomes.all(), measurement.timed.all(), judgements,
    )  # fmt: skip
    return sum((rows.aggregate(all=Sum("cost"))["all"] or Decimal(0) for rows in parts), Decimal(0))


def timed_lanes(measurement: Measurement) -> list[int]:
    """A closed lane is the twin of an open one, and no other model."""
    return [at for at, lane in enumerate(measurement.lanes) if not lane.get("closed")]
