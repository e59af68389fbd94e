"""Which models people prefer, from their votes. Blind and sighted votes are never mixed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from chat.models import Comparison, Lane, Vote
from workspace.measurement.bradley_terry import Match, Strength, strengths
from workspace.router import catalog
from workspace.router.decide import may_use

LEAST = 10  # votes that a model must have to be ranked
MOST = 5_000  # of the newest votes


@dataclass(frozen=True, slots=True)
class Standing:
    """One row: a strength, the model's mark, and where its interval lies on the drawing's scale, 0 to 1."""

    strength: Strength
    mark: int
    low: float
    at: float
    high: float


@dataclass(frozen=True, slots=True)
class Leaderboard:
    standings: Sequence[Standing]
    few: Sequence[tuple[str, int]]
    votes: int
    ties: int
    all_bad: int


def leaderboard(groups: set[str], *, blind: bool, styled: bool, versions: bool) -> Leaderboard:
    """Of the models that people of these groups may use. ``styled`` holds the length of answers apart; ``versions``
    tells a model's versions and settings apart."""
    known = {c.name: c for c in catalog.load_sync().candidates.values() if may_use(c, groups)}
    newest = Vote.objects.filter(blind=blind).select_related("comparison", "lane").order_by("-created")[:MOST]
    votes = list(newest)
    lanes = _lanes([vote.comparison_id for vote in votes])
    matches: list[Match] = []
    names: dict[str, str] = {}
    for vote in votes:
        usable = [lane for lane in lanes.get(vote.comparison_id, []) if _model(lane) in known]
        labels = {lane.pk: _label(lane, versions=versions) for lane in usable}
        names |= {labels[lane.pk]: _model(lane) for lane in usable}
        matches += _matches(vote, usable, labels)
    counts = Counter(name for vote in {(m.vote, n) for m in matches for n in (m.first, m.second)} for name in vote[1:])
    enough = {name for name, n in counts.items() if n >= LEAST}
    ranked = strengths([m for m in matches if m.first in enough and m.second in enough], styled=styled)
    return Leaderboard(
        _placed(ranked, {name: known[model].mark for name, model in names.items()}),
        sorted(((name, n) for name, n in counts.items() if name not in enough), key=lambda pair: -pair[1]),
        votes=len(votes),
        ties=sum(vote.choice == Vote.Choice.TIE for vote in votes),
        all_bad=sum(vote.choice == Vote.Choice.BAD for vote in votes),
    )


def _lanes(comparisons: Sequence[object]) -> dict[object, list[Lane]]:
    found: dict[object, list[Lane]] = {}
    rows = Lane.objects.filter(comparison__in=Comparison.objects.filter(pk__in=comparisons))
    for lane in rows.select_related("answer__run"):
        found.setdefault(lane.comparison_id, []).append(lane)
    return found


def _matches(vote: Vote, lanes: Sequence[Lane], labels: dict[int, str]) -> list[Match]:
    """The best against each of the others; a tie, or all bad, between every two. A model is not its own rival."""
    if vote.lane:
        pairs = [(vote.lane, other) for other in lanes if other.pk != vote.lane_id] if vote.lane_id in labels else []
        pairs = [(next(one for one in lanes if one.pk == vote.lane_id), other) for _, other in pairs]
    else:
        pairs = list(combinations(lanes, 2))
    return [
        Match(
            first=labels[a.pk],
            second=labels[b.pk],
            won=1 if vote.lane else 0,
            style=math.log((_length(a) + 1) / (_length(b) + 1)),
            vote=vote.pk,
        )
        for a, b in pairs
        if labels[a.pk] != labels[b.pk]
    ]


def _length(lane: Lane) -> int:
    return len(lane.answer.run.text.split()) if lane.answer.run else 0


def _model(lane: Lane) -> str:
    manifest = (lane.answer.run.manifest if lane.answer.run else None) or {}
    return str(manifest.get("model") or "")


def _label(lane: Lane, *, versions: bool) -> str:
    model = _model(lane)
    if not versions or not lane.answer.run:
        return model
    given = [f"{name} {value:g}" for name, value in lane.asked.get("parameters", {}).items()]
    given += ["own instruction"] if lane.asked.get("system") else []
    return " · ".join([f"{model} version {lane.answer.run.model_version_id}", *given])


def _placed(ranked: Sequence[Strength], marks: dict[str, int]) -> list[Standing]:
    if not ranked:
        return []
    low, high = min(one.low for one in ranked), max(one.high for one in ranked)
    room = max(high - low, 1.0)
    return [
        Standing(one, marks[one.model], (one.low - low) / room, (one.elo - low) / room, (one.high - low) / room)
        for one in ranked
    ]
