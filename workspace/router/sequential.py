"""Intervals that hold however often somebody looks: what a split may be stopped by. Pure.

Asymptotic confidence sequences for a mean (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences", 2021, theorem 2.2): after n observations with standard deviation s, the
mean lies within s * sqrt(2 (n r + 1) / (n n r) * log(sqrt(n r + 1) / a)) with probability 1 - a for all n at once.
``r`` sets where they are tightest. A fixed-sample interval looked at after every answer would call one split in three
worse that is not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TIGHTEST = 500  # answers of an arm at which an interval is at its best
FEWEST = 30  # answers of an arm before anything is told


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """So many observations of an arm by their sum and sum of squares."""

    count: int
    sum: float
    squares: float

    @property
    def mean(self) -> float:
        return self.sum / self.count if self.count else math.nan

    @property
    def deviation(self) -> float:
        return math.sqrt(max(0.0, self.squares / self.count - self.mean**2)) if self.count else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The new mean less the old one, and the interval around it."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        return self.low > 0 or self.high < 0


def share(count: int, hits: int) -> Sample:
    """A share as a sample of ones and noughts; one of each is added, or a share of 0 would have no deviation."""
    return Sample(count=count + 2, sum=hits + 1, squares=hits + 1) if count else Sample(count=0, sum=0, squares=0)


def difference(old: Sample, new: Sample, *, wrong: float) -> Difference | None:
    """Holds at all times together with probability ``1 - wrong``; nothing while an arm has too few observations."""
    if min(old.count, new.count) < FEWEST:
        return None
    value = new.mean - old.mean
    reach = radius(old, wrong / 2) + radius(new, wrong / 2)
    return Difference(value=value, low=value - reach, high=value + reach)


def radius(sample: Sample, wrong: float) -> float:
    """Half the width of the interval around a mean."""
    n, r = sample.count, _tightest_at(TIGHTEST, wrong)
    return sample.deviation * math.sqrt(2 * (n * r + 1) / (n * n * r) * math.log(math.sqrt(n * r + 1) / wrong))


def _tightest_at(count: int, wrong: float) -> float:
    """The paper's closed form (appendix B.2) for an interval that is narrowest at ``count``."""
    logarithm = -2 * math.log(wrong)
    return (logarithm + math.log(logarithm + 1)) / count
