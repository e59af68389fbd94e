"""How well models did on past prompts near this one: k nearest neighbours over embeddings, each model by itself.

Simple on purpose: on the published outcomes of models, nearest neighbours do as well as what is trained for hours
(arXiv 2505.12601, from where k is). Numpy alone, and a matrix for each model that grows in place: an outcome is added
in no time, and a prediction is one product of a matrix and a vector. It knows no prompt and no row; imported on need.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

K = 100
PRIOR = 5.0  # weight of a model's mean beside its neighbours: few of them say little
CHUNK = 1_024  # prompts predicted at a time: bounds the table of similarities

Vectors = NDArray[np.float32]


class Neighbours:
    """Outcomes lie between 0 and 1; vectors have length 1."""

    def __init__(self, dimensions: int = 384) -> None:
        self._dimensions = dimensions
        self._past: dict[str, _Past] = {}

    def __len__(self) -> int:
        return sum(past.size for past in self._past.values())

    def __contains__(self, model: str) -> bool:
        return model in self._past

    def add(self, model: str, vectors: ArrayLike, outcomes: ArrayLike) -> None:
        """Remember how a model did on one prompt or on many."""
        past = self._past.setdefault(model, _Past(self._dimensions))
        past.add(np.atleast_2d(np.asarray(vectors, np.float32)), np.atleast_1d(np.asarray(outcomes, np.float32)))

    def predict(self, vector: Sequence[float] | Vectors) -> dict[str, float]:
        """What each known model is likely to earn on this prompt."""
        one = np.asarray(vector, np.float32).reshape(1, self._dimensions)
        return {model: float(past.predict(one)[0]) for model, past in self._past.items()}

    def predict_many(self, model: str, vectors: Vectors) -> Vectors:
        """The same for one known model and many prompts, a row each."""
        starts = range(0, len(vectors), CHUNK)
        return np.concatenate([self._past[model].predict(vectors[start : start + CHUNK]) for start in starts])


class _Past:
    """One model's outcomes; room is doubled when it is full."""

    def __init__(self, dimensions: int) -> None:
        self.size = 0
        self._sum = 0.0
        self._vectors = np.empty((64, dimensions), np.float32)
        self._outcomes = np.empty(64, np.float32)

    def add(self, vectors: Vectors, outcomes: Vectors) -> None:
        end = self.size + len(vectors)
        if end > len(self._outcomes):
            self._grow(max(end, 2 * len(self._outcomes)))
        self._vectors[self.size : end], self._outcomes[self.size : end] = vectors, outcomes
        self._sum += float(outcomes.sum())
        self.size = end

    def _grow(self, room: int) -> None:
        vectors, outcomes = self._vectors, self._outcomes
        self._vectors = np.empty((room, vectors.shape[1]), np.float32)
        self._outcomes = np.empty(room, np.float32)
        self._vectors[: self.size], self._outcomes[: self.size] = vectors[: self.size], outcomes[: self.size]

    def predict(self, vectors: Vectors) -> Vectors:
        """The neighbours' mean outcome, the nearer counting more, drawn towards the model's mean."""
        near = _similarities(vectors, self._vectors[: self.size])
        k = min(K, self.size)
        best = np.argpartition(near, self.size - k, axis=1)[:, self.size - k :]
        weights = np.maximum(np.take_along_axis(near, best, axis=1), 0)
        mean = self._sum / self.size
        told: Vectors = ((weights * self._outcomes[best]).sum(axis=1) + PRIOR * mean) / (weights.sum(axis=1) + PRIOR)
        return told


def _similarities(asked: Vectors, known: Vectors) -> Vectors:
    """A single prompt is compared without BLAS: its threads, on cores that serve others, wait for each other (32 ms in
    place of 0.7 for 10,000 outcomes)."""
    return np.einsum("ij,j->i", known, asked[0])[np.newaxis] if len(asked) == 1 else asked @ known.T
