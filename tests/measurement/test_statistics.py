"""The statistics against what is known: published examples, other implementations, simulations with known truth."""

from __future__ import annotations

import os

import numpy as np
import pytest
from scipy import stats

from workspace.measurement import statistics

SIMULATIONS = 2_000 if os.environ.get("SOAK") else 200
WITHIN = (0.93, 0.97) if os.environ.get("SOAK") else (0.90, 0.99)


@pytest.mark.parametrize(("count", "of"), [(0, 10), (7, 20), (81, 100), (100, 100)])
def test_a_share_has_wilsons_interval(count: int, of: int) -> None:
    told = statistics.share(count, of)
    wanted = stats.binomtest(count, of).proportion_ci(method="wilson")
    assert told and (told.low, told.high) == pytest.approx((wanted.low, wanted.high), abs=1e-6)


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 9), (12, 12), (40, 21)])
def test_mcnemar_is_the_exact_binomial(b: int, c: int) -> None:
    wanted = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert statistics.mcnemar(b, c) == pytest.approx(wanted, abs=1e-12)


def test_holm_steps_down() -> None:
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_a_planned_sample_sees_what_it_is_planned_for() -> None:
    n = statistics.needed(18, 8, 100)
    assert n is not None
    chance = np.random.default_rng(1)
    told = [statistics.mcnemar(*chance.multinomial(n, [0.18, 0.08, 0.74])[:2]) < 0.05 for _ in range(400)]
    assert 0.72 <= np.mean(told) <= 0.9
    assert statistics.needed(5, 5, 100) is None


@pytest.mark.parametrize("of", ["mean", "median", "clustered mean"])
def test_intervals_hold_the_truth_as_often_as_they_say(of: str) -> None:
    chance = np.random.default_rng(7)
    truth = float(np.exp(0.125)) if "mean" in of else 1.0
    held = 0
    for _ in range(SIMULATIONS):
        if of == "clustered mean":
            clusters = np.repeat(np.arange(40), 5)
            values = 1.0 + np.repeat(chance.normal(0, 1, 40), 5) + chance.normal(0, 1, 200)
            told, wanted = statistics.mean(list(values), list(clusters)), 1.0
        else:
            values = np.exp(chance.normal(0, 0.5, 150))
            told, wanted = (statistics.mean if of == "mean" else statistics.median)(list(values)), truth
        assert told
        held += told.low <= wanted <= told.high
    assert WITHIN[0] <= held / SIMULATIONS <= WITHIN[1]


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
