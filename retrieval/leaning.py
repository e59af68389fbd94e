"""A passage's vector leans on those of its neighbours: what stands around it says what it is about. Pure.

Half of it is its own, half the mean of the five around it. On abstracts in passages this finds the right document more
often than any passage alone does (README, "Measured"), and costs a question nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

SHARE = 0.5  # of the neighbourhood
REACH = 2  # neighbours on each side


def leaning(vectors: Sequence[ArrayLike] | NDArray[np.float32], first: int, last: int) -> NDArray[np.float32]:
    """The passages from ``first`` until before ``last`` of a document, of whose unit vectors all within reach are
    there."""
    rows = np.asarray(vectors, np.float32)
    means = [rows[max(0, at - REACH) : at + REACH + 1].mean(axis=0) for at in range(first, last)]
    return _unit((1 - SHARE) * rows[first:last] + SHARE * _unit(np.array(means)))


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-9), np.float32)
