"""What failed in a measurement, of every kind, and asking for it again. A judge that names none of its choices failed,
too."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet, Sum

from workspace.measurement.metrics import Cell
from workspace.measurement.models import Judgement, Measurement

State = Measurement.State


def failed(measurement: Measurement) -> dict[str, QuerySet[Any]]:
    """The rows of what can be asked for again, by what one of them is called."""
    judges = measurement.judges.all()
    return {
        "answer": measurement.outcomes.filter(cell=Cell.UNSCORED),
        "timed completion": measurement.timed.exclude(failure=None),
        "verdict": Judgement.objects.filter(outcome__measurement=measurement, judge__in=judges, verdict=""),
        "preference": measurement.preferences.filter(judge__in=judges, prefers=""),
    }


def words(measurement: Measurement) -> str:
    """How many of each kind: ``10 answers, 3 verdicts and 1 preference``; nothing where nothing failed."""
    counts = {name: rows.count() for name, rows in failed(measurement).items()}
    *most, last = [f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items() if n] or [""]
    return f"{', '.join(most)} and {last}" if most else last


def ask_again(measurement: Measurement) -> bool:
    """Whatever failed is to be had again, unless somebody is at it. What it cost stays spent."""
    rows = failed(measurement).values()
    with transaction.atomic():
        lost = sum(every.aggregate(all=Sum("cost"))["all"] or 0 for every in rows)
        halted = Measurement.objects.filter(pk=measurement.pk, state__in=[State.PAUSED, State.DONE])
        if not halted.update(state=State.QUEUED, why="", finished=None, aside=F("aside") + lost):
            return False
        for every in rows:
            every.delete()
    return True
