"""The check of support, measured on answers in which people marked what is not in the passages (RAGTruth's QA sample).

An answer is flagged when one of its sentences is unsupported: the product's own rule, fitted on nothing. Beside it
stand the share of novel words and the length at the best threshold that other questions' answers give, and a logistic
regression on what the check sees, all cross-validated by question; with embeddings at hand, also how near each sentence
is to some passage by meaning. The data is only ever read.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.lexical import terms
from retrieval.measures import auroc
from retrieval.support import invented, sentences

FOLDS = 5
RESAMPLES = 1_000
SEED = 20_261_124
PULL = 1.0  # of the regression's weights to nothing

# Prompting GPT-4-turbo, as published for the whole test split (Niu et al., RAGTruth, 2024, table 5).
PUBLISHED = ("GPT-4-turbo, prompted (published)", 0.332, 0.906, 0.456)

Array = NDArray[np.float64]
Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Truths = NDArray[np.bool_]
Places = NDArray[np.intp]


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
    sources = {row["source_id"]: row for row in _rows(folder / "ragtruth_qa_test_sources.jsonl.gz")}
    answers = list(_rows(folder / "ragtruth_qa_test_responses.jsonl.gz"))
    truths = np.array([bool(row["labels"]) for row in answers])
    groups = np.array([int(row["source_id"]) for row in answers])
    seen = np.array([_seen(row["response"], sources[row["source_id"]]) for row in answers])
    ours = seen[:, 0] > 0
    novel, length = seen[:, 2], seen[:, 5]
    rules = [
        _scored("a sentence is unsupported (the product's rule)", ours, truths, groups),
        _scored("share of novel words", _threshold(novel, truths, groups), truths, groups, novel),
        _scored("length alone", _threshold(length, truths, groups), truths, groups, length),
        _scored("every answer", np.ones_like(truths), truths, groups),
    ]
    chances = _regressed(seen, truths, groups)
    rules.insert(1, _scored("regression on the same", _threshold(chances, truths, groups), truths, groups, chances))
    if embed:
        far = _far(answers, sources, embed)
        rules.append(_scored("MiniLM similarity", _threshold(far, truths, groups), truths, groups, far))
    generators = np.array([row["model"] for row in answers])
    by = [_generator(str(name), ours, truths, groups, generators == name) for name in sorted(set(generators))]
    return Report(len(answers), int(truths.sum()), rules, by)


def _generator(name: str, ours: Truths, truths: Truths, groups: Array, its: Truths) -> Generator:
    told = _scored(name, ours[its], truths[its], groups[its])
    return Generator(name, int(its.sum()), int(truths[its].sum()), told.f1, told.low, told.high)


def _far(answers: Sequence[dict[str, Any]], sources: dict[str, dict[str, Any]], embed: Embed) -> Array:
    """How far the sentence that is farthest from every sentence of the passages is from the nearest of them."""
    grounds = {id: _pieces(source["passages"]) for id, source in sources.items()}
    said = [_pieces(row["response"]) for row in answers]
    texts = list(dict.fromkeys(text for those in (*grounds.values(), *said) for text in those))
    vectors = dict(zip(texts, embed(texts), strict=True))
    stacked = {id: np.array([vectors[text] for text in those]) for id, those in grounds.items()}
    least = [
        min((float((stacked[row["source_id"]] @ vectors[text]).max()) for text in those), default=1.0)
        for row, those in zip(answers, said, strict=True)
    ]
    return 1.0 - np.array(least)


def _pieces(text: str) -> list[str]:
    return [piece for piece in re.split(r"(?<=[.!?])\s+|\n+", text) if len(piece.split()) > 2] or [text]


def _seen(answer: str, source: dict[str, Any]) -> list[float]:
    """Unsupported and weak sentences, share and number of novel words, invented numbers and names, words, worst
    sentence."""
    passages = {1: f"{source['question']} {source['passages']}"}
    ground = set(terms(passages[1]))
    words = set(terms(answer))
    verdicts = [one.verdict for one in sentences(answer, passages)]
    shares = [
        len(set(terms(answer[one.start : one.end])) - ground) / max(1, len(set(terms(answer[one.start : one.end]))))
        for one in sentences(answer, passages)
    ]
    return [
        verdicts.count("unsupported"),
        verdicts.count("weak"),
        len(words - ground) / max(1, len(words)),
        len(words - ground),
        len(invented(answer, ground)),
        len(terms(answer)),
        max(shares, default=0.0),
    ]


def _scored(rule: str, flagged: Truths, truths: Truths, groups: Array, score: Array | None = None) -> Scored:
    precision, recall, f1 = _f1(flagged, truths)
    chance = np.random.default_rng(SEED)
    names, at = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(at == place) for place in range(len(names))]
    drawn = []
    for _ in range(RESAMPLES):
        rows = np.concatenate([members[place] for place in chance.integers(0, len(names), len(names))])
        drawn.append(_f1(flagged[rows], truths[rows])[2])
    low, high = np.quantile(drawn, [0.025, 0.975])
    area = None if score is None else auroc(list(score[truths]), list(score[~truths]))
    precision, recall, f1, low, high = (round(float(x), 3) for x in (precision, recall, f1, low, high))
    return Scored(rule, precision, recall, f1, low, high, None if area is None else round(area, 3))


def _f1(flagged: Truths, truths: Truths) -> tuple[float, float, float]:
    both = float((flagged & truths).sum())
    precision = both / flagged.sum() if flagged.any() else 0.0
    recall = both / truths.sum() if truths.any() else 0.0
    return precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0


def _folds(groups: Array) -> Places:
    """Which fold each answer lies in: all answers to one question in the same."""
    names, at = np.unique(groups, return_inverse=True)
    places: Places = np.random.default_rng(SEED).permutation(len(names))[at] % FOLDS
    return places


def _threshold(score: Array, truths: Truths, groups: Array) -> Truths:
    """Flagged by the threshold that was best on the other folds."""
    folds, flagged = _folds(groups), np.zeros_like(truths)
    for fold in range(FOLDS):
        rest, its = folds != fold, folds == fold
        cuts = np.unique(score[rest])
        best = max(cuts, key=lambda cut: _f1(score[rest] >= cut, truths[rest])[2])
        flagged[its] = score[its] >= best
    return flagged


def _regressed(seen: Array, truths: Truths, groups: Array) -> Array:
    """The chance that each answer is hallucinated, from a ridge logistic regression on the other folds (Newton)."""
    folds, chances = _folds(groups), np.zeros(len(truths))
    for fold in range(FOLDS):
        rest = folds != fold
        mean, spread = seen[rest].mean(axis=0), seen[rest].std(axis=0) + 1e-9
        rows = np.column_stack([np.ones(len(seen)), (seen - mean) / spread])
        weights = np.zeros(rows.shape[1])
        for _ in range(25):
            p = 1 / (1 + np.exp(-rows[rest] @ weights))
            gradient = rows[rest].T @ (truths[rest] - p) - PULL * weights
            curve = (rows[rest] * (p * (1 - p))[:, None]).T @ rows[rest] + PULL * np.eye(len(weights))
            weights += np.linalg.solve(curve, gradient)
        chances[~rest] = rows[~rest] @ weights
    return chances


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
