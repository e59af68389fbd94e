"""Which of two models' answers a judge prefers, in a report: wins, ties, what can be told, and length beside it.

Both orders must agree: where they differ it is a tie, and the share of such flips is told, for a judge that goes by
position flips always. The rule that the longer answer is better stands beside it: a judge that says no more than the
rule may have read nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from django.db.models import QuerySet

from workspace.measurement import judging, preferring, statistics
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Item, Measurement, Outcome, Preference
from workspace.measurement.statistics import Interval, Pair

Side = Preference.Side
RIGHT = (Cell.CORRECT, Cell.REFUSED)
FORMULAS = {
    "preferred": "(items on which a language model prefers the first one’s answer − those on which it prefers the "
    "second’s) / items judged; each two answers are shown in either order, and a judge that changes its mind makes a "
    "tie; the same text is a tie without asking. Told as rightness is: McNemar’s exact test on wins (the sign test), "
    "Holm over pairs, 95 % intervals of items and clusters",
    "order flips": "items on which the two orders differ / items asked in both",
    "longer preferred": "wins of the longer answer, in words / wins between answers of unlike length; 50 % is chance",
    "by length alone": "what the rule “the longer answer is better” makes of the same items: the baseline",
    "prefers the right one": "of items that only one of the two has right by its gold answers, and on which the judge "
    "prefers one: the share on which it prefers that one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferred:
    """Two lanes. ``pair`` counts items on which one of them is preferred as ``only_first`` and ``only_second``, and
    ``p`` is adjusted for all pairs (Holm). ``unscored`` items have an order in which the judge said nothing; ``same``
    are ties without asking."""

    first: str
    second: str
    pair: Pair
    p: float
    told: bool
    ties: int
    same: int
    flips: Interval | None
    unscored: int
    by_length: Pair
    longer: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """``failures`` are causes, and how many calls had each."""

    judge: str
    version: str
    pairs: Sequence[Preferred]
    flips: Interval | None
    longer: Interval | None
    right: Interval | None
    failures: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Judged:
    """One item between two lanes: ``won`` is 1 for the first, -1 for the second, 0 for a tie, and ``None`` unscored.
    ``said`` is what the judge said in either order; nothing where the text is the same."""

    first: Outcome
    second: Outcome
    won: int | None
    said: Sequence[Preference] = ()
    flipped: bool = False

    @property
    def same(self) -> bool:
        return not self.said

    @property
    def longer(self) -> int:
        """Which answer is the longer one, as ``won`` says it."""
        first, second = (len(row.text.split()) for row in (self.first, self.second))
        return (first > second) - (second > first)

    @property
    def right(self) -> int:
        """Which answer is right by its gold answers, where one alone is."""
        return (self.first.cell in RIGHT) - (self.second.cell in RIGHT) if self.first.cell != Cell.OPEN else 0


def preferences(measurement: Measurement) -> Preferences | None:
    """As far as they are; ``None`` where no two answers are judged."""
    judge = judging.pinned(measurement).get(judging.BETTER)
    if judge is None:
        return None
    judged = judgements(measurement)
    every = [one for rows in judged.values() for one in rows]
    if not every:
        return None
    failed = _said(measurement).filter(prefers="").values_list("failure__cause", flat=True)
    return Preferences(
        judge=judge.model,
        version=judge.digest[:12],
        pairs=_pairs(measurement, judged),
        flips=_flips(every),
        longer=_sided(every, [one.longer for one in every]),
        right=_sided(every, [one.right for one in every]),
        failures=Counter(map(str, failed)).most_common(6),
    )


def judgements(measurement: Measurement, item: Item | None = None) -> dict[tuple[int, int], list[Judged]]:
    """What was judged, by two lanes; of one item alone where it is given."""
    rows = _said(measurement).order_by("order")
    said = judging.in_both_orders(((row.item_id, row.first, row.second), row) for row in rows)
    found: dict[tuple[int, int], list[Judged]] = {}
    for first, second in preferring.pairs(measurement, item):
        if one := _judged(first, second, said.get((first.item_id, first.lane, second.lane), ())):
            found.setdefault((first.lane, second.lane), []).append(one)
    return found


def _said(measurement: Measurement) -> QuerySet[Preference]:
    return measurement.preferences.filter(judge__in=measurement.judges.all())


def _judged(first: Outcome, second: Outcome, said: Sequence[Preference]) -> Judged | None:
    """What both orders come to; ``None`` while they are not both there."""
    if preferring.is_same(first, second):
        return Judged(first, second, 0)
    if not said:
        return None
    sides = {row.prefers for row in said}
    if "" in sides:
        return Judged(first, second, None, said)
    if len(sides) > 1:
        return Judged(first, second, 0, said, flipped=True)
    return Judged(first, second, {Side.FIRST: 1, Side.SECOND: -1}.get(Side(said[0].prefers), 0), said)


def _pairs(measurement: Measurement, judged: dict[tuple[int, int], list[Judged]]) -> list[Preferred]:
    labels = [lane["label"] for lane in measurement.lanes]
    scored = {
        pair: [one for one in judged.get(pair, []) if one.won is not None]
        for pair in combinations(range(len(labels)), 2)
    }
    every = {pair: rows for pair, rows in scored.items() if rows}
    told = statistics.together([_paired(rows, [one.won or 0 for one in rows]) for rows in every.values()])
    return [
        Preferred(
            first=labels[first],
            second=labels[second],
            pair=pair,
            p=p,
            told=tells,
            ties=sum(one.won == 0 for one in rows),
            same=sum(one.same for one in rows),
            flips=_flips(rows),
            unscored=len(judged[first, second]) - len(rows),
            by_length=_paired(rows, [one.longer for one in rows]),
            longer=_sided(rows, [one.longer for one in rows]),
        )
        for ((first, second), rows), (pair, p, tells) in zip(every.items(), told, strict=True)
    ]


def _paired(rows: Sequence[Judged], won: Sequence[int]) -> Pair:
    return statistics.paired([one > 0 for one in won], [one < 0 for one in won], [row.first.item.group for row in rows])


def _flips(rows: Sequence[Judged]) -> Interval | None:
    asked = [one for one in rows if one.won is not None and not one.same]
    return statistics.rate([one.flipped for one in asked], [one.first.item.group for one in asked])


def _sided(rows: Sequence[Judged], sides: Sequence[int]) -> Interval | None:
    """How often the judge prefers the side that something else names, where both name one."""
    both = [(one, side) for one, side in zip(rows, sides, strict=True) if one.won and side]
    return statistics.rate([one.won == side for one, side in both], [one.first.item.group for one, _ in both])
