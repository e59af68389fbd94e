"""How a version on trial does: against the one in use in a split, and where it would have differed in the shadow.

Only requests that the routes decided count: where a person chose, no version had a say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import Case, Count, F, FloatField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Cast

from workspace.router.models import LoggedDecision, Rollout
from workspace.router.sequential import Difference, Sample, difference, share
from workspace.router.states import RunState

WRONG = 0.05 / 3  # the chance to be wrong, shared by the three figures
FIGURES = ("failed", "cost", "first_token_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of both arms: failures as a share, cost in US dollars, first token in seconds; means."""

    name: str
    old: Sample
    new: Sample
    difference: Difference | None

    @property
    def worse(self) -> bool:
        return self.difference is not None and self.difference.low > 0

    @property
    def better(self) -> bool:
        return self.difference is not None and self.difference.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Would:
    """Requests that the version in the shadow would have sent elsewhere, or not; ``to_model`` is empty if nowhere."""

    from_model: str
    to_model: str
    from_route: str
    to_route: str
    count: int

    @property
    def same(self) -> bool:
        return self.from_model == self.to_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """``old`` and ``new`` count the answers of each arm; in the shadow all are of the old one."""

    old: int
    new: int
    figures: tuple[Figure, ...] = ()
    would: tuple[Would, ...] = ()

    @property
    def counted(self) -> int:
        """What the trial has shown so far: answers of its own, or of the other where it has none."""
        return self.new or self.old

    @property
    def fails_more(self) -> bool:
        return any(figure.name == "failed" and figure.worse for figure in self.figures)


def report(rollout: Rollout) -> Report:
    rows = LoggedDecision.objects.filter(rollout=rollout).exclude(chosen_by="person").order_by()
    return _shadow(rows) if rollout.mode == Rollout.Mode.SHADOW else _split(rows, rollout)


def _shadow(rows: QuerySet[LoggedDecision]) -> Report:
    columns = ("model", "shadow_model", "route", "shadow_route")
    found = rows.values_list(*columns).annotate(count=Count("pk")).order_by("-count", *columns)
    would = tuple(
        Would(from_model=model, to_model=to, from_route=route, to_route=to_route, count=count)
        for model, to, route, to_route, count in found
    )
    return Report(old=sum(one.count for one in would), new=0, would=would)


def _split(rows: QuerySet[LoggedDecision], rollout: Rollout) -> Report:
    arms = {row["router_version"]: row for row in rows.values("router_version").annotate(**_SUMS)}
    new = arms.pop(rollout.version_id, _NOTHING)
    old = _added(arms.values())
    pairs = [(name, _sample(old, name), _sample(new, name)) for name in FIGURES]
    return Report(
        old=old["count"],
        new=new["count"],
        figures=tuple(
            Figure(name=name, old=one, new=other, difference=difference(one, other, wrong=WRONG))
            for name, one, other in pairs
        ),
    )


def _sample(row: dict[str, Any], name: str) -> Sample:
    if name == "failed":
        return share(row["count"], row["failures"])
    return Sample(count=row[f"{name}_known"], sum=row[f"{name}_sum"] or 0.0, squares=row[f"{name}_squares"] or 0.0)


def _added(rows: Any) -> dict[str, Any]:
    """All other versions together: whichever was in use meanwhile."""
    rows = list(rows)
    return {name: sum(row[name] or 0 for row in rows) for name in _SUMS}


_SUMS: dict[str, Any] = {
    "count": Count("pk"),
    "failures": Sum(Case(When(state=RunState.FAILED, then=Value(1)), default=Value(0))),
    "cost_known": Count("pk", filter=Q(cost__isnull=False)),
    "cost_sum": Sum(Cast("cost", FloatField())),
    "cost_squares": Sum(Cast("cost", FloatField()) * Cast("cost", FloatField())),
    "first_token_s_known": Count("pk", filter=Q(first_token_s__isnull=False)),
    "first_token_s_sum": Sum("first_token_s"),
    "first_token_s_squares": Sum(F("first_token_s") * F("first_token_s")),
}
_NOTHING: dict[str, Any] = dict.fromkeys(_SUMS, 0)
