"""What a sample can tell, and what it can't. Pure numpy: numbers in, numbers out, always the same draws.

Intervals hold the middle 95 %. A share has Wilson's (1927), a median and a 95th percentile that of order statistics,
which hold whatever the distribution is; means and ratios are bootstrapped over items, with percentiles as far apart as
Student's t asks for (Hesterberg, 2015): few items are drawn too much alike. Where items come in clusters (questions
about one article), all but quantiles are bootstrapped over clusters too, and the wider one counts. Two models on the
same items are compared by McNemar's exact test (1947) and, over clusters, by changing signs (Fisher, 1935); several
pairs by Holm (1979).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

Z = 1.959964  # the normal quantile of 97.5 %
Z_POWER = 0.841621  # of 80 %: how sure a planned sample is to see what is there
LEVEL = 0.95
SURE = 0.05  # after Holm's correction
NORMAL = NormalDist()
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
    them has right. ``design`` is how many times as many items as of independent ones tell the same, for they come in
    clusters (Kish, 1965). ``needed`` is the number of items at which a difference of this size would be told, where
    this can't and where that many more are known to be enough."""

    difference: Interval
    p: float
    only_first: int
    only_second: int
    needed: int | None = None
    n: int = 0
    design: float = 1.0


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
    if wilson is None or not _are_clustered(clusters, len(hits)):
        return wilson
    return max(wilson, _interval(wilson.value, *_summed(hits, np.ones(len(hits)), clusters)), key=_width)


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
    found = _interval(value, over, under)
    if _are_clustered(clusters, len(above)):
        found = max(found, _interval(value, *_summed(above, below, clusters)), key=_width)
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
    """Two models on the same items, in the same order. The larger p-value counts, of items and of clusters."""
    apart = [int(a) - int(b) for a, b in zip(first, second, strict=True)]
    difference = mean(apart, clusters)
    assert difference is not None, "nothing to compare"
    p, design = sign_flips(apart), 1.0
    if _are_clustered(clusters, len(apart)):
        sums, sizes = _summed(apart, np.ones(len(apart)), clusters)
        p = max(p, sign_flips(sums))
        independent = float(np.square(np.array(apart) - difference.value).sum())
        design = max(1.0, float(np.square(sums - sizes * difference.value).sum()) / independent) if independent else 1.0
    return Pair(difference, p, apart.count(1), apart.count(-1), n=len(apart), design=design)


def together(pairs: Sequence[Pair]) -> list[tuple[Pair, float, bool]]:
    """Each pair with its p-value adjusted for all of them (Holm), and whether it is told: when that is below 0.05 and
    the interval leaves out 0. Where it is not, the pair says how many items would tell it among so many pairs."""
    found = []
    for pair, p in zip(pairs, holm([pair.p for pair in pairs]), strict=True):
        told = p < SURE and not pair.difference.low <= 0 <= pair.difference.high
        more = None if told else needed(pair.only_first, pair.only_second, pair.n, among=len(pairs), design=pair.design)
        found.append((replace(pair, needed=more), p, told))
    return found


def sign_flips(differences: Sequence[int] | Array) -> float:
    """The exact two-sided p-value that each of these could as well have the other sign (Fisher, 1935). Of ones that is
    McNemar's exact test; sums of clusters need not be independent within, nor many (Canay, Romano and Shaikh, 2017)."""
    apart = np.asarray(differences, int)
    chance = np.ones(1)
    for one in np.abs(apart[apart != 0]):
        grown = np.zeros(len(chance) + 2 * one)
        grown[: len(chance)] += chance / 2
        grown[2 * one :] += chance / 2
        chance = grown
    sums = np.abs(np.arange(len(chance)) - len(chance) // 2)
    return min(1.0, float(chance[sums >= abs(apart.sum())].sum()))


def needed(only_first: int, only_second: int, n: int, *, among: int = 1, design: float = 1.0) -> int | None:
    """Items at which McNemar's test would tell this difference with 80 % power (Connor, 1987), at a level that is
    divided among so many pairs (Bonferroni, which is where Holm begins). ``None`` of no difference, and where as many
    as there are should have told it: then this is no plan."""
    a, b = only_first / n, only_second / n
    if a == b:
        return None
    sure = NORMAL.inv_cdf(1 - SURE / 2 / among)
    root = sure * math.sqrt(a + b) + Z_POWER * math.sqrt(max(0.0, a + b - (a - b) ** 2))
    found = math.ceil(design * (root / (a - b)) ** 2)
    return found if found > n else None


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


def _are_clustered(clusters: Sequence[Hashable] | None, n: int) -> TypeGuard[Sequence[Hashable]]:
    """Whether items have something in common: not each by itself, and not all one and the same."""
    return clusters is not None and 1 < len(set(clusters)) < n


def _interval(value: float, above: Array, below: Array) -> Interval:
    drawn = _drawn(above, below)
    return middle(value, drawn[~np.isnan(drawn)], len(above))


def middle(value: float, drawn: Array, n: int) -> Interval:
    """The middle of what was drawn again from n things, as wide as an interval by Student's t would be: percentiles
    alone are too narrow by √((n - 1) / n) · z / t (Hesterberg, 2015: “expanded percentile”)."""
    outside = NORMAL.cdf(-Z * stretch(n))
    low, high = np.quantile(drawn, [outside, 1 - outside])
    return Interval(value, float(low), float(high))


def stretch(n: int) -> float:
    """By how much an error that is drawn again from n things is too small, to the first order."""
    freedom = max(1, n - 1)
    return math.sqrt(n / freedom) * student(freedom) / Z


def student(freedom: int) -> float:
    """The quantile of 97.5 % of Student's t, to a thousandth from 6 degrees of freedom on (Abramowitz and Stegun,
    26.7.5)."""
    z = Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92_160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, 1))
