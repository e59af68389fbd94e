"""How well each judge agrees with people, measured on answers that people marked (RAGTruth's QA sample). The rule for
abstention is held against the same answers and others of HaluEval, which somebody read for it.

What was measured when the product was released stands in ``agreement.json``, with the version of each judge; what is
measured here is a row, and counts for more. A judge that has changed since is said to be another version. The data
itself is read by ``manage.py judge_benchmark`` alone, and never kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from django.utils import timezone

from retrieval import support
from workspace.measurement import abstaining
from workspace.measurement.models import Agreement
from workspace.measurement.statistics import Interval
from workspace.types import sha256

FILE = Path(__file__).parent / "agreement.json"
DATASET = "RAGTruth QA, test"
SUPPORT = "support by the evidence"
LENGTH = "length alone"
ABSTENTION = "abstention by words"
RESAMPLES = 1_000
SEED = 20_261_129


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """How a judge's flags meet people's: of ``answers`` that it judged, ``unscored`` it could not. ``same`` is the
    share on which both say the same, ``kappa`` that share beyond chance."""

    judge: str
    version: str
    dataset: str
    answers: int
    unscored: int
    precision: Interval
    recall: Interval
    f1: Interval
    same: Interval
    kappa: float
    is_current: bool = True


def measure(
    judge: str,
    version: str,
    flagged: Sequence[bool | None],
    truths: Sequence[bool],
    groups: Sequence[object],
    *,
    dataset: str = DATASET,
) -> Measured:
    """``None`` is an answer that the judge could not judge. Intervals are over groups (questions) drawn again."""
    judged = [at for at, flag in enumerate(flagged) if flag is not None]
    said = np.array([bool(flagged[at]) for at in judged])
    true = np.array([truths[at] for at in judged])
    _, group = np.unique([repr(groups[at]) for at in judged], return_inverse=True)
    counts = np.column_stack(
        [np.bincount(group, weights=kind) for kind in (said & true, said & ~true, ~said & true, ~said & ~true)]
    )
    chance = np.random.default_rng(SEED)
    drawn = counts[chance.integers(0, len(counts), (RESAMPLES, len(counts)))].sum(axis=1)
    whole, many = _figures(counts.sum(axis=0)[None]), _figures(drawn)
    told: dict[str, Any] = {
        name: Interval(*(round(float(x), 4) for x in (whole[name][0], *np.quantile(many[name], [0.025, 0.975]))))
        for name in ("precision", "recall", "f1", "same")
    }
    return Measured(
        judge=judge, version=version, dataset=dataset, answers=len(judged), unscored=len(flagged) - len(judged),
        kappa=round(float(whole["kappa"][0]), 4), **told,
    )  # fmt: skip


def known(judge: str, version: str) -> Measured | None:
    """What is known of a judge: of this version if it was measured, else of another."""
    found = [*(row.figures for row in Agreement.objects.filter(judge=judge)), *(_shipped().get(judge, []))]
    found.sort(key=lambda figures: figures["version"] != version)
    return _read(found[0], version) if found else None


def keep(measured: Measured) -> None:
    Agreement.objects.update_or_create(
        judge=measured.judge, version=measured.version, dataset=measured.dataset,
        defaults={"figures": _plain(measured), "created": timezone.now()},
    )  # fmt: skip


def write(measured: Sequence[Measured]) -> None:
    """Into the file that is released with the product."""
    FILE.write_text(json.dumps([_plain(one) for one in measured], indent=1) + "\n")
    _shipped.cache_clear()


@cache
def support_version() -> str:
    """The version of the check under every answer: the digest of the file that holds its rules."""
    assert support.__file__
    return sha256(Path(support.__file__).read_bytes())[:12]


@cache
def abstention_version() -> str:
    assert abstaining.__file__
    return sha256(Path(abstaining.__file__).read_bytes())[:12]


@cache
def _shipped() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads(FILE.read_text()):
        found.setdefault(one["judge"], []).append(one)
    return found


def _plain(measured: Measured) -> dict[str, Any]:
    figures = asdict(measured)
    del figures["is_current"]
    return figures


def _read(figures: dict[str, Any], version: str) -> Measured:
    told: dict[str, Any] = {
        name: Interval(**value) if isinstance(value, dict) else value for name, value in figures.items()
    }
    return Measured(**told, is_current=figures["version"] == version)


def _figures(counts: Any) -> dict[str, Any]:
    """Of rows of true and false positives, false and true negatives."""
    hit, false, missed, quiet = (counts[:, at].astype(float) for at in range(4))
    n = hit + false + missed + quiet

    def over(above: Any, below: Any) -> Any:
        return np.divide(above, below, out=np.zeros_like(above), where=below > 0)

    same = over(hit + quiet, n)
    by_chance = over((hit + false) * (hit + missed) + (missed + quiet) * (false + quiet), n * n)
    return {
        "precision": over(hit, hit + false),
        "recall": over(hit, hit + missed),
        "f1": over(2 * hit, 2 * hit + false + missed),
        "same": same,
        "kappa": over(same - by_chance, 1 - by_chance),
    }
