"""Answers in which people marked what is not in the passages (RAGTruth's QA sample), and what rules make of them.

A rule that is a number flags an answer at the threshold that is best for other questions' answers. Nothing here is
kept: the data is only ever read.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval import support
from retrieval.lexical import terms
from workspace.types import Evidence, sha256

FOLDS = 5
SEED = 20_261_129

Array = NDArray[np.float64]
Truths = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Marked:
    """One answer, with the passages that it was given; ``hallucinated`` is what people say."""

    question: str
    passages: str
    answer: str
    group: str
    hallucinated: bool
    model: str = ""

    @property
    def evidence(self) -> Evidence:
        text = self.passages
        return Evidence(number=1, chunk_id="", document_id="", title="", text=text, digest=sha256(text), score=1.0)

    @property
    def grounds(self) -> dict[int, str]:
        """As the check under every answer has them."""
        return support.grounds([self.evidence], self.question)


def read(folder: Path) -> list[Marked]:
    """Raises FileNotFoundError when the folder holds no sample."""
    sources = {row["source_id"]: row for row in lines(folder / "ragtruth_qa_test_sources.jsonl.gz")}
    found = []
    for row in lines(folder / "ragtruth_qa_test_responses.jsonl.gz"):
        asked = sources[row["source_id"]]
        given = (asked["question"], asked["passages"], row["response"], row["source_id"])
        found.append(Marked(*given, bool(row["labels"]), row["model"]))
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as rows:
        return [json.loads(row) for row in rows]


def truths(rows: Sequence[Marked]) -> Truths:
    return np.array([row.hallucinated for row in rows])


def by_support(rows: Sequence[Marked]) -> Truths:
    """The check under every answer: flagged when a sentence is unsupported. Fitted on nothing."""
    verdicts = [[one.verdict for one in support.sentences(row.answer, row.grounds)] for row in rows]
    return np.array(["unsupported" in each for each in verdicts])


def lengths(rows: Sequence[Marked]) -> Array:
    """Content words: what a judge that reads nothing sees."""
    return np.array([len(terms(row.answer)) for row in rows], float)


def folds(rows: Sequence[Marked]) -> NDArray[np.intp]:
    """Which fold each answer lies in: all answers to one question in the same."""
    names, at = np.unique([row.group for row in rows], return_inverse=True)
    places: NDArray[np.intp] = np.random.default_rng(SEED).permutation(len(names))[at] % FOLDS
    return places


def at_best(score: Array, rows: Sequence[Marked]) -> Truths:
    """Flagged by the threshold that was best on the other folds."""
    fold_of, true, flagged = folds(rows), truths(rows), np.zeros(len(rows), bool)
    for fold in range(FOLDS):
        rest = fold_of != fold
        best = max(np.unique(score[rest]), key=lambda cut: _f1(score[rest] >= cut, true[rest]))
        flagged[~rest] = score[~rest] >= best
    return flagged


def _f1(flagged: Truths, true: Truths) -> float:
    both = float((flagged & true).sum())
    return 2 * both / float(flagged.sum() + true.sum()) if both else 0.0
