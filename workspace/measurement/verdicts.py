"""What each judge says in a report, with what its word is worth: its agreement with people, and length beside it.

Where length alone tells a judge's verdicts apart (an area of 1, or of 0), nothing shows that it read the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workspace.measurement import agreement, judging, statistics
from workspace.measurement.agreement import Measured
from workspace.measurement.metrics import ATTEMPTED, Cell
from workspace.measurement.models import Judgement, Measurement, Outcome
from workspace.measurement.statistics import Interval
from workspace.router.measures import auc

Verdict = Callable[[Outcome], bool | None]
LEAST_OF_A_KIND = 5  # verdicts of each kind that an area is told from
NO_GOLD = "RAGTruth holds no gold answers, so this rule can’t be held against its labels."
NOT_MEASURED = "Not measured yet: run manage.py judge_benchmark with this model."
SAID_NOTHING = "It named none of its choices."
FORMULAS = {
    "gold match": "answers that name a gold answer, word by word, / answers to answerable questions",
    "support by the evidence": "answers of which no sentence is unsupported by its passages / answers that claim "
    "something from passages",
    "model says right, supported": "a language model’s verdict, asked twice with its choices in either order; unscored "
    "where the two differ or it says neither",
    "agreement with people": "the judge’s flags against people’s marks on RAGTruth’s QA answers: F1 of what is not in "
    "the passages, precision and recall, intervals over questions",
    "length alone": "the chance that an answer with a good verdict is longer than one with a bad one; 50 % is chance",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeReport:
    """``shares`` and ``unscored`` are by lane. ``length`` is the area under the curve of answer length as the judge."""

    name: str
    says: str
    version: str
    shares: Sequence[Interval | None]
    unscored: Sequence[int]
    measured: Measured | None
    why_not: str
    length: float | None
    with_gold: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A language model as it judges, from the first answer to the last; ``version`` is of all of it."""

    name: str
    version: str
    model: str
    model_version: int | None
    provider_version: int | None
    parameters: Mapping[str, Any]
    words: str


def asked(measurement: Measurement) -> list[Asked]:
    """Every language model that judges, by what it is asked."""
    return [
        Asked(
            name=_named(measurement, asks), version=judge.digest[:12], model=judge.model,
            model_version=judge.model_version, provider_version=judge.provider_version, parameters=judge.parameters,
            words=judge.system(),
        )
        for asks, judge in judging.pinned(measurement).items()
    ]  # fmt: skip


def judges(measurement: Measurement, lanes: Sequence[Sequence[Outcome]]) -> list[JudgeReport]:
    """Gold match and support always; the language model where one judged."""
    found = []
    every = [row for rows in lanes for row in rows]
    if any(row.item.answers for row in every):
        found.append(_report("gold match", "names a gold answer", "1", lanes, _gold, _is_answerable, NO_GOLD))
    if any(row.support for row in every):
        version = agreement.support_version()
        found.append(
            _report(
                agreement.SUPPORT,
                "no sentence unsupported",
                version,
                lanes,
                _supported,
                _attempts,
                "",
                agreement.SUPPORT,
            )
        )
    return [*found, *(one for asks in judging.ASKS if (one := _by_model(measurement, asks, lanes)))]


def _by_model(measurement: Measurement, asks: str, lanes: Sequence[Sequence[Outcome]]) -> JudgeReport | None:
    version, told = _said(measurement, asks)
    if not told:
        return None

    def verdict(row: Outcome) -> bool | None:
        return told.get(row.pk)

    def concerns(row: Outcome) -> bool:
        return row.pk in told

    name = _named(measurement, asks)
    if asks == judging.RIGHT:
        return _report(name, "says what is held to be right", version, lanes, verdict, concerns, NO_GOLD)
    key = f"model {measurement.judge}"
    return _report(name, "every claim stands in the passages", version, lanes, verdict, concerns, NOT_MEASURED, key)


def verdicts(measurement: Measurement, asks: str) -> dict[int, bool | None]:
    """What the model that judges says of each answer, by its row; ``None`` where its two orders differ."""
    return _said(measurement, asks)[1]


def _said(measurement: Measurement, asks: str) -> tuple[str, dict[int, bool | None]]:
    """The version of the judge, and its verdicts."""
    judge = judging.pinned(measurement).get(asks)
    if judge is None:
        return "", {}
    rows = Judgement.objects.filter(outcome__measurement=measurement, judge=judge).order_by("order")
    said = judging.in_both_orders(rows.values_list("outcome_id", "verdict"))
    return judge.digest[:12], {outcome: judging.agreed(two) for outcome, two in said.items()}


def failures(measurement: Measurement) -> list[tuple[str, str, int]]:
    """Why verdicts are missing: which judge, cause, how many."""
    found = []
    for asks, judge in judging.pinned(measurement).items():
        rows = Judgement.objects.filter(outcome__measurement=measurement, judge=judge, verdict="")
        causes = Counter(cause or SAID_NOTHING for cause in rows.values_list("run__failure__cause", flat=True))
        found += [(_named(measurement, asks), cause, count) for cause, count in causes.most_common(6)]
    return found


def _named(measurement: Measurement, asks: str) -> str:
    return f"{measurement.judge} says {asks}"


def _report(
    name: str, says: str, version: str, lanes: Sequence[Sequence[Outcome]], verdict: Verdict,
    concerns: Callable[[Outcome], bool], why_not: str, key: str = "",
) -> JudgeReport:  # fmt: skip
    asked = [[row for row in rows if concerns(row)] for rows in lanes]
    said = [[(row, told) for row in rows if (told := verdict(row)) is not None] for rows in asked]
    every = [one for rows in said for one in rows]
    golden = [(told, _gold(row), row) for row, told in every if row.item.answers] if name != "gold match" else []
    measured = agreement.known(key, version) if key else None
    return JudgeReport(
        name=name,
        says=says,
        version=version,
        shares=[statistics.rate([told for _, told in rows], [row.item.group for row, _ in rows]) for rows in said],
        unscored=[len(rows) - len(told) for rows, told in zip(asked, said, strict=True)],
        measured=measured,
        why_not="" if measured else why_not,
        length=_area([len(row.text.split()) for row, _ in every], [told for _, told in every]),
        with_gold=statistics.rate([a == b for a, b, _ in golden], [row.item.group for _, _, row in golden]),
    )


def _area(lengths: Sequence[int], told: Sequence[bool]) -> float | None:
    if min(sum(told), len(told) - sum(told)) < LEAST_OF_A_KIND:
        return None
    return auc(np.array(lengths, float), np.array(told))


def _gold(row: Outcome) -> bool | None:
    return None if row.cell == Cell.UNSCORED else row.cell == Cell.CORRECT


def _supported(row: Outcome) -> bool | None:
    return None if row.support is None else not row.support["unsupported"]


def _is_answerable(row: Outcome) -> bool:
    return bool(row.item.answers)


def _attempts(row: Outcome) -> bool:
    """Whether there is something to judge, or there would be had the run not failed."""
    return row.cell in (*ATTEMPTED, Cell.OPEN, Cell.UNSCORED)
