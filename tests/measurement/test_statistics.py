"""The statistics against what is known: published examples, other implementations, simulations with known truth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from workspace.measurement import statistics


@pytest.mark.parametrize(("count", "of"), [(0, 10), (7, 20), (81, 100), (100, 100)])
def test_a_share_has_wilsons_interval(count: int, of: int) -> None:
    told = statistics.share(count, of)
    wanted = stats.binomtest(count, of).proportion_ci(method="wilson")
    assert told and (told.low, told.high) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 9), (12, 12), (40, 21)])
def test_mcnemar_is_the_exact_binomial(b: int, c: int) -> None:
    wanted = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert statistics.mcnemar(b, c) == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("n", "at", "ranks"), [(20, 0.5, (6, 15)), (30, 0.5, (10, 21)), (100, 0.5, (40, 60))])
def test_a_median_lies_between_known_ranks(n: int, at: float, ranks: tuple[int, int]) -> None:
    told = statistics.quantile([float(value) for value in range(1, n + 1)], at)
    assert (told.low, told.high) == ranks


@pytest.mark.parametrize(("n", "at"), [(20, 0.5), (101, 0.5), (100, 0.95), (317, 0.95)])
def test_ranks_hold_a_quantile_with_95_percent_and_no_narrower_pair_does(n: int, at: float) -> None:
    told = statistics.quantile([float(value) for value in range(1, n + 1)], at)
    low, high = int(told.low), int(told.high)
    chance = {
        (a, b): stats.binom.cdf(b - 1, n, at) - stats.binom.cdf(a - 1, n, at)
        for a in range(1, n)
        for b in (a + high - low, a + high - low - 1)
        if b <= n
    }
    assert chance[low, high] >= 0.95
    assert all(held < 0.95 for (a, b), held in chance.items() if b - a < high - low)


def test_a_bootstrap_of_a_mean_is_scipys() -> None:
    values = list(np.random.default_rng(11).normal(3, 1, 120))
    told = statistics.mean(values)
    wanted = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=1).confidence_interval
    assert told and (told.low, told.high) == pytest.approx((wanted.low, wanted.high), abs=0.02)


def test_items_of_one_cluster_tell_less_than_as_many_apart() -> None:
    hits = [cluster % 2 == 0 for cluster in range(20) for _ in range(10)]
    apart, together = statistics.rate(hits), statistics.rate(hits, [n // 10 for n in range(200)])
    assert apart and together and together.width > 2 * apart.width


def test_holm_steps_down() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_planned_sample_sees_what_it_is_planned_for() -> None:
    n = statistics.needed(18, 8, 100)
    assert n is not None
    chance = np.random.default_rng(1)
    told = [statistics.mcnemar(*chance.multinomial(n, [0.18, 0.08, 0.74])[:2]) < 0.05 for _ in range(400)]
    assert 0.72 <= np.mean(told) <= 0.9
    assert statistics.needed(5, 5, 100) is None


def test_what_is_too_little_is_not_told() -> None:
    assert statistics.median([1.0] * 19) is None and statistics.p95([1.0] * 99) is None
    assert statistics.share(0, 0) is None and statistics.mean([]) is None


def test_two_models_that_can_not_be_told_apart_are_not() -> None:
    first = [True] * 79 + [False] * 21
    second = [True] * 77 + [False] * 2 + [True] * 1 + [False] * 20
    pair = statistics.paired(first, second)
    assert not pair.tells(pair.p) and pair.needed and pair.needed > 100
    clear = statistics.paired([True] * 100, [True] * 60 + [False] * 40)
    assert clear.tells(clear.p) and clear.difference.value == pytest.approx(0.4)
