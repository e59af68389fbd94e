"""How far a measurement is, and what it has spent. Read from its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, QuerySet, Sum

from retrieval.claims import FINAL
from retrieval.models import Document
from workspace.measurement import judging, preferring
from workspace.measurement.models import Agreement, Item, Judgement, Measurement


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one part of a measurement is."""

    part: str
    done: int
    of: int


def progress(measurement: Measurement) -> list[Progress]:
    """How far every part is; those that are not asked for are left out."""
    found = [Progress("answers", measurement.outcomes.count(), answers_of(measurement))]
    if measurement.completions:
        timed = len(timed_lanes(measurement)) * measurement.completions
        found.append(Progress("timed completions", measurement.timed.count(), timed))
    if measurement.judge:
        done = Judgement.objects.filter(outcome__measurement=measurement).count()
        found.append(Progress("verdicts", done, done + len(judging.left(measurement))))
    if measurement.pairwise:
        done = measurement.preferences.count()
        found.append(Progress("preferences", done, done + len(preferring.left(measurement))))
    return found


def counts(measurement: Measurement) -> tuple[Any, ...]:
    """How many answers, completions, verdicts and preferences there are, and the newest of each and of all agreements:
    when they are as they were, so is the report. What is asked for again is as many as before, and newer."""
    newest = Agreement.objects.aggregate(newest=Max("created"))["newest"]
    return newest, *(tuple(rows.aggregate(many=Count("pk"), newest=Max("pk")).values()) for rows in _paid(measurement))


def indexing(measurement: Measurement) -> Progress | None:
    """How many of the suite's texts can be searched by meaning, where that is waited for."""
    collection = measurement.suite.collection_id
    if not settings.LOCAL_MODELS or collection is None or measurement.held == {} or measurement.outcomes.exists():
        return None
    texts = Document.objects.filter(collection=collection)
    of, done = texts.count(), texts.filter(state__in=FINAL).count()
    return Progress("texts made searchable by meaning", done, of) if done < of else None


def answers_of(measurement: Measurement) -> int:
    """How many answers it has when it is done."""
    items = Item.objects.filter(suite=measurement.suite_id)
    every = items.count()
    answerable = items.exclude(answers=[]).count()
    return measurement.repeats * sum(answerable if lane.get("closed") else every for lane in measurement.lanes)


def spent(measurement: Measurement) -> Decimal:
    """US dollars, where a price is known: of answers, completions, verdicts and preferences, and of calls that count
    for nothing."""
    aside = Measurement.objects.values_list("aside", flat=True).get(pk=measurement.pk)
    return sum((rows.aggregate(all=Sum("cost"))["all"] or Decimal(0) for rows in _paid(measurement)), aside)


def _paid(measurement: Measurement) -> Sequence[QuerySet[Any]]:
    judgements = Judgement.objects.filter(outcome__measurement=measurement)
    return measurement.outcomes.all(), measurement.timed.all(), judgements, measurement.preferences.all()


def timed_lanes(measurement: Measurement) -> list[int]:
    """A closed lane is the twin of an open one, and no other model."""
    return [at for at, lane in enumerate(measurement.lanes) if not lane.get("closed")]
