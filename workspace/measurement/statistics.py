"""What a sample can tell, and what it can't. Pure numpy: numbers in, numbers out, always the same draws.

Intervals hold the middle 95 %. Shares have Wilson's (1927); means and quantiles are bootstrapped over items and, where
items come in clusters (questions about one article), over clusters too: the wider one counts. Two models on the same
items are compared by McNemar's exact test (1947), several pairs by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # the normal quantile of 97.5 %
Z_POWER = 0.841621  # of 80 %: how sure a planned sample is to see what is there
RESAMPLES = 2_000
SEED = 20_261_124
LEAST = 20  # values below which a median has no interval worth telling
LEAST_TAIL = 100  # and a 95th percentile

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    value: float
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Pair:
    """Two models on the same items: by how much the first is better, the p-value, and the items that only one of them
    has right. ``needed`` is the number of items at which a difference of this size would be told, where this can't."""

    difference: Interval
    p: float
    only_first: int
    only_second: int
    needed: int | None = None

    def tells(self, adjusted: float, level: float = 0.05) -> bool:
        return adjusted < level and not self.difference.low <= 0 <= self.difference.high


def share(count: int, of: int) -> Interval | None:
    """A share with Wilson's interval; ``None`` of nothing."""
    if not of:
        return None
    p, z = count / of, Z * Z / of
    middle = (p + z / 2) / (1 + z)
    half = Z * math.sqrt(p * (1 - p) / of + Z * Z / (4 * of * of)) / (1 + z)
    return Interval(p, max(0.0, middle - half), min(1.0, middle + half))


def mean(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Interval | None:
    """A mean; with clusters, the wider interval of drawing items and drawing whole clusters."""
    return _bootstrapped(values, clusters, lambda rows: rows.mean(axis=-1), np.mean) if len(values) else None


def median(values: Sequence[float]) -> Interval | None:
    """A median, from ``LEAST`` values on."""
    return _quantile(values, 0.5, LEAST)


def p95(values: Sequence[float]) -> Interval | None:
    """A 95th percentile, from ``LEAST_TAIL`` values on."""
    return _quantile(values, 0.95, LEAST_TAIL)


def paired(first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable] | None = None) -> Pair:
    """Two models on the same items, in the same order."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    difference = mean([float(a) - float(b) for a, b in zip(first, second, strict=True)], clusters)
    assert difference is not None, "nothing to compare"
    p = mcnemar(only_first, only_second)
    return Pair(difference, p, only_first, only_second, needed(only_first, only_second, len(first)))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value that both are as good, by the items that only one has right."""
    n, least = int(only_first) + int(only_second), min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(least + 1)) / 2**n) if n else 1.0


def needed(only_first: int, only_second: int, n: int) -> int | None:
    """Items at which McNemar's test would tell this difference with 80 % power (Connor, 1987); ``None`` of no
    difference."""
    a, b = only_first / n, only_second / n
    if a == b:
        return None
    root = Z * math.sqrt(a + b) + Z_POWER * math.sqrt(max(0.0, a + b - (a - b) ** 2))
    return math.ceil((root / (a - b)) ** 2)


def holm(values: Sequence[float]) -> list[float]:
    """p-values adjusted for being several, in the order they came."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    adjusted, highest = [0.0] * len(values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[at]))
        adjusted[at] = highest
    return adjusted


def _quantile(values: Sequence[float], at: float, least: int) -> Interval | None:
    if len(values) < least:
        return None
    return _bootstrapped(values, None, lambda rows: np.quantile(rows, at, axis=-1), lambda row: np.quantile(row, at))


def _bootstrapped(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None,
    of_rows: Callable[[Array], Array],
    of: Callable[[Array], np.floating],
) -> Interval:
    row = np.asarray(values, float)
    chance = np.random.default_rng(SEED)
    drawn = of_rows(row[chance.integers(0, len(row), (RESAMPLES, len(row)))])
    found = _middle(float(of(row)), drawn)
    if clusters is not None and len(set(clusters)) > 1:
        by_cluster = _middle(float(of(row)), _cluster_means(row, clusters, chance))
        found = max(found, by_cluster, key=lambda one: one.width)
    return found


def _cluster_means(row: Array, clusters: Sequence[Hashable], chance: np.random.Generator) -> Array:
    """Means of samples that are made of whole clusters."""
    _, at = np.unique([repr(one) for one in clusters], return_inverse=True)
    sums, counts = np.bincount(at, weights=row), np.bincount(at)
    drawn = chance.integers(0, len(sums), (RESAMPLES, len(sums)))
    means: Array = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    return means


def _middle(value: float, drawn: Array) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))
