"""What was used in a span of days: answers, tokens and money, by day, model, person and route.

It reads the daily sums that settling keeps up (``workspace/router/money.py``) and counts no run, so a year costs no
more than its days. Calls without a known price are counted beside the cost, never in it. It knows no page.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any
from uuid import UUID

from django.db.models import Case, F, Q, QuerySet, Sum, Value, When
from django.utils import timezone

from workspace.router.models import DailyUsage, Run
from workspace.router.money import NOTHING

PARTS = {"model": "of", "person": "person__username", "route": "by"}  # what usage is told by, and its column
HELD = "not told while a blind comparison is open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Whole days of the server's time zone, ``first`` and ``last`` among them."""

    first: date
    last: date

    @classmethod
    def until_today(cls, days: int) -> Span:
        today = timezone.localdate()
        return cls(first=today - timedelta(days=days - 1), last=today)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def before(self) -> Span:
        """As many days, just before these."""
        return Span(first=self.first - timedelta(days=self.days), last=self.first - timedelta(days=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """``answers`` are runs, ``failed`` those of them that failed; ``unpriced`` calls are missing in ``cost`` (USD)."""

    answers: int = 0
    failed: int = 0
    tokens_input: int = 0
    tokens_output: int = 0
    cost: Decimal = NOTHING
    unpriced: int = 0

    @property
    def tokens(self) -> int:
        return self.tokens_input + self.tokens_output


SUMS = {
    "answers": Sum("runs"),
    "failed_runs": Sum("failed"),
    "input": Sum("tokens_input"),
    "output": Sum("tokens_output"),
    "usd": Sum("cost"),
    "without_price": Sum("unpriced"),
}


def total(span: Span, *, person_id: UUID | None = None) -> Figures:
    return _figures(_rows(span, person_id).aggregate(**SUMS))


def by(part: str, span: Span, *, person_id: UUID | None = None) -> list[tuple[str, Figures]]:
    """Each model, person or route with what it took, the dearest first and then the busiest."""
    column = PARTS[part]
    rows = _rows(span, person_id).values(column).annotate(**SUMS).order_by(column)
    found = [(str(row[column]), _figures(row)) for row in rows]
    return sorted(found, key=lambda one: (-one[1].cost, -one[1].answers, one[0]))


def by_day(span: Span, *, person_id: UUID | None = None) -> dict[tuple[date, str], Figures]:
    """What each model took on each day that it was used."""
    rows = _rows(span, person_id).values("day", "of").annotate(**SUMS)
    return {(row["day"], row["of"]): _figures(row) for row in rows}


def lines(span: Span, *, person_id: UUID | None = None) -> Iterator[tuple[Any, ...]]:
    """Every daily sum under ``COLUMNS``, read as it is sent."""
    rows = _rows(span, person_id).order_by("day", "person__username", "of", "by")
    yield from rows.values_list(*COLUMNS.values()).iterator()


COLUMNS = {
    "day": "day",
    "person": "person__username",
    "model": "of",
    "route": "by",
    "answers": "runs",
    "failed": "failed",
    "tokens_input": "tokens_input",
    "tokens_output": "tokens_output",
    "cost_usd": "cost",
    "calls_without_price": "unpriced",
}


def _rows(span: Span, person_id: UUID | None) -> QuerySet[Any]:
    """With ``of``, the model, and ``by``, the route: withheld of a person's days with a blind comparison that is open,
    since what is used tells who wrote what, to themselves and to who administers."""
    whose = {"person_id": person_id} if person_id else {}
    rows = DailyUsage.objects.filter(day__range=(span.first, span.last), **whose)
    held = _held(**whose)
    if not held:
        return rows.annotate(of=F("model"), by=F("route"))
    days = [Q(person_id=person, day__in=days) for person, days in held.items()]
    told = When(reduce(or_, days), then=Value(HELD))
    return rows.annotate(of=Case(told, default=F("model")), by=Case(told, default=F("route")))


def _held(**whose: UUID) -> dict[UUID | None, set[date]]:
    """The days of each person."""
    found: dict[UUID | None, set[date]] = defaultdict(set)
    runs = Run.objects.filter(withheld=True, **whose)
    for person, *moments in runs.values_list("person_id", "created", "settled"):
        found[person] |= {timezone.localdate(moment) for moment in moments if moment}
    return found


def _figures(row: dict[str, Any]) -> Figures:
    return Figures(
        answers=row["answers"] or 0,
        failed=row["failed_runs"] or 0,
        tokens_input=row["input"] or 0,
        tokens_output=row["output"] or 0,
        cost=row["usd"] or NOTHING,
        unpriced=row["without_price"] or 0,
    )
