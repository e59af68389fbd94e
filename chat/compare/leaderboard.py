"""Which models people prefer, from their votes. Blind and sighted votes are never mixed.

The best of several lanes is one match against each of the others, which for a choice of one among many is what the
model of Bradley, Terry and Luce expects; a tie, or all bad, is a tie of every two. Lanes that failed or were stopped
are left out, and so is a model as its own rival. Votes are drawn again whole.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from chat.compare.style import NAMES, differences, style_of
from chat.compare.topics import TOPICS, topic_of
from chat.models import Lane, Message, Vote
from workspace.measurement.bradley_terry import Gap, Match, Strength, Table, islands, table
from workspace.router import catalog
from workspace.router.decide import may_use
from workspace.router.states import RunState

LEAST = 20  # votes that a model must have to be ranked
MOST = 5_000  # of the newest votes
BY = ("model", "settings", "router")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which votes, and what is ranked by them. ``by``: a model; its version with prompt template and settings; or the
    version of the router's configuration that chose. ``held``: nothing, length, or style is held apart."""

    blind: bool = True
    by: str = "model"
    held: str = ""
    topic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One row: a strength, the mark of its model, where its interval lies on the drawing's scale (0 to 1), and what
    its answers took: dollars for a thousand, and the median second of the first token."""

    strength: Strength
    mark: int | None
    low: float
    at: float
    high: float
    per_thousand: Decimal | None = None
    first_token: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """``few`` have too few votes to be ranked; ``apart`` never met those that are, not even by others."""

    standings: Sequence[Standing] = ()
    gaps: Sequence[Gap] = ()
    few: Sequence[tuple[str, int]] = ()
    apart: Sequence[str] = ()
    topics: Sequence[tuple[str, int]] = ()
    weights: Sequence[tuple[str, float]] = ()
    votes: int = 0
    people: int = 0
    ties: int = 0
    all_bad: int = 0

    @property
    def first(self) -> Sequence[str]:
        """Whom nobody is surely stronger than."""
        return [one.strength.model for one in self.standings if one.strength.rank == 1]

    @property
    def untold(self) -> Sequence[Gap]:
        """Neighbours that these votes can't tell apart, the strongest first."""
        order = {one.strength.model: at for at, one in enumerate(self.standings)}
        near = [gap for gap in self.gaps if order[gap.second] - order[gap.first] == 1 and not gap.tells]
        return sorted(near, key=lambda gap: order[gap.first])


def leaderboard(groups: set[str], wanted: Wanted) -> Leaderboard:
    """Of the models that people of these groups may use."""
    known = {c.name: c.mark for c in catalog.load_sync().candidates.values() if may_use(c, groups)}
    related = ("comparison__question", "lane")
    all_votes = list(
        _cast_here().filter(blind=wanted.blind).select_related(*related).order_by("-created", "-pk")[:MOST]
    )
    about = {vote.pk: _topic(vote.comparison.question) for vote in all_votes}
    votes = [vote for vote in all_votes if wanted.topic in ("", about[vote.pk])]
    lanes = _lanes(votes, known)
    labels = {lane.pk: label for each in lanes.values() for lane in each if (label := _label(lane, wanted.by))}
    matches = [match for vote in votes for match in _matches(vote, lanes[vote.comparison_id], labels, wanted.held)]
    counts = _counts(matches)
    enough = {name for name, n in counts.items() if n >= LEAST}
    ranked = [match for match in matches if match.first in enough and match.second in enough]
    met = islands(ranked)[:1]
    main = met[0] if met else set()
    found = table([match for match in ranked if match.first in main], styled=bool(wanted.held))
    every = [lane for each in lanes.values() for lane in each if lane.pk in labels]
    marks = {labels[lane.pk]: known[_model(lane)] for lane in every if wanted.by != "router"}
    return Leaderboard(
        standings=_placed(found, marks, _took(every, labels)),
        gaps=found.gaps,
        few=sorted(((name, n) for name, n in counts.items() if name not in enough), key=lambda pair: -pair[1]),
        apart=sorted(enough - main),
        topics=[(topic, n) for topic in TOPICS if (n := sum(one == topic for one in about.values()))],
        weights=[(name, w) for (_, name), w in zip(NAMES.items(), found.weights, strict=False)],
        votes=len(votes),
        people=len({vote.person_id for vote in votes}),
        ties=sum(vote.choice == Vote.Choice.TIE for vote in votes),
        all_bad=sum(vote.choice == Vote.Choice.BAD for vote in votes),
    )


def _cast_here() -> QuerySet[Vote]:
    """Votes for answers that were written here: anybody may write a file with others, and votes for them."""
    return Vote.objects.exclude(comparison__lanes__answer__run__imported=True)


