"""Intervals hold the truth as often as they say, where it is known. ``make soak`` runs the long simulation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from workspace.measurement import statistics
from workspace.measurement.statistics import Interval

Chance = np.random.Generator
Sample = Callable[[Chance], tuple[Interval | None, float]]
CLUSTERS = [n // 5 for n in range(300)]
FEW = np.repeat(np.arange(23), [3, 15] * 11 + [9]).tolist()  # unlike ones, as many as the shared checklist has


def share(chance: Chance) -> tuple[Interval | None, float]:
    return statistics.rate(list(chance.random(200) < 0.2)), 0.2


def clustered_share(chance: Chance) -> tuple[Interval | None, float]:
    """Sixty articles, each easier or harder than the others."""
    easy = np.repeat(chance.beta(4, 2, 60), 5)
    return statistics.rate(list(chance.random(300) < easy), CLUSTERS), 2 / 3


def few_clusters(chance: Chance) -> tuple[Interval | None, float]:
    easy = chance.beta(4, 2, 23)[FEW]
    return statistics.rate(list(chance.random(len(FEW)) < easy), FEW), 2 / 3


def mean(chance: Chance) -> tuple[Interval | None, float]:
    return statistics.mean(list(np.exp(chance.normal(0, 0.5, 200)))), float(np.exp(0.125))


def clustered_mean(chance: Chance) -> tuple[Interval | None, float]:
    values = 1 + np.repeat(chance.normal(0, 1, 60), 5) + chance.normal(0, 1, 300)
    return statistics.mean(list(values), CLUSTERS), 1.0


def ratio(chance: Chance) -> tuple[Interval | None, float]:
    tried = chance.random(300) < 0.6
    return statistics.ratio(list(tried & (chance.random(300) < 0.3)), list(tried.astype(float))), 0.3


def difference(chance: Chance) -> tuple[Interval | None, float]:
    """Two models on the same items: what one has right the other mostly has."""
    hard = chance.random(200)
    first, second = (hard < 0.7) ^ (chance.random(200) < 0.1), (hard < 0.6) ^ (chance.random(200) < 0.1)
    return statistics.paired(list(first), list(second)).difference, 0.08


def few_clusters_apart(chance: Chance) -> tuple[Interval | None, float]:
    """Two models, each better at some articles."""
    first, second = chance.random((2, len(FEW)))
    lean = chance.normal(0.08, 0.15, 23)[FEW]
    return statistics.paired(list(first < 0.5 + lean), list(second < 0.5), FEW).difference, 0.08


def median(chance: Chance) -> tuple[Interval | None, float]:
    return statistics.median(list(np.exp(chance.normal(0, 0.5, 101)))), 1.0


def p95(chance: Chance) -> tuple[Interval | None, float]:
    return statistics.p95(list(chance.random(400))), 0.95


SAMPLES = [
    share, clustered_share, few_clusters, mean, clustered_mean, ratio, difference, few_clusters_apart, median, p95,
]  # fmt: skip


def held(sample: Sample, times: int) -> float:
    """The share of simulations in which the interval holds the truth."""
    chance = np.random.default_rng(7)
    told = [sample(chance) for _ in range(times)]
    return sum(bool(interval and interval.low <= truth <= interval.high) for interval, truth in told) / times


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.__name__)
def test_intervals_hold_the_truth(sample: Sample) -> None:
    assert 0.89 <= held(sample, 150) <= 0.995


@pytest.mark.soak
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.__name__)
def test_intervals_hold_the_truth_in_95_of_100(sample: Sample) -> None:
    assert 0.93 <= held(sample, 4_000) <= 0.97


def test_an_interval_that_is_too_narrow_would_be_found() -> None:
    """The premise of the tests above."""

    def narrow(chance: Chance) -> tuple[Interval | None, float]:
        told, truth = mean(chance)
        assert told
        middle, half = (told.low + told.high) / 2, told.width / 4
        return Interval(told.value, middle - half, middle + half), truth

    assert held(narrow, 150) < 0.89


def told_by_chance(times: int) -> float:
    """The share of simulations in which two models are told apart that are equally good, though not at each article."""
    chance = np.random.default_rng(5)
    told = 0
    for _ in range(times):
        lean = chance.normal(0, 0.2, 23)[FEW]
        first, second = (chance.random(len(FEW)) < 0.5 + side * lean for side in (1, -1))
        told += statistics.paired(list(first), list(second), FEW).p < 0.05
    return told / times


def test_equals_are_told_apart_by_chance_alone() -> None:
    assert told_by_chance(200) <= 0.09


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_equals_are_told_apart_in_5_of_100() -> None:
    assert 0.02 <= told_by_chance(4_000) <= 0.055
