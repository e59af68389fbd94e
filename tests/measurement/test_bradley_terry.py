"""Strengths from votes, against other implementations and against simulations whose strengths are known."""

from __future__ import annotations

from itertools import combinations

import choix
import numpy as np
import pytest
from scipy import optimize

from workspace.measurement import bradley_terry
from workspace.measurement.bradley_terry import ELO, MIDDLE, Match, fit, islands, table


def games(strong: list[float], count: int, *, tie: float = 0.0, chance: np.random.Generator | int = 3) -> list[Match]:
    """Matches between models whose log-strengths are known."""
    chance = np.random.default_rng(chance)
    pairs = list(combinations(range(len(strong)), 2))
    made = []
    for (i, j), at in zip(chance.choice(pairs, count), chance.random(count), strict=True):
        d = strong[i] - strong[j]
        odds = np.cumsum([np.exp(d / 2), np.exp(-d / 2), tie])
        won = (1, -1, 0)[int(np.searchsorted(odds / odds[-1], at))]
        made.append(Match(first=f"m{i}", second=f"m{j}", won=won))
    return made


@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_strengths_are_those_of_another_implementation(pull: float) -> None:
    """choix draws to the middle by the square of the strengths, as we do by half of it."""
    matches = games([0.8, 0.1, -0.3, -0.6], 600)
    names = ["m0", "m1", "m2", "m3"]
    data = [(names.index(w), names.index(lost)) for m in matches for w, lost in [(m.first, m.second)[:: m.won]]]
    wanted = choix.opt_pairwise(4, data, alpha=pull / 2, tol=1e-12)
    ours, _, _ = fit(matches, names, pull=pull)
    assert ours == pytest.approx(wanted - wanted.mean(), abs=1e-6)


def test_with_ties_and_style_the_likelihood_is_at_its_top() -> None:
    chance = np.random.default_rng(5)
    matches = [
        Match(first=m.first, second=m.second, won=m.won, style=(float(chance.normal()), float(chance.normal())))
        for m in games([0.5, 0.0, -0.5], 500, tie=0.7)
    ]

    def loss(x: np.ndarray) -> float:
        logs = {"m0": x[0], "m1": x[1], "m2": -x[0] - x[1]}
        total = 0.0
        for m in matches:
            d = logs[m.first] - logs[m.second] + x[3] * m.style[0] + x[4] * m.style[1]
            scores = {1: d / 2, -1: -d / 2, 0: x[2]}
            total += scores[m.won] - np.logaddexp.reduce(list(scores.values()))
        return -total

    found = optimize.minimize(loss, np.zeros(5), method="BFGS", options={"gtol": 1e-8})
    logs, tie, style = fit(matches, ["m0", "m1", "m2"], styled=True)
    assert [*logs[:2], tie, *style] == pytest.approx(list(found.x), abs=1e-5)


@pytest.mark.parametrize(
    ("strong", "count", "simulations", "resamples", "within"),
    [
        pytest.param([0.6, 0.0, -0.6], 200, 120, 200, (0.90, 0.99), id="short"),
        pytest.param([0.6, 0.0, -0.6], 200, 2_000, 400, (0.93, 0.97), id="three", marks=pytest.mark.soak),
        pytest.param([0.9, 0.2, -0.2, -0.9], 300, 2_000, 400, (0.93, 0.97), id="four", marks=pytest.mark.soak),
    ],
)
def test_intervals_hold_the_truth_as_often_as_they_say(
    strong: list[float],
    count: int,
    simulations: int,
    resamples: int,
    within: tuple[float, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of strengths, and of the differences between them."""
    monkeypatch.setattr(bradley_terry, "RESAMPLES", resamples)
    chance = np.random.default_rng(11)
    strengths, gaps = [], []
    for _ in range(simulations):
        told = table(games(strong, count, tie=0.4, chance=chance))
        strengths += [one.low <= MIDDLE + ELO * strong[int(one.model[1])] <= one.high for one in told.strengths]
        for gap in told.gaps:
            truth = ELO * (strong[int(gap.first[1])] - strong[int(gap.second[1])])
            gaps.append(gap.low <= truth <= gap.high)
    assert within[0] <= np.mean(strengths) <= within[1]
    assert within[0] <= np.mean(gaps) <= within[1]


def test_a_known_order_is_told_and_equals_are_not() -> None:
    told = table(games([0.9, 0.0, 0.0, -0.9], 900, tie=0.5))
    assert [told.strengths[0].model, told.strengths[-1].model] == ["m0", "m3"]
    assert [one.rank for one in told.strengths] == [1, 2, 2, 4]
    unsure = [gap for gap in told.gaps if not gap.tells]
    assert [{gap.first, gap.second} for gap in unsure] == [{"m1", "m2"}]
    assert unsure[0].needed is None or unsure[0].needed > told.votes == 900
    assert all(gap.needed is None for gap in told.gaps if gap.tells)


def test_as_many_votes_as_are_said_to_be_needed_tell_it() -> None:
    few = table(games([0.2, -0.2], 60, chance=3))
    gap = few.gaps[0]
    assert not gap.tells and gap.needed
    strong = gap.elo / ELO / 2
    found = [table(games([strong, -strong], gap.needed, chance=seed)).gaps[0] for seed in range(40)]
    assert 0.6 <= np.mean([one.tells and one.first == "m0" for one in found]) <= 0.95


def test_nobody_is_said_to_be_better_where_all_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most one leaderboard in twenty, however many pairs it has."""
    monkeypatch.setattr(bradley_terry, "RESAMPLES", 200)
    wrong = [any(g.tells for g in table(games([0.0] * 5, 200, tie=0.3, chance=n)).gaps) for n in range(60)]
    assert np.mean(wrong) <= 0.15


def test_models_that_never_met_are_apart() -> None:
    met = [
        Match(first="a", second="b", won=1),
        Match(first="b", second="c", won=0),
        Match(first="x", second="y", won=1),
    ]
    assert islands(met) == [{"a", "b", "c"}, {"x", "y"}]
    joined = islands([*met, Match(first="y", second="a", won=1)])
    assert joined == [{"a", "b", "c", "x", "y"}]


def test_a_vote_of_several_matches_is_drawn_whole() -> None:
    """Three matches of one vote tell no more than one vote: the interval is that of as many votes."""
    once = games([0.4, -0.4], 80)
    thrice = [Match(first=m.first, second=m.second, won=m.won, vote=at) for at, m in enumerate(once) for _ in range(3)]
    one, three = (table(each).strengths[0] for each in (once, thrice))
    assert three.votes == 80
    assert three.high - three.low == pytest.approx(one.high - one.low, rel=0.1)


@pytest.mark.parametrize("won", [1, 0])
def test_what_never_varies_is_strong_and_finite(won: int) -> None:
    told = table([Match(first="a", second="b", won=won)] * 3)
    assert {one.model for one in told.strengths} == {"a", "b"}
    assert all(abs(one.elo) < 3_000 and one.low <= one.elo <= one.high for one in told.strengths)
    assert table([]).strengths == ()
