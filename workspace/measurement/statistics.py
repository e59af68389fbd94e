"""What a sample can tell, and what it can't. Pure numpy: numbers in, numbers out, always the same draws.

Intervals hold the middle 95 %. A share has Wilson's (1927), a median and a 95th percentile that of order statistics,
which hold whatever the distribution is; means and ratios are bootstrapped over items. Where items come in clusters
(questions about one article), all but quantiles are bootstrapped over clusters too, and the wider one counts. Two
models on the same items are compared by McNemar's exact test (1947), several pairs by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # the normal quantile of 97.5 %
Z_POWER = 0.841621  # of 80 %: how sure a planned sample is to see what is there
LEVEL = 0.95
RESAMPLES = 2_000
SEED = 20_261_124
LEAST = 20  # values below which a median has no interval worth telling
LEAST_TAIL = 100  # and a 95th percentile
AT_ONCE = 2_000_000  # draws held in memory

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
    """Two models on the same ``n`` items: by how much the first is better, the p-value, and the items that only one of
    them has right. ``needed`` is the number of items at which a difference of this size would be told, where this
    can't."""

    difference: Interval
    p: float
    only_first: int
    only_second: int
    needed: int | None = None
    n: int = 0

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


def rate(hits: Sequence[bool], clusters: Sequence[Hashable] | None = None) -> Interval | None:
    """A share of items; with clusters, the wider of Wilson's interval and of drawing whole clusters."""
    wilson = share(sum(hits), len(hits))
    if wilson is None or clusters is None or not 1 < len(set(clusters)) < len(clusters):
        return wilson
    return max(wilson, _middle(wilson.value, _drawn(*_summed(hits, np.ones(len(hits)), clusters))), key=_width)


def mean(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Interval | None:
    """A mean; with clusters, the wider interval of drawing items and drawing whole clusters."""
    return ratio(values, [1.0] * len(values), clusters)


def ratio(
    above: Sequence[float], below: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> Interval | None:
    """A sum of items over another sum of the same items; ``None`` when the second is nothing."""
    if not len(below) or not sum(below):
        return None
    over, under = np.asarray(above, float), np.asarray(below, float)
    value = float(over.sum() / under.sum())
    found = _middle(value, _drawn(over, under))
    if clusters is not None and 1 < len(set(clusters)) < len(clusters):
        found = max(found, _middle(value, _drawn(*_summed(above, below, clusters))), key=_width)
    return found


def median(values: Sequence[float]) -> Interval | None:
    """A median, from ``LEAST`` values on."""
    return quantile(values, 0.5) if len(values) >= LEAST else None


def p95(values: Sequence[float]) -> Interval | None:
    """A 95th percentile, from ``LEAST_TAIL`` values on."""
    return quantile(values, 0.95) if len(values) >= LEAST_TAIL else None


def quantile(values: Sequence[float], at: float) -> Interval:
    """A quantile between the two order statistics that hold it with at least 95 %: at n = 20 a median lies between the
    6th and the 15th value. No distribution is assumed."""
    row = sorted(values)
    low, high = _ranks(len(row), at)
    return Interval(float(np.quantile(row, at)), row[low - 1], row[high - 1])


def paired(first: Sequence[bool], second: Sequence[bool], clusters: Sequence[Hashable] | None = None) -> Pair:
    """Two models on the same items, in the same order."""
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    difference = mean([float(a) - float(b) for a, b in zip(first, second, strict=True)], clusters)
    assert difference is not None, "nothing to compare"
    p = mcnemar(only_first, only_second)
    more = needed(only_first, only_second, len(first))
    return Pair(difference, p, only_first, only_second, more, len(first))


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value that both are as good, by the items that only one has right."""
    n, least = int(only_first) + int(only_second), int(min(only_first, only_second))
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


@lru_cache(maxsize=256)
def _ranks(n: int, at: float) -> tuple[int, int]:
    """The narrowest pair of ranks, from 1, between which the quantile lies with at least 95 %; the outermost pair when
    none does."""
    chance = [math.exp(_log_binomial(n, k, at)) for k in range(n + 1)]
    below = np.concatenate([[0.0], np.cumsum(chance)])  # below[k]: fewer than k values lie under the quantile
    best = (1, n)
    high = 2
    for low in range(1, n):
        high = max(high, low + 1)
        while high <= n and below[high] - below[low] < LEVEL:
            high += 1
        if high > n:
            break
        if high - low < best[1] - best[0] or (high - low == best[1] - best[0] and _is_nearer((low, high), best, n, at)):
            best = (low, high)
    return best


def _is_nearer(one: tuple[int, int], other: tuple[int, int], n: int, at: float) -> bool:
    middle = 2 * (n * at + 0.5)
    return abs(sum(one) - middle) < abs(sum(other) - middle)


def _log_binomial(n: int, k: int, p: float) -> float:
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    return ways + k * math.log(p) + (n - k) * math.log1p(-p)


def _width(one: Interval) -> float:
    return one.width


def _drawn(above: Array, below: Array) -> Array:
    """The ratio in every resample. Times that an item is drawn are weights, so a resample is a product of vectors."""
    pair = np.column_stack([above, below])
    sums = np.concatenate([times @ pair for times in _times(len(above))])
    return sums[:, 0] / np.where(sums[:, 1] == 0, np.nan, sums[:, 1])


def _times(n: int) -> Iterable[NDArray[np.float32]]:
    """How often each of n items is drawn, in blocks of resamples that fit the memory."""
    return _kept(n) if n * RESAMPLES <= AT_ONCE else _blocks(n)


@lru_cache(maxsize=8)
def _kept(n: int) -> tuple[NDArray[np.float32], ...]:
    return tuple(_blocks(n))


def _blocks(n: int) -> Iterable[NDArray[np.float32]]:
    chance = np.random.default_rng(SEED)
    step = max(1, min(RESAMPLES, AT_ONCE // n))
    for start in range(0, RESAMPLES, step):
        rows = min(step, RESAMPLES - start)
        drawn = chance.integers(0, n, (rows, n)) + np.arange(rows)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n).astype(np.float32)


def _summed(
    above: Sequence[float] | Sequence[bool], below: Sequence[float] | Array, clusters: Sequence[Hashable]
) -> tuple[Array, Array]:
    """Both sums of each cluster."""
    _, at = np.unique([repr(one) for one in clusters], return_inverse=True)
    over: Array = np.bincount(at, weights=np.asarray(above, float)).astype(float)
    under: Array = np.bincount(at, weights=np.asarray(below, float)).astype(float)
    return over, under


def _middle(value: float, drawn: Array) -> Interval:
    low, high = np.quantile(drawn[~np.isnan(drawn)], [0.025, 0.975])
    return Interval(value, float(low), float(high))
