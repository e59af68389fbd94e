"""Money: what a call would cost, what budgets still allow, and the daily sums of what was spent.

A budget is checked before a call by reserving the call's estimated cost on its run's row, and settled after it with
what the call did cost. Both happen in a transaction, so two questions at once can't spend the same dollar. Amounts
are US dollars as Decimal; an unknown price is never taken for 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet, Sum
from django.utils import timezone

from workspace.router.models import Budget, DailyUsage, Run
from workspace.router.states import LIVE
from workspace.types import Failure

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A budget as the catalog keeps it: of a person, of a group together, or of the whole workspace."""

    budget_id: int
    usd: Decimal
    period: str
    person_id: str = ""
    group: str = ""

    def covers(self, person_id: str, groups: Collection[str]) -> bool:
        if self.person_id:
            return self.person_id == person_id
        return not self.group or self.group in groups

    @property
    def words(self) -> str:
        of = "your budget" if self.person_id else f"the budget of {self.group}" if self.group else "the budget"
        return f"{of} for {'today' if self.period == Budget.Period.DAY else 'this month'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """One settled call of a run, or several that belong to one model. ``cost`` is ``None`` when a price is missing."""

    person_id: str
    model: str
    route: str
    tokens_input: int
    tokens_output: int
    cost: Decimal | None
    runs: int = 0
    failed: int = 0


def limits() -> tuple[Limit, ...]:
    return tuple(map(limit_of, Budget.objects.select_related("group").order_by("pk")))


def limit_of(row: Budget) -> Limit:
    return Limit(
        budget_id=row.pk,
        usd=row.usd,
        period=row.period,
        person_id=str(row.person_id or ""),
        group=row.group.name if row.group else "",
    )


def left(limit: Limit, *, but: UUID | str = "") -> Decimal:
    """What may still be spent: the budget less what was spent in its period and what live runs hold in reserve."""
    spent = _whose(DailyUsage.objects.filter(day__gte=_begin(limit)), limit).aggregate(sum=Sum("cost"))["sum"]
    live = Run.objects.filter(state__in=[s.value for s in LIVE], reserved__isnull=False)
    held = _whose(live.exclude(pk=but) if but else live, limit).aggregate(sum=Sum("reserved"))["sum"]
    return limit.usd - (spent or NOTHING) - (held or NOTHING)


def tightest(applying: Iterable[Limit], *, but: UUID | str = "") -> tuple[Decimal, Limit] | None:
    """The least that is left in any of these budgets, and in which."""
    return min(((left(limit, but=but), limit) for limit in applying), key=lambda pair: pair[0], default=None)


def reserve(run_id: UUID | str, amount: Decimal, applying: Collection[Limit]) -> Failure | None:
    """Hold ``amount`` for a run, in the writer's transaction; a failure says which budget can't bear it."""
    # The rows are locked in one order, so that two processes can't both see the same dollar.
    list(Budget.objects.select_for_update().filter(pk__in=[limit.budget_id for limit in applying]).order_by("pk"))
    found = tightest(applying, but=run_id)
    if found and amount > max(found[0], NOTHING):  # what costs nothing is never too much
        return over(found[1], found[0], amount)
    if run_id:
        Run.objects.filter(pk=run_id).update(reserved=amount)
    return None


def over(limit: Limit, rest: Decimal, amount: Decimal) -> Failure:
    least = max(rest, NOTHING)
    return Failure(
        code="budget",
        cause=f"This would cost about ${amount:.4f}, and {limit.words} has ${least:.4f} left.",
        action="Choose a cheaper model, or ask an admin for a larger budget.",
        permanent=True,
    )


def unpriced(model: str) -> Failure:
    return Failure(
        code="no_price",
        cause=f"The price of {model} is not known, and a budget applies.",
        action=f"Enter the price of {model} in the admin, or choose another model.",
        permanent=True,
    )


def over_route(model: str, usd: float) -> Failure:
    return Failure(
        code="budget",
        cause=f"{model} would cost more than this route may, ${usd:g} an answer.",
        action="Choose a model yourself, or ask for less at once.",
        permanent=True,
    )


def settle(spent: Spent) -> None:
    """Add a settled call to its day's sums, inside the transaction that settles the run."""
    if not spent.person_id:
        return
    key = {
        "day": timezone.localdate(),
        "person_id": spent.person_id,
        "model": spent.model,
        "route": spent.route,
    }
    more = {
        "runs": F("runs") + spent.runs,
        "failed": F("failed") + spent.failed,
        "tokens_input": F("tokens_input") + spent.tokens_input,
        "tokens_output": F("tokens_output") + spent.tokens_output,
        "cost": F("cost") + (spent.cost or NOTHING),
        "unpriced": F("unpriced") + int(spent.cost is None),
    }
    if DailyUsage.objects.filter(**key).update(**more):
        return
    try:
        with transaction.atomic():
            DailyUsage.objects.create(**key)
    except IntegrityError:
        pass  # another process began the same day's row
    DailyUsage.objects.filter(**key).update(**more)


def _begin(limit: Limit) -> date:
    today = timezone.localdate()
    return today if limit.period == Budget.Period.DAY else today.replace(day=1)


def _whose(rows: QuerySet[DailyUsage] | QuerySet[Run], limit: Limit) -> QuerySet[DailyUsage] | QuerySet[Run]:
    if limit.person_id:
        return rows.filter(person_id=limit.person_id)
    return rows.filter(Q(person__groups__name=limit.group)) if limit.group else rows