def _topic(question: Message) -> str:
    text = " ".join(part.get("text", "") for part in question.parts if part.get("kind") == "text")
    return topic_of(text, question.grounding)


def _lanes(votes: Sequence[Vote], known: Mapping[str, int]) -> dict[UUID, list[Lane]]:
    """By comparison, the lanes that count: finished, and of models that the reader may use."""
    related = ("answer__run__model_version__model", "answer__run__router_version", "answer__run__template_version")
    rows = Lane.objects.filter(comparison__in={vote.comparison_id for vote in votes}).select_related(*related)
    found: dict[UUID, list[Lane]] = defaultdict(list)
    for lane in rows.filter(answer__run__state=RunState.DONE).defer("answer__run__evidence", "answer__run__reasoning"):
        if _model(lane) in known:
            found[lane.comparison_id].append(lane)
    return found


def _matches(vote: Vote, lanes: Sequence[Lane], labels: Mapping[int, str], held: str) -> list[Match]:
    """The best against each of the others; a tie, or all bad, between every two. A lane that came after the vote, or
    was asked again, was not read by it."""
    read = [lane for lane in lanes if vote.digests.get(lane.letter) == lane.answer.digest]
    taking = [lane for lane in read if lane.pk in labels]
    if vote.lane_id:
        best = next((lane for lane in taking if lane.pk == vote.lane_id), None)
        pairs = [(best, other) for other in taking if other is not best] if best else []
    else:
        pairs = list(combinations(taking, 2))
    styles = {lane.pk: style_of(lane.answer.run.text) for pair in pairs for lane in pair if held and lane.answer.run}
    return [
        Match(
            first=labels[a.pk],
            second=labels[b.pk],
            won=1 if vote.lane_id else 0,
            style=differences(styles[a.pk], styles[b.pk], held) if held else (),
            vote=vote.pk,
        )
        for a, b in pairs
        if labels[a.pk] != labels[b.pk]
    ]


def _counts(matches: Sequence[Match]) -> Counter[str]:
    """In how many votes each took part."""
    return Counter(
        name for _, name in {(match.vote, name) for match in matches for name in (match.first, match.second)}
    )


def _model(lane: Lane) -> str:
    return str(_manifest(lane).get("model") or "")


def _manifest(lane: Lane) -> Mapping[str, Any]:
    return (lane.answer.run.manifest if lane.answer.run else None) or {}


def _label(lane: Lane, by: str) -> str:
    """What is ranked; empty where the lane takes no part: by router versions, one whose model a person chose."""
    run = lane.answer.run
    assert run is not None
    if by == "model":
        return _model(lane)
    if by == "router":
        chosen = (_manifest(lane).get("decision") or {}).get("chosen_by") in ("route", "fallback")
        return str(run.router_version) if chosen and run.router_version else ""
    told = [str(run.model_version or _model(lane))]
    told += ["own instruction"] if lane.asked.get("system") else []
    told += [str(run.template_version)] if run.template_version and not lane.asked.get("system") else []
    told += [f"{name.replace('_', ' ')} {value:g}" for name, value in lane.asked.get("parameters", {}).items()]
    return " · ".join(told)


def _took(lanes: Iterable[Lane], labels: Mapping[int, str]) -> dict[str, tuple[Decimal | None, float | None]]:
    """By label, the mean cost of a thousand answers, unknown where one's is, and the median first token."""
    costs: dict[str, list[Decimal | None]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    for lane in lanes:
        run, label = lane.answer.run, labels.get(lane.pk)
        if run and label:
            costs[label].append(run.cost)
            waits[label] += [] if run.first_token_s is None else [run.first_token_s]
    middle = {label: statistics.median(those) for label, those in waits.items() if those}
    return {label: (_mean(those), middle.get(label)) for label, those in costs.items()}


def _mean(costs: Sequence[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return 1000 * sum(known, Decimal()) / len(known) if len(known) == len(costs) else None


def _placed(
    found: Table, marks: Mapping[str, int], took: Mapping[str, tuple[Decimal | None, float | None]]
) -> list[Standing]:
    if not found.strengths:
        return []
    low, high = min(one.low for one in found.strengths), max(one.high for one in found.strengths)
    room = max(high - low, 1.0)
    return [
        Standing(
            strength=one,
            mark=marks.get(one.model),
            low=(one.low - low) / room,
            at=(one.elo - low) / room,
            high=(one.high - low) / room,
            per_thousand=took[one.model][0],
            first_token=took[one.model][1],
        )
        for one in found.strengths
    ]
