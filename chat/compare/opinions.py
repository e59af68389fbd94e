"""What people said of answers besides which is best: thumbs, and reasons. Counted by what is ranked, never ranked; of
blind and of sighted comparisons apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import QuerySet

from chat.compare.ranked import MOST, Wanted, cast_here, known_to, label_of, lanes_of, model_of, topic_asked
from chat.models import Thumb, Vote


@dataclass(slots=True, kw_only=True)
class Opinion:
    """What people said of one model's answers: how often each reason made it the best, and thumbs with theirs."""

    model: str
    mark: int | None = None
    best: Counter[str] = field(default_factory=Counter)
    up: int = 0
    down: int = 0
    liked: Counter[str] = field(default_factory=Counter)
    disliked: Counter[str] = field(default_factory=Counter)

    @property
    def all(self) -> int:
        return self.up + self.down + self.best.total()

    @property
    def reasons(self) -> Mapping[str, Sequence[tuple[str, int]]]:
        """The most frequent first."""
        return {name: getattr(self, name).most_common() for name in ("best", "liked", "disliked")}

    def add(self, one: Vote | Thumb) -> None:
        if isinstance(one, Vote):
            self.best.update(one.reasons)
        elif one.up:
            self.up += 1
            self.liked.update(one.reasons)
        else:
            self.down += 1
            self.disliked.update(one.reasons)


def opinions(groups: set[str], wanted: Wanted) -> list[Opinion]:
    """By what is ranked, the most spoken of first. Of thumbs and votes in the other kind of comparison, nothing."""
    known = known_to(groups)
    votes = _about(cast_here().filter(blind=wanted.blind, choice=Vote.Choice.BEST), wanted.topic)
    thumbs = _about(_given_here().filter(blind=wanted.blind), wanted.topic)
    of = {one.lane.comparison_id for one in (*votes, *thumbs) if one.lane}
    lanes = {lane.pk: lane for each in lanes_of(of, known).values() for lane in each}
    found: dict[str, Opinion] = {}
    for one in (*votes, *thumbs):
        lane = lanes.get(one.lane_id or 0)
        if lane and (label := label_of(lane, wanted.by)):
            mark = known[model_of(lane)] if wanted.by != "router" else None
            found.setdefault(label, Opinion(model=label, mark=mark)).add(one)
    return sorted((one for one in found.values() if one.all), key=lambda one: (-one.all, one.model))


def _about(given: QuerySet[Any], topic: str) -> list[Any]:
    """The newest of them, of that topic where one is wanted."""
    newest = given.select_related("lane__comparison__question").order_by("-created", "-pk")[:MOST]
    return [one for one in newest if topic in ("", topic_asked(one.lane.comparison.question))]


def _given_here() -> QuerySet[Thumb]:
    return Thumb.objects.exclude(lane__answer__run__imported=True)
