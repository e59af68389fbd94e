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
    assert statistics.sign_flips([1] * b + [-1] * c + [0] * 5) == pytest.approx(wanted, abs=1e-12)


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

    def tells(n: int, level: float) -> float:
        drawn = [chance.multinomial(n, [0.18, 0.08, 0.74])[:2] for _ in range(400)]
        return float(np.mean([statistics.sign_flips([1] * a + [-1] * b) < level for a, b in drawn]))

    assert 0.72 <= tells(n, 0.05) <= 0.9
    among_many = statistics.needed(18, 8, 100, among=28)
    assert among_many and among_many > 1.5 * n and 0.72 <= tells(among_many, 0.05 / 28) <= 0.9
    assert statistics.needed(5, 5, 100) is None


def test_what_is_too_little_is_not_told() -> None:
    assert statistics.median([1.0] * 19) is None and statistics.p95([1.0] * 99) is None
    assert statistics.share(0, 0) is None and statistics.mean([]) is None


def test_two_models_that_can_not_be_told_apart_are_not() -> None:
    first = [True] * 79 + [False] * 21
    second = [True] * 77 + [False] * 2 + [True] * 1 + [False] * 20
    [(pair, _, told)] = statistics.together([statistics.paired(first, second)])
    assert not told and pair.needed and pair.needed > 100
    [(clear, _, told)] = statistics.together([statistics.paired([True] * 100, [True] * 60 + [False] * 40)])
    assert told and clear.difference.value == pytest.approx(0.4) and clear.needed is None


def test_no_fewer_items_than_there_are_are_said_to_be_needed() -> None:
    """Among 28 pairs of eight lanes, what one pair alone would have told at 170 items is not told at 200."""
    one = statistics.paired([True] * 122 + [False] * 78, [False] * 22 + [True] * 106 + [False] * 72)
    assert (one.only_first, one.only_second) == (22, 6)
    [(alone, _, told), *_] = statistics.together([one])
    assert told and alone.needed is None
    alike = statistics.paired([True, False] * 100, [True, False] * 100)
    [(among_many, p, told), *_] = statistics.together([one, *[alike] * 27])
    assert not told and p > 0.05 and among_many.needed and among_many.needed > 200
    assert statistics.needed(22, 6, 200) is None


def test_clusters_that_differ_need_more_items_than_independent_ones() -> None:
    """One in three of 30 articles favours the first model throughout, one in six the other."""
    first = [cluster % 6 in (0, 1) for cluster in range(30) for _ in range(5)]
    second = [cluster % 6 == 2 for cluster in range(30) for _ in range(5)]
    clusters = [n // 5 for n in range(150)]
    [(_, _, told)] = statistics.together([statistics.paired(first, second)])
    [(together, p, tells)] = statistics.together([statistics.paired(first, second, clusters)])
    assert told and not tells and p == pytest.approx(stats.binomtest(5, 15).pvalue)
    assert together.design == pytest.approx(5) and together.needed and together.needed > 150


@pytest.mark.parametrize("freedom", [6, 22, 59])
def test_students_quantile_is_scipys(freedom: int) -> None:
    assert statistics.student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), abs=1e-3)


def test_signs_of_clusters_are_flipped_in_every_way() -> None:
    """Against a permutation test that tries all of them."""
    sums = [4, -1, 3, 2, -2, 5, 1, 0]
    wanted = stats.permutation_test((sums,), np.sum, permutation_type="samples", n_resamples=10_000).pvalue
    assert statistics.sign_flips(sums) == pytest.approx(wanted, abs=1e-12)
