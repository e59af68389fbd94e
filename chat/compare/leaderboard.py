"""Which models people prefer, from their votes. Blind and sighted votes are never mixed.

The best of several lanes is one match against each of the others, which for a choice of one among many is what the
model of Bradley, Terry and Luce expects; a tie, or all bad, is a tie of every two, and all of those together count as
many matches as a choice does. Lanes that failed or were stopped are left out, and so is a model as its own rival.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chat.compare.ranked import MOST, Wanted, cast_here, known_to, label_of, lanes_of, model_of, topic_asked
from chat.compare.style import NAMES, differences, style_of
from chat.compare.topics import TOPICS
from chat.models import Lane, Vote
from workspace.measurement import statistics
from workspace.measurement.bradley_terry import Gap, Match, Strength, Table, compared, islands, table
from workspace.measurement.statistics import Interval

LEAST = 20  # votes that a model must have to be ranked


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One row: a strength, the mark of its model, where its interval lies on the drawing's scale (0 to 1), and what
    its answers took: dollars for a thousand, and the median second of the first token, where there are enough."""

    strength: Strength
    mark: int | None
    low: float
    at: float
    high: float
    per_thousand: Decimal | None = None
    first_token: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaderboard:
    """``few`` have too few votes to be ranked, each with how many count: those with others that are ranked. ``apart``
    never met those that are, not even by others. ``over_people`` says that people were drawn again, not votes alone."""

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
    over_people: bool = False
    is_capped: bool = False

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
    known = known_to(groups)
    related = ("comparison__question", "lane")
    all_votes = list(cast_here().filter(blind=wanted.blind).select_related(*related).order_by("-created", "-pk")[:MOST])
    about = {vote.pk: topic_asked(vote.comparison.question) for vote in all_votes}
    votes = [vote for vote in all_votes if wanted.topic in ("", about[vote.pk])]
    lanes = lanes_of({vote.comparison_id for vote in votes}, known)
    labels = {lane.pk: label for each in lanes.values() for lane in each if (label := label_of(lane, wanted.by))}
    matches = [match for vote in votes for match in _matches(vote, lanes[vote.comparison_id], labels, wanted.held)]
    ranked, few = _ranked(matches)
    met = islands(ranked)
    main = met[0] if met else set()
    found = table([match for match in ranked if match.first in main], styled=bool(wanted.held))
    every = [lane for each in lanes.values() for lane in each if lane.pk in labels]
    marks = {labels[lane.pk]: known[model_of(lane)] for lane in every if wanted.by != "router"}
    return Leaderboard(
        standings=_placed(found, marks, _took(every, labels)),
        gaps=found.gaps,
        few=few,
        apart=sorted(set().union(*met) - main),
        topics=[(topic, n) for topic in TOPICS if (n := sum(one == topic for one in about.values()))],
        weights=[(name, w) for (_, name), w in zip(NAMES.items(), found.weights, strict=False)],
        votes=len(votes),
        people=len({vote.person_id for vote in votes}),
        ties=sum(vote.choice == Vote.Choice.TIE for vote in votes),
        all_bad=sum(vote.choice == Vote.Choice.BAD for vote in votes),
        over_people=found.over_people,
        is_capped=len(all_votes) == MOST,
    )


def _matches(vote: Vote, lanes: Sequence[Lane], labels: Mapping[int, str], held: str) -> list[Match]:
    """The best against each of the others; a tie, or all bad, between every two. A lane that came after the vote, or
    was asked again, was not read by it."""
    read = [lane for lane in lanes if vote.digests.get(lane.letter) == lane.answer.digest]
    taking = [lane for lane in read if lane.pk in labels]
    best = next((at for at, lane in enumerate(taking) if lane.pk == vote.lane_id), None)
    if vote.lane_id and best is None:
        return []
    styles = {lane.pk: style_of(lane.answer.run.text) for lane in taking if held and lane.answer.run}
    return [
        Match(
            first=labels[a.pk],
            second=labels[b.pk],
            won=1 if vote.lane_id else 0,
            style=differences(styles[a.pk], styles[b.pk], held) if held else (),
            vote=vote.pk,
            weight=weight,
            person=vote.person_id,
        )
        for first, second, weight in compared(len(taking), best)
        for a, b in [(taking[first], taking[second])]
        if labels[a.pk] != labels[b.pk]
    ]


def _ranked(matches: Sequence[Match]) -> tuple[Sequence[Match], list[tuple[str, int]]]:
    """The matches of models that have votes enough, and the others with how many they have. Votes against one that
    is left out say nothing of a rank, so they are left out, too, until nothing changes."""
    few: dict[str, int] = {}
    while new := {name: n for name, n in _counts(matches).items() if n < LEAST}:
        few |= new
        matches = [match for match in matches if match.first not in new and match.second not in new]
    return matches, sorted(few.items(), key=lambda pair: -pair[1])


def _counts(matches: Sequence[Match]) -> Counter[str]:
    """In how many votes each took part."""
    return Counter(
        name for _, name in {(match.vote, name) for match in matches for name in (match.first, match.second)}
    )


def _took(lanes: Iterable[Lane], labels: Mapping[int, str]) -> dict[str, tuple[Decimal | None, Interval | None]]:
    """By label, the mean cost of a thousand answers, unknown where one's is, and the median first token."""
    costs: dict[str, list[Decimal | None]] = defaultdict(list)
    waits: dict[str, list[float]] = defaultdict(list)
    for lane in lanes:
        run, label = lane.answer.run, labels.get(lane.pk)
        if run and label:
            costs[label].append(run.cost)
            waits[label] += [] if run.first_token_s is None else [run.first_token_s]
    return {label: (_mean(those), statistics.median(waits[label])) for label, those in costs.items()}


def _mean(costs: Sequence[Decimal | None]) -> Decimal | None:
    known = [cost for cost in costs if cost is not None]
    return 1000 * sum(known, Decimal()) / len(known) if len(known) == len(costs) else None


def _placed(
    found: Table, marks: Mapping[str, int], took: Mapping[str, tuple[Decimal | None, Interval | None]]
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
