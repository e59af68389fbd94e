"""Tone and consistency in a report: how steady one lane is from repeat to repeat, and how alike lanes are.

Every figure is a mean over items, with the wider interval of drawing items and drawing clusters. What compares repeats
needs two answers to an item, what compares lanes an item that both have answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from workspace.measurement import statistics, tone
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Outcome
from workspace.measurement.statistics import Interval
from workspace.measurement.tone import FORMATS, Tone

FORMULAS = {
    "same verdict": "pairs of repeats of an item that fall into the same cell / all pairs; mean over items",
    "same words": "words in common between two answers: 2 × common / words of both (F1, SQuAD's normal form); mean",
    "length": "words of an answer; its spread is the standard deviation between repeats of an item / their mean",
    "reading ease": "Flesch: 206.835 − 1.015 × words a sentence − 84.6 × syllables a word; higher is easier",
    "formality": "100 − what speech has and prose has not, in a hundred words: 4 a contraction, 2 an “I” or “you”, "
    "8 an exclamation mark or a chatty opening. A rule of Onepane’s own",
    "format": "what Markdown marks up: headings, lists, bold, code, tables, citations; the same when all of it is",
}

Answers = Mapping[int, Sequence[Outcome]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steadiness:
    """One lane. What compares repeats is ``None`` where each item was asked once. ``formats`` are shares of an
    item's answers."""

    repeats: int
    verdict: Interval | None
    words: Interval | None
    length: Interval | None
    length_spread: Interval | None
    ease: Interval | None
    ease_spread: Interval | None
    formality: Interval | None
    formality_spread: Interval | None
    format: Interval | None
    formats: Mapping[str, Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two lanes on the same items. ``length``, ``ease`` and ``formality`` are the first less the second."""

    first: str
    second: str
    verdict: Interval | None
    words: Interval | None
    length: Interval | None
    ease: Interval | None
    formality: Interval | None
    format: Interval | None


def steadiness(rows: Sequence[Outcome]) -> Steadiness:
    by_item = _by_item(rows)
    tones = {row.pk: tone.tone(row.text) for row in rows}
    repeated = [answers for answers in by_item.values() if len(answers) > 1]

    def each(value: Callable[[Sequence[Outcome]], float | None], of: Sequence[Sequence[Outcome]]) -> Interval | None:
        told = [(found, answers[0].item.group) for answers in of if (found := value(answers)) is not None]
        return statistics.mean([value for value, _ in told], [cluster for _, cluster in told])

    def mean_of(name: str) -> Callable[[Sequence[Outcome]], float | None]:
        return lambda answers: _mean(_values(answers, tones, name))

    def apart(name: str) -> Callable[[Sequence[Outcome]], float | None]:
        """The range between repeats."""

        def span(answers: Sequence[Outcome]) -> float | None:
            values = _values(answers, tones, name)
            return max(values) - min(values) if len(values) > 1 else None

        return span

    def has(name: str) -> Callable[[Sequence[Outcome]], float | None]:
        return lambda answers: _mean([float(name in tones[row.pk].format) for row in answers])

    every = list(by_item.values())
    return Steadiness(
        repeats=max(map(len, every), default=0),
        verdict=each(lambda answers: tone.same([row.cell for row in answers]), repeated),
        words=each(lambda answers: tone.alike([row.text for row in answers]), repeated),
        length=each(mean_of("words"), every),
        length_spread=each(lambda answers: tone.spread([tones[row.pk].words for row in answers]), repeated),
        ease=each(mean_of("ease"), every),
        ease_spread=each(apart("ease"), repeated),
        formality=each(mean_of("formality"), every),
        formality_spread=each(apart("formality"), repeated),
        format=each(lambda answers: tone.same([tones[row.pk].format for row in answers]), repeated),
        formats={name: share for name in FORMATS if (share := each(has(name), every)) and share.value},
    )


def likenesses(labels: Sequence[str], lanes: Sequence[Sequence[Outcome]]) -> list[Likeness]:
    """Every two lanes, by their first answers; a run that failed gave none."""
    first = [{row.item_id: row for row in rows if row.repeat == 0 and row.cell != Cell.UNSCORED} for rows in lanes]
    return [
        _likeness(labels[a], labels[b], [(first[a][item], first[b][item]) for item in first[a] if item in first[b]])
        for a, b in combinations(range(len(labels)), 2)
    ]


def _likeness(first: str, second: str, pairs: Sequence[tuple[Outcome, Outcome]]) -> Likeness:
    tones = [(tone.tone(a.text), tone.tone(b.text)) for a, b in pairs]
    clusters = [a.item.group for a, _ in pairs]

    def apart(name: str) -> Interval | None:
        told = [
            (getattr(a, name) - getattr(b, name), cluster)
            for (a, b), cluster in zip(tones, clusters, strict=True)
            if getattr(a, name) is not None and getattr(b, name) is not None
        ]
        return statistics.mean([value for value, _ in told], [cluster for _, cluster in told])

    return Likeness(
        first=first,
        second=second,
        verdict=statistics.mean([float(a.cell == b.cell) for a, b in pairs], clusters),
        words=statistics.mean([tone.alike([a.text, b.text]) for a, b in pairs], clusters),
        length=apart("words"),
        ease=apart("ease"),
        formality=apart("formality"),
        format=statistics.mean([float(a.format == b.format) for a, b in tones], clusters),
    )


def _by_item(rows: Sequence[Outcome]) -> Answers:
    found: dict[int, list[Outcome]] = {}
    for row in rows:
        if row.cell != Cell.UNSCORED:
            found.setdefault(row.item_id, []).append(row)
    return found


def _values(answers: Sequence[Outcome], tones: Mapping[int, Tone], name: str) -> list[float]:
    return [float(value) for row in answers if (value := getattr(tones[row.pk], name)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None
