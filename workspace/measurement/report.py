"""What a measurement says: each lane's figures with intervals, what can be told apart, and where lanes differ.

A report is values; a page, a JSON file and a command print the same ones. Formulas stand in ``FORMULAS``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from itertools import combinations
from typing import Any

from workspace.measurement import statistics
from workspace.measurement.metrics import ATTEMPTED, Cell
from workspace.measurement.models import Item, Measurement, Outcome
from workspace.measurement.statistics import Interval, Pair
from workspace.router import catalog
from workspace.types import plain

MOST_DIFFERENT = 200  # items shown where lanes differ
FORMULAS = {
    "correct": "answerable questions whose answer names a gold answer / all answerable ones that were scored",
    "hallucinated": "(wrong + invented) / (correct + wrong + invented)",
    "attempted": "(correct + wrong + invented) / all that were scored",
    "first token": "seconds from the decision to ask until the first token, reasoning included; median",
    "first answer token": "the same, until the first token that is no reasoning; median",
    "between tokens": "(last - first token) / (tokens - 1), milliseconds; mean",
    "1,000 answers": "mean cost of an answer x 1,000; unknown where a price is",
    "supported": "sentences that rest on a passage / all sentences of grounded answers",
    "not found": "wrong answers whose passages held no gold answer: the search's fault",
    "misread": "wrong answers whose passages held it: the model's",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneReport:
    label: str
    model: str
    mark: int
    cells: Mapping[str, int]
    correct: Interval | None
    hallucinated: Interval | None
    attempted: Interval | None
    right: Interval | None
    f1: Interval | None
    exact: Interval | None
    first_token: Interval | None
    first_token_p95: Interval | None
    first_answer: Interval | None
    total: Interval | None
    between_tokens: float | None
    tokens: float | None
    estimated: bool
    per_thousand: Decimal | None
    supported: Interval | None
    not_found: int
    misread: int
    unscored: int
    agreement: Interval | None
    times: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class PairReport:
    """``p`` is adjusted for all pairs (Holm)."""

    first: str
    second: str
    pair: Pair
    p: float
    told: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Differing:
    """One item, and what each lane made of it: its cell, text and run."""

    question: str
    gold: Sequence[str]
    answers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    headline: str
    answerable: int
    unanswerable: int
    lanes: Sequence[LaneReport]
    pairs: Sequence[PairReport]
    differing: Sequence[Differing]
    differ: int
    done: int
    of: int
    cost: Decimal

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the formulas."""
        found: dict[str, Any] = plain(asdict(self))
        return {**found, "formulas": FORMULAS}


def report(measurement: Measurement) -> Report:
    rows = list(measurement.outcomes.select_related("item").defer("item__evidence").order_by("item", "lane", "repeat"))
    items = list(Item.objects.filter(suite=measurement.suite_id).defer("evidence"))
    marks = {name: one.mark for name, one in catalog.load_sync().candidates.items()}
    lanes = [
        _lane(lane, [row for row in rows if row.lane == at], marks.get(lane["model"], -1))
        for at, lane in enumerate(measurement.lanes)
    ]
    pairs = _pairs(measurement, rows)
    differing = _differing(measurement, rows)
    return Report(
        headline=_headline(lanes, pairs),
        answerable=sum(bool(item.answers) for item in items),
        unanswerable=sum(not item.answers for item in items),
        lanes=lanes,
        pairs=pairs,
        differing=differing[:MOST_DIFFERENT],
        differ=len(differing),
        done=len(rows),
        of=len(items) * len(measurement.lanes) * measurement.repeats,
        cost=sum((row.cost for row in rows if row.cost is not None), Decimal(0)),
    )


def _lane(lane: Mapping[str, Any], rows: Sequence[Outcome], mark: int) -> LaneReport:
    cells = Counter(row.cell for row in rows)
    scored = [row for row in rows if row.cell != Cell.UNSCORED]
    answerable = [row for row in scored if row.item.answers]
    attempted = sum(cells[cell] for cell in ATTEMPTED)
    costs = [row.cost for row in scored]
    times = sorted(row.first_token_s for row in scored if row.first_token_s is not None)
    wrong = [row for row in answerable if row.cell == Cell.WRONG]
    return LaneReport(
        label=lane["label"],
        model=lane["model"],
        mark=mark,
        cells={cell.value: cells[cell] for cell in Cell},
        correct=statistics.share(cells[Cell.CORRECT], len(answerable)),
        hallucinated=statistics.share(cells[Cell.WRONG] + cells[Cell.INVENTED], attempted),
        attempted=statistics.share(attempted, len(scored)),
        right=_of(scored, lambda row: float(_is_right(row))),
        f1=_of(answerable, lambda row: row.f1),
        exact=_of(answerable, lambda row: float(row.exact)),
        first_token=statistics.median(times),
        first_token_p95=statistics.p95(times),
        first_answer=statistics.median([row.first_answer_s for row in scored if row.first_answer_s is not None]),
        total=statistics.median([row.total_s for row in scored if row.total_s is not None]),
        between_tokens=_between(scored),
        tokens=_mean([float(row.tokens_output) for row in scored if row.tokens_output is not None]),
        estimated=any(row.estimated for row in scored),
        per_thousand=None
        if not costs or None in costs
        else sum((cost for cost in costs if cost is not None), Decimal(0)) * 1000 / len(costs),
        supported=_support(scored),
        not_found=sum(not row.found for row in wrong),
        misread=sum(row.found for row in wrong),
        unscored=cells[Cell.UNSCORED],
        agreement=_agreement(scored),
        times=times,
    )


