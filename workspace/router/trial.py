"""The gate of the learned score: on prompts held out, does it beat chance, prompt length and the mean of the subject?

It stays off until the answer is yes for all three, and not by luck: the lower end of the 95 % interval of each
difference lies above 0. Pure: labels in, a verdict out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from workspace.router.measures import SEED, Array, Rows, Truths, auc, interval
from workspace.router.neighbours import Neighbours, Vectors

FOLDS = 5
ENOUGH = 200  # labels; fewer decide nothing
GOOD = 0.5  # an outcome above it is a success
SUBJECT_PRIOR = 5.0


@dataclass(frozen=True, slots=True)
class Label:
    """How ``model`` did on a prompt, 0 to 1. ``prompt`` is its digest: labels of one prompt are held out together."""

    prompt: str
    vector: Vectors
    model: str
    outcome: float
    characters: int
    subject: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``aucs`` and the intervals of ``ahead`` (the score's AUC less the baseline's) by baseline."""

    passed: bool
    reason: str
    labels: int
    aucs: dict[str, float]
    ahead: dict[str, tuple[float, float]]


def verdict(labels: Sequence[Label]) -> Verdict:
    good = np.array([label.outcome > GOOD for label in labels], bool)
    folds = np.array([fold_of(label.prompt) for label in labels], np.intp)
    mixed = [fold for fold in range(FOLDS) if 0 < good[folds == fold].sum() < (folds == fold).sum()]
    if len(labels) < ENOUGH or len(mixed) < FOLDS:
        return Verdict(False, f"needs {ENOUGH} labels, good and bad ones, on prompts of all sorts", len(labels), {}, {})
    told = held_out(labels)
    aucs = {name: _auc(scores, good, folds) for name, scores in told.items()}
    score = told.pop("score")
    ahead = {name: _ahead(labels, good, folds, score, other) for name, other in told.items()}
    lost = [name for name, (low, _) in ahead.items() if not low > 0]
    reason = f"not surely better than {', '.join(lost)}" if lost else "better than every baseline on held-out prompts"
    return Verdict(not lost, reason, len(labels), aucs, ahead)


def held_out(labels: Sequence[Label]) -> dict[str, Array]:
    """What the score and each baseline say of every label, each learnt from the prompts of the other folds."""
    folds = np.array([fold_of(label.prompt) for label in labels])
    told = {name: np.zeros(len(labels)) for name in ("score", "prompt length", "subject mean")}
    for fold in range(FOLDS):
        known = [label for label, its in zip(labels, folds, strict=True) if its != fold]
        asked = np.flatnonzero(folds == fold)
        if not known or not len(asked):
            continue
        some = [labels[int(n)] for n in asked]
        told["score"][asked] = _by_neighbours(known, some)
        told["prompt length"][asked] = _by_length(known, some)
        told["subject mean"][asked] = _by_subject(known, some)
    return {**told, "chance": np.random.default_rng(SEED).random(len(labels))}


def fold_of(digest: str) -> int:
    """Fixed for ever by the prompt: its fold does not move when labels come in."""
    return int(digest[:8], 16) % FOLDS


def _by_neighbours(known: Sequence[Label], asked: Sequence[Label]) -> Array:
    neighbours = Neighbours(len(known[0].vector))
    for model, its in _by_model(known).items():
        neighbours.add(model, [known[n].vector for n in its], [known[n].outcome for n in its])
    told = np.full(len(asked), np.mean([label.outcome for label in known]))
    for model, its in _by_model(asked).items():
        if model in neighbours:
            told[its] = neighbours.predict_many(model, np.stack([asked[n].vector for n in its]))
    return told


def _by_length(known: Sequence[Label], asked: Sequence[Label]) -> Array:
    """A straight line over the logarithm of the length."""
    length, outcome = np.log1p([label.characters for label in known]), np.array([label.outcome for label in known])
    slope = np.cov(length, outcome)[0, 1] / max(float(length.var()), 1e-9)
    told: Array = outcome.mean() + slope * (np.log1p([label.characters for label in asked]) - length.mean())
    return told


def _by_subject(known: Sequence[Label], asked: Sequence[Label]) -> Array:
    """The model's mean on the subject, drawn towards its mean on all."""
    models: dict[str, list[float]] = defaultdict(list)
    subjects: dict[tuple[str, str], list[float]] = defaultdict(list)
    for label in known:
        models[label.model].append(label.outcome)
        subjects[label.model, label.subject].append(label.outcome)
    everything = float(np.mean([label.outcome for label in known]))
    means = {model: float(np.mean(outcomes)) for model, outcomes in models.items()}

    def mean(label: Label) -> float:
        its, whole = subjects.get((label.model, label.subject), []), means.get(label.model, everything)
        return (sum(its) + SUBJECT_PRIOR * whole) / (len(its) + SUBJECT_PRIOR)

    return np.array([mean(label) for label in asked])


def _by_model(labels: Sequence[Label]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        places[label.model].append(n)
    return places


def _auc(scores: Array, good: Truths, folds: Rows) -> float:
    """The mean over folds. Scores of two folds were learnt from different labels and do not compare: where a fold has
    more good ones the others have fewer, which alone made a table of means look worse than it is."""
    parts = [folds == fold for fold in range(FOLDS)]
    mixed = [part for part in parts if 0 < good[part].sum() < part.sum()]
    return float(np.mean([auc(scores[part], good[part]) for part in mixed])) if mixed else float("nan")


def _ahead(labels: Sequence[Label], good: Truths, folds: Rows, score: Array, other: Array) -> tuple[float, float]:
    """The interval of the difference over prompts drawn again: labels of one prompt are not independent."""
    places: dict[str, list[int]] = defaultdict(list)
    for n, label in enumerate(labels):
        places[label.prompt].append(n)
    groups = [np.array(its) for its in places.values()]

    def difference(draw: Rows) -> float:
        rows = np.concatenate([groups[n] for n in draw])
        return _auc(score[rows], good[rows], folds[rows]) - _auc(other[rows], good[rows], folds[rows])

    return interval(difference, len(groups))
