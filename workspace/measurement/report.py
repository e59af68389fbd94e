"""What a measurement says: figures with intervals, what can be told apart and what can't, and where lanes differ.

Read from the outcomes alone, at any moment: a measurement that is half done has a report of its half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from workspace.measurement import consistency, judging, preferences, progress, speed, statistics, verdicts
from workspace.measurement.abstaining import RULE
from workspace.measurement.consistency import Likeness, Steadiness
from workspace.measurement.metrics import ATTEMPTED, Cell
from workspace.measurement.models import Item, Measurement, Outcome
from workspace.measurement.preferences import Preferences
from workspace.measurement.progress import Progress
from workspace.measurement.speed import Completed, Speed
from workspace.measurement.statistics import Interval, Pair
from workspace.measurement.verdicts import Asked, JudgeReport
from workspace.router import catalog
from workspace.types import plain

MOST_DIFFERENT = 200  # items shown where lanes differ
KEPT = 16  # reports in memory
FORMULAS = {
    "correct": "answerable questions whose answer names a gold answer / all answerable ones that were scored",
    "hallucinated": "(wrong + invented) / (correct + wrong + invented)",
    "abstained": RULE,
    "attempted": "(correct + wrong + invented) / all that were scored by gold answers; open questions have none",
    "right": "(correct + rightly abstained) / all that were scored; what two models are compared by. An answer to an "
    "open question is right where the judge says so, and wrong where it abstains",
    "exact match": "the whole answer is a gold answer, in SQuAD’s normal form: lower case, no punctuation, no articles",
    "F1": "words in common with the best gold answer, SQuAD’s; mean over the answers to answerable questions",
    "not found": "wrong answers whose passages held no gold answer: the search’s fault",
    "misread": "wrong answers whose passages held one: the model’s",
    "closed book": "the same questions without passages, correct / answerable: what a model knew before",
    "1,000 answers": "mean cost of an answer × 1,000; unknown where a price is",
    "interval": "95 %: Wilson for shares, order statistics for medians, else percentiles of 2,000 bootstrap samples, "
    "as far apart as Student’s t asks for; items and, where there are any, clusters are drawn, the wider one is shown",
    "apart": "McNemar’s exact test on items that one of two has right; where there are clusters, the share of all ways "
    "to change the signs of their differences that lie as far from 0, if that is larger; p adjusted by Holm for all "
    "pairs; told when p < 0.05 and the interval of the difference leaves out 0",
    "would tell": "items at which McNemar’s test would see a difference of this size with 80 % power, at 0.05 / pairs, "
    "times by how much clusters tell less than as many independent items",
}
EVERY_FORMULA = {
    **FORMULAS, **speed.FORMULAS, **verdicts.FORMULAS, **preferences.FORMULAS, **consistency.FORMULAS,
}  # fmt: skip


Cache = Measurement.Cache
Right = Callable[[Outcome], bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReport:
    label: str
    model: str
    mark: int
    answers: int
    cells: Mapping[str, int]
    correct: Interval | None
    hallucinated: Interval | None
    attempted: Interval | None
    tried: int
    scored: int
    right: Interval | None
    f1: Interval | None
    exact: Interval | None
    closed_book: Interval | None
    speed: Speed
    completed: Completed | None
    tokens: float | None
    per_thousand: Decimal | None
    not_found: int
    misread: int
    unscored: int
    steadiness: Steadiness

    @property
    def first_token(self) -> Interval | None:
        return self.speed.first_token

    @property
    def times(self) -> Sequence[float]:
        return self.speed.times


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """``p`` is adjusted for all pairs (Holm)."""

    first: str
    second: str
    pair: Pair
    p: float
    told: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """Items that have something in common, and what each lane had right of them."""

    name: str
    items: int
    shares: Sequence[Interval | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One item, and what each lane made of it: its cell, whether that is right, its text and run."""

    position: int
    question: str
    gold: Sequence[str] | None
    answers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    headline: str
    answerable: int
    unanswerable: int
    open: int
    lanes: Sequence[LaneReport]
    pairs: Sequence[PairReport]
    topics: Sequence[Topic]
    judges: Sequence[JudgeReport]
    asked: Sequence[Asked]
    preferences: Preferences | None
    likenesses: Sequence[Likeness]
    differing: Sequence[Differing]
    differ: int
    failures: Sequence[tuple[str, str, int]]
    progress: Sequence[Progress]
    cost: Decimal

    @property
    def questions(self) -> int:
        return self.answerable + self.unanswerable + self.open

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the formulas."""
        found: dict[str, Any] = plain(asdict(self))
        return {**found, "formulas": EVERY_FORMULA}


def report(measurement: Measurement) -> Report:
    """Counted anew when something has been added, and kept else: a page that is looked at costs nothing."""
    key = (measurement.pk, *progress.counts(measurement))
    found = _kept.get(key)  # another thread may drop it at any time
    if found is None:
        while len(_kept) >= KEPT:
            _kept.pop(next(iter(_kept)), None)
        found = _kept[key] = _counted(measurement)
    return found


def _counted(measurement: Measurement) -> Report:
    rows = list(measurement.outcomes.select_related("item").order_by("item__position", "lane", "repeat"))
    items = list(Item.objects.filter(suite=measurement.suite_id).only("answers"))
    marks = {name: one.mark for name, one in catalog.load_sync().candidates.items()}
    shown = [at for at, lane in enumerate(measurement.lanes) if not lane.get("closed")]
    by_lane = {at: [row for row in rows if row.lane == at] for at in range(len(measurement.lanes))}
    right = rightness(measurement)
    lanes = [_lane(measurement, at, by_lane, right, marks.get(measurement.lanes[at]["model"], -1)) for at in shown]
    labels = [lane.label for lane in lanes]
    pairs = _pairs(labels, [by_lane[at] for at in shown], right)
    differing = _differing(shown, [row for at in shown for row in by_lane[at]], right)
    return Report(
        headline=_headline(lanes, pairs),
        answerable=sum(bool(item.answers) for item in items),
        unanswerable=sum(item.answers == [] for item in items),
        open=sum(item.answers is None for item in items),
        lanes=lanes,
        pairs=pairs,
        topics=_topics([by_lane[at] for at in shown], right),
        judges=verdicts.judges(measurement, [by_lane[at] for at in shown]),
        asked=verdicts.asked(measurement),
        preferences=preferences.preferences(measurement),
        likenesses=consistency.likenesses(labels, [by_lane[at] for at in shown]),
        differing=differing[:MOST_DIFFERENT],
        differ=len(differing),
        failures=[*_failures(measurement, rows), *verdicts.failures(measurement)],
        progress=progress.progress(measurement),
        cost=progress.spent(measurement),
    )


_kept: dict[tuple[Any, ...], Report] = {}


def rightness(measurement: Measurement) -> Right:
    """Whether an answer is right: by its cell, and of an open item by the model that judges, which is not asked of one
    that abstains: that says nothing that is held to be right. ``None`` where nobody can say."""
    judged = verdicts.verdicts(measurement, judging.RIGHT) if measurement.judge else {}

    def right(row: Outcome) -> bool | None:
        if row.cell == Cell.OPEN:
            return False if measurement.judge and judging.passes(row) else judged.get(row.pk)
        return None if row.cell == Cell.UNSCORED else row.cell in (Cell.CORRECT, Cell.REFUSED)

    return right


def by_item(rows: Sequence[Outcome], right: Right) -> dict[int, tuple[bool, str]]:
    """Whether most answers to an item are right (the first decides where they are split), and its cluster: an item
    counts once, however often it was asked."""
    said: dict[int, list[bool]] = {}
    clusters: dict[int, str] = {}
    for row in rows:
        if (told := right(row)) is not None:
            said.setdefault(row.item_id, []).append(told)
            clusters[row.item_id] = row.item.group
    return {item: (_most(told), clusters[item]) for item, told in said.items()}


def _most(told: Sequence[bool]) -> bool:
    return told[0] if 2 * sum(told) == len(told) else 2 * sum(told) > len(told)


def _lane(
    measurement: Measurement, at: int, by_lane: Mapping[int, Sequence[Outcome]], right: Right, mark: int
) -> LaneReport:
    lane, rows = measurement.lanes[at], by_lane[at]
    cells = Counter(row.cell for row in rows)
    scored = [row for row in rows if row.cell not in (Cell.UNSCORED, Cell.OPEN)]
    answered = [row for row in rows if row.cell != Cell.UNSCORED]
    answerable = [row for row in scored if row.item.answers]
    tried = [row for row in scored if row.cell in ATTEMPTED]
    wrong = [row for row in answerable if row.cell == Cell.WRONG]
    twin = next((n for n, one in enumerate(measurement.lanes) if one.get("of") == at), None)
    timed = [row for row in measurement.timed.all() if row.lane == at] if measurement.completions else []
    costs = [row.cost for row in answered]
    told = [row for row in rows if right(row) is not None]
    return LaneReport(
        label=lane["label"],
        model=lane["model"],
        mark=mark,
        answers=len(rows),
        cells={cell.value: cells[cell] for cell in Cell},
        correct=_rate(answerable, lambda row: row.cell == Cell.CORRECT),
        hallucinated=_rate(tried, lambda row: row.cell != Cell.CORRECT),
        attempted=_rate(scored, lambda row: row.cell in ATTEMPTED),
        tried=len(tried),
        scored=len(scored),
        right=_rate(told, lambda row: bool(right(row))),
        f1=_mean([row for row in answered if row.item.answers], lambda row: row.f1),
        exact=_rate(answerable, lambda row: row.exact),
        closed_book=None if twin is None else _closed(by_lane[twin]),
        speed=speed.speed([row for row in answered if not (row.repeat and measurement.cache == Cache.TEMPLATE)]),
        completed=speed.completed(timed) if measurement.completions else None,
        tokens=_average([float(row.tokens_output) for row in answered if row.tokens_output is not None]),
        per_thousand=None
        if not costs or None in costs
        else sum((cost for cost in costs if cost is not None), Decimal(0)) * 1000 / len(costs),
        not_found=sum(not row.found for row in wrong),
        misread=sum(row.found for row in wrong),
        unscored=cells[Cell.UNSCORED],
        steadiness=consistency.steadiness(rows),
    )


def _closed(rows: Sequence[Outcome]) -> Interval | None:
    scored = [row for row in rows if row.cell != Cell.UNSCORED and row.item.answers]
    return _rate(scored, lambda row: row.cell == Cell.CORRECT)


def _rate(rows: Sequence[Outcome], hit: Callable[[Outcome], bool]) -> Interval | None:
    return statistics.rate([hit(row) for row in rows], [row.item.group for row in rows])


def _mean(rows: Sequence[Outcome], value: Callable[[Outcome], float]) -> Interval | None:
    return statistics.mean([value(row) for row in rows], [row.item.group for row in rows])


def _average(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _pairs(labels: Sequence[str], lanes: Sequence[Sequence[Outcome]], right: Right) -> list[PairReport]:
    """Every two lanes, on the items that both have answers to that were scored."""
    items = [by_item(rows, right) for rows in lanes]
    found = []
    for a, b in combinations(range(len(labels)), 2):
        both = [item for item in items[a] if item in items[b]]
        if both:
            first, second = ([items[lane][item][0] for item in both] for lane in (a, b))
            found.append((labels[a], labels[b], statistics.paired(first, second, [items[a][item][1] for item in both])))
    told = statistics.together([pair for _, _, pair in found])
    return [
        PairReport(first=a, second=b, pair=pair, p=p, told=tells)
        for (a, b, _), (pair, p, tells) in zip(found, told, strict=True)
    ]


def _topics(lanes: Sequence[Sequence[Outcome]], right: Right) -> list[Topic]:
    """The largest first; none where items have nothing in common. An item counts once, however often it was asked."""
    told = [by_item(rows, right) for rows in lanes]
    items: dict[str, set[int]] = {}
    for row in (row for rows in lanes for row in rows):
        if row.item.cluster and any(row.item_id in one for one in told):
            items.setdefault(row.item.cluster, set()).add(row.item_id)
    found = [
        Topic(
            name=name,
            items=len(of),
            shares=[statistics.rate([one[item][0] for item in of if item in one]) for one in told],
        )
        for name, of in items.items()
    ]
    return sorted(found, key=lambda topic: (-topic.items, topic.name)) if len(found) > 1 else []


def _differing(lanes: Sequence[int], rows: Sequence[Outcome], right: Right) -> list[Differing]:
    """Items whose first answers fall into different cells, or of which one is right and another wrong."""
    answers: dict[int, dict[int, Outcome]] = {}
    for row in rows:
        if row.repeat == 0:
            answers.setdefault(row.item_id, {})[row.lane] = row
    found = []
    for told in answers.values():
        rights = {row.pk: right(row) for row in told.values()}
        if len({row.cell for row in told.values()}) > 1 or {True, False} <= set(rights.values()):
            item = next(iter(told.values())).item
            shown = [_shown(row, rights.get(row.pk) if row else None) for row in map(told.get, lanes)]
            found.append(Differing(position=item.position, question=item.question, gold=item.answers, answers=shown))
    return sorted(found, key=lambda one: (not is_split({answer["cell"] for answer in one.answers}), one.position))


def is_split(cells: Collection[str]) -> bool:
    """Whether models answered an item differently, and not only one run failed: such items stand first."""
    return len(set(cells) - {"", Cell.UNSCORED}) > 1


def _shown(row: Outcome | None, right: bool | None) -> Mapping[str, Any]:
    if row is None:
        return {"cell": "", "right": None, "text": "", "run": None}
    text = row.text if not row.failure else str(row.failure.get("cause", ""))
    return {"cell": row.cell, "right": right, "text": text[:400], "run": row.run_id}


def _failures(measurement: Measurement, rows: Sequence[Outcome]) -> list[tuple[str, str, int]]:
    """Why answers are unscored: lane, cause, how many."""
    causes = Counter(
        (measurement.lanes[row.lane]["label"], str((row.failure or {}).get("cause", "")))
        for row in rows
        if row.cell == Cell.UNSCORED
    )
    return [(label, cause, count) for (label, cause), count in causes.most_common(12)]


def _headline(lanes: Sequence[LaneReport], pairs: Sequence[PairReport]) -> str:
    """One or two sentences a team can decide from."""
    scored = [lane for lane in lanes if lane.right]
    if len(scored) < 2:
        return f"{scored[0].label} is measured alone." if scored else "Nothing is measured yet."
    best = max(scored, key=lambda lane: lane.right.value if lane.right else 0.0)
    rivals = [lane.label for lane in scored if lane is not best]
    told = {frozenset((one.first, one.second)) for one in pairs if one.told}  # a pair may have no item in common
    untold = [rival for rival in rivals if frozenset((best.label, rival)) not in told]
    return " ".join(filter(None, (_leads(best.label, untold, rivals), _invents(scored))))


def _leads(best: str, untold: Sequence[str], rivals: Sequence[str]) -> str:
    if not untold:
        return f"{best} is right more often than every other."
    if len(untold) == len(rivals):
        return f"Between {_and([best, *untold])}, this run cannot tell."
    return f"{best} leads, but between it and {_and(untold)} this run cannot tell."


def _invents(lanes: Sequence[LaneReport]) -> str:
    """Who hallucinates more than every other, by intervals that do not touch."""
    told = [lane for lane in lanes if lane.hallucinated]
    if len(told) < 2:
        return ""
    worst = max(told, key=lambda lane: lane.hallucinated.value if lane.hallucinated else 0.0)
    others = [lane.hallucinated for lane in told if lane is not worst]
    apart = all(worst.hallucinated and one and worst.hallucinated.low > one.high for one in others)
    return f"{worst.label} hallucinates more than {'the others' if len(others) > 1 else 'the other'}." if apart else ""


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