def _support(rows: Sequence[Outcome]) -> Interval | None:
    told = [row.support for row in rows if row.support]
    every = sum(sum(one.values()) for one in told)
    return statistics.share(sum(one.get("supported", 0) for one in told), every)


def _of(rows: Sequence[Outcome], value: Any) -> Interval | None:
    return statistics.mean([value(row) for row in rows], [row.item.cluster or row.item.key for row in rows])


def _between(rows: Sequence[Outcome]) -> float | None:
    """Milliseconds between two tokens, of answers long enough to say."""
    told = [
        (row.total_s - row.first_token_s) / (row.tokens_output - 1) * 1000
        for row in rows
        if row.total_s is not None and row.first_token_s is not None and row.tokens_output and row.tokens_output > 4
    ]
    return _mean(told)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _agreement(rows: Sequence[Outcome]) -> Interval | None:
    """How often two repeats of one item fall into the same cell; of none where each was asked once."""
    by_item: dict[int, list[str]] = {}
    for row in rows:
        by_item.setdefault(row.item_id, []).append(row.cell)
    shares = [
        sum(a == b for a, b in combinations(cells, 2)) / (len(cells) * (len(cells) - 1) / 2)
        for cells in by_item.values()
        if len(cells) > 1
    ]
    return statistics.mean(shares)


def _is_right(row: Outcome) -> bool:
    return row.cell in (Cell.CORRECT, Cell.REFUSED)


def _pairs(measurement: Measurement, rows: Sequence[Outcome]) -> list[PairReport]:
    """Every two lanes, on the answers that both have scored."""
    labels = [lane["label"] for lane in measurement.lanes]
    right = {(row.lane, row.item_id, row.repeat): _is_right(row) for row in rows if row.cell != Cell.UNSCORED}
    clusters = {row.item_id: row.item.cluster or row.item.key for row in rows}
    found = []
    for a, b in combinations(range(len(labels)), 2):
        both = [(item, repeat) for lane, item, repeat in right if lane == a and (b, item, repeat) in right]
        if both:
            first, second = ([right[lane, item, repeat] for item, repeat in both] for lane in (a, b))
            found.append((labels[a], labels[b], statistics.paired(first, second, [clusters[item] for item, _ in both])))
    adjusted = statistics.holm([pair.p for _, _, pair in found])
    return [
        PairReport(first=a, second=b, pair=pair, p=p, told=pair.tells(p))
        for (a, b, pair), p in zip(found, adjusted, strict=True)
    ]


def _differing(measurement: Measurement, rows: Sequence[Outcome]) -> list[Differing]:
    """Items whose first answers fall into different cells."""
    by_item: dict[int, dict[int, Outcome]] = {}
    for row in rows:
        if row.repeat == 0:
            by_item.setdefault(row.item_id, {})[row.lane] = row
    lanes = range(len(measurement.lanes))
    found = []
    for answers in by_item.values():
        if len({row.cell for row in answers.values()}) > 1:
            item = next(iter(answers.values())).item
            shown = [_shown(answers.get(lane)) for lane in lanes]
            found.append(Differing(question=item.question, gold=item.answers, answers=shown))
    return found


def _shown(row: Outcome | None) -> Mapping[str, Any]:
    if row is None:
        return {"cell": "", "text": "", "run": None}
    text = row.text if not row.failure else str(row.failure.get("cause", ""))
    return {"cell": row.cell, "text": text[:400], "run": row.run_id}


def _headline(lanes: Sequence[LaneReport], pairs: Sequence[PairReport]) -> str:
    """One sentence a team can decide from."""
    scored = [lane for lane in lanes if lane.right]
    if len(scored) < 2:
        return f"{scored[0].label} is measured alone." if scored else "Nothing is measured yet."
    best = max(scored, key=lambda lane: lane.right.value if lane.right else 0.0)
    rivals = [one for one in pairs if best.label in (one.first, one.second)]
    untold = [one.second if one.first == best.label else one.first for one in rivals if not one.told]
    if not untold:
        return f"{best.label} is right more often than every other."
    if len(untold) == len(rivals):
        return f"Between {_and([best.label, *untold])}, this run cannot tell."
    return f"{best.label} leads, but between it and {_and(untold)} this run cannot tell."


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
