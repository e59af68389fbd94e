"""The check of support, measured on answers in which people marked what is not in the passages (RAGTruth's QA sample).

An answer is flagged when one of its sentences is unsupported: the product's own rule, fitted on nothing. Beside it
stand the share of novel words and the length at the best threshold that other questions' answers give, and a logistic
regression on what the check sees, all cross-validated by question; with embeddings at hand, also how near each sentence
is to some passage by meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import terms
from retrieval.measures import auroc
from retrieval.support import invented, sentences
from workspace.measurement import agreement, marked
from workspace.measurement.marked import Array, Marked, Truths

PULL = 1.0  # of the regression's weights to nothing

# Prompting GPT-4-turbo, as published for the whole test split (Niu et al., RAGTruth, 2024, table 5).
PUBLISHED = ("GPT-4-turbo, prompted (published)", 0.332, 0.906, 0.456)

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Scored:
    """How a rule flags answers: F1 with the middle 95 % over questions drawn again."""

    rule: str
    precision: float
    recall: float
    f1: float
    low: float
    high: float
    auroc: float | None = None


@dataclass(frozen=True, slots=True)
class Report:
    answers: int
    hallucinated: int
    rules: Sequence[Scored]
    by_generator: Sequence[Generator]


@dataclass(frozen=True, slots=True)
class Generator:
    """The product's rule on the answers of one model alone."""

    name: str
    answers: int
    hallucinated: int
    f1: float
    low: float
    high: float


def measure(folder: Path, embed: Embed | None = None) -> Report:
    """Raises FileNotFoundError when the folder holds no sample."""
    rows = marked.read(folder)
    ours, seen = marked.by_support(rows), np.array([_seen(row) for row in rows])
    rules = [
        _scored("a sentence is unsupported (the product's rule)", ours, rows),
        _at_best("regression on the same", _regressed(seen, rows), rows),
        _at_best("share of novel words", seen[:, 2], rows),
        _at_best("length alone", marked.lengths(rows), rows),
        _scored("every answer", np.ones(len(rows), bool), rows),
    ]
    if embed:
        rules.append(_at_best("MiniLM similarity", _far(rows, embed), rows))
    by = [_generator(name, ours, rows) for name in sorted({row.model for row in rows})]
    return Report(len(rows), int(marked.truths(rows).sum()), rules, by)


def _generator(name: str, ours: Truths, rows: Sequence[Marked]) -> Generator:
    its = [at for at, row in enumerate(rows) if row.model == name]
    of = [rows[at] for at in its]
    told = _scored(name, ours[its], of)
    return Generator(name, len(of), int(marked.truths(of).sum()), told.f1, told.low, told.high)


def _far(rows: Sequence[Marked], embed: Embed) -> Array:
    """How far the sentence that is farthest from every sentence of the passages is from the nearest of them."""
    grounds = {row.passages: _pieces(row.passages) for row in rows}
    said = [_pieces(row.answer) for row in rows]
    texts = list(dict.fromkeys(text for those in (*grounds.values(), *said) for text in those))
    vectors = dict(zip(texts, embed(texts), strict=True))
    stacked = {ground: np.array([vectors[text] for text in those]) for ground, those in grounds.items()}
    least = [
        min((float((stacked[row.passages] @ vectors[text]).max()) for text in those), default=1.0)
        for row, those in zip(rows, said, strict=True)
    ]
    return 1.0 - np.array(least)


def _pieces(text: str) -> list[str]:
    return [piece for piece in re.split(r"(?<=[.!?])\s+|\n+", text) if len(piece.split()) > 2] or [text]


def _seen(row: Marked) -> list[float]:
    """Unsupported and weak sentences, share and number of novel words, invented numbers and names, words, worst
    sentence."""
    ground = set(terms(row.grounds[1]))
    words = set(terms(row.answer))
    found = sentences(row.answer, row.grounds)
    verdicts = [one.verdict for one in found]
    told = [set(terms(row.answer[one.start : one.end])) for one in found]
    return [
        verdicts.count("unsupported"),
        verdicts.count("weak"),
        len(words - ground) / max(1, len(words)),
        len(words - ground),
        len(invented(row.answer, ground)),
        len(terms(row.answer)),
        max((len(those - ground) / max(1, len(those)) for those in told), default=0.0),
    ]


def _at_best(rule: str, score: Array, rows: Sequence[Marked]) -> Scored:
    return _scored(rule, marked.at_best(score, rows), rows, score)


def _scored(rule: str, flagged: Truths, rows: Sequence[Marked], score: Array | None = None) -> Scored:
    true = marked.truths(rows)
    told = agreement.measure(rule, "", flagged.tolist(), true.tolist(), [row.group for row in rows])
    area = None if score is None else round(auroc(list(score[true]), list(score[~true])), 3)
    figures = (told.precision.value, told.recall.value, told.f1.value, told.f1.low, told.f1.high)
    precision, recall, f1, low, high = (round(one, 3) for one in figures)
    return Scored(rule, precision, recall, f1, low, high, area)


def _regressed(seen: Array, rows: Sequence[Marked]) -> Array:
    """The chance that each answer is hallucinated, from a ridge logistic regression on the other folds (Newton)."""
    fold_of, true, chances = marked.folds(rows), marked.truths(rows), np.zeros(len(rows))
    for fold in range(marked.FOLDS):
        rest = fold_of != fold
        mean, spread = seen[rest].mean(axis=0), seen[rest].std(axis=0) + 1e-9
        facts = np.column_stack([np.ones(len(seen)), (seen - mean) / spread])
        weights = np.zeros(facts.shape[1])
        for _ in range(25):
            p = 1 / (1 + np.exp(-facts[rest] @ weights))
            gradient = facts[rest].T @ (true[rest] - p) - PULL * weights
            curve = (facts[rest] * (p * (1 - p))[:, None]).T @ facts[rest] + PULL * np.eye(len(weights))
            weights += np.linalg.solve(curve, gradient)
        chances[~rest] = facts[~rest] @ weights
    return chances
