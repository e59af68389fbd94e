"""Strengths from votes, against other implementations and against simulations whose strengths are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import choix
import numpy as np
import pytest
from scipy import optimize

from workspace.measurement import bradley_terry
from workspace.measurement.bradley_terry import ELO, MIDDLE, Match, compared, fit, islands, table


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


def choices(
    strong: list[float], count: int, *, lanes: int = 2, tie: float = 0.0, chance: np.random.Generator
) -> list[Match]:
    """Votes between several lanes, one in a place or none: Luce's choice, and a tie by the mean of their strengths,
    which of two lanes is Davidson's."""
    made = []
    for vote in range(count):
        among = chance.permutation(len(strong))[:lanes]
        logs = np.array([strong[at] for at in among])
        odds = np.cumsum([*np.exp(logs), tie * lanes / 2 * np.exp(logs.mean())])
        best = int(np.searchsorted(odds / odds[-1], chance.random()))
        won = best if best < lanes else None
        made += [
            Match(
                first=f"m{among[a]}", second=f"m{among[b]}", won=0 if won is None else 1, vote=vote, weight=weight,
            )
            for a, b, weight in compared(lanes, won)
        ]  # fmt: skip
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

    found = optimize.minimize(loss, np.zeros(5), method="BFGS", jac="3-point", options={"gtol": 1e-9, "xrtol": 0})
    logs, tie, style = fit(matches, ["m0", "m1", "m2"], styled=True)
    assert [*logs[:2], tie, *style] == pytest.approx(list(found.x), abs=1e-6)


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
    monkeypatch.setattr(bradley_terry, "RESAMPLES", resamples)
    for held in coverage(strong, simulations, lambda chance: games(strong, count, tie=0.4, chance=chance)):
        assert within[0] <= held <= within[1]


EIGHT = [1.0, 0.6, 0.3, 0.1, -0.1, -0.3, -0.6, -1.0]


@pytest.mark.parametrize(
    ("strong", "lanes", "count", "simulations", "within"),
    [
        pytest.param(EIGHT[:4], 4, 100, 80, (0.89, 0.99), id="short"),
        pytest.param(EIGHT[:4], 3, 300, 1_000, (0.92, 0.97), id="three", marks=pytest.mark.soak),
        pytest.param(EIGHT[:4], 4, 250, 1_000, (0.92, 0.97), id="four", marks=pytest.mark.soak),
        pytest.param(EIGHT, 8, 200, 400, (0.92, 0.97), id="eight", marks=pytest.mark.soak),
    ],
)
def test_intervals_hold_the_truth_where_several_lanes_are_voted_on(
    strong: list[float],
    lanes: int,
    count: int,
    simulations: int,
    within: tuple[float, float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every fifth vote is a tie, about. Pairs of one vote between several are taken one by one, which is exact for a
    choice and near for a tie: so the bound below is 92."""
    monkeypatch.setattr(bradley_terry, "RESAMPLES", 400 if simulations > 100 else 200)

    def made(chance: np.random.Generator) -> list[Match]:
        return choices(strong, count, lanes=lanes, tie=0.5, chance=chance)

    for held in coverage(strong, simulations, made):
        assert within[0] <= held <= within[1]


@pytest.mark.parametrize(
    ("simulations", "within"),
    [(60, (0.89, 0.99)), pytest.param(1_000, (0.93, 0.97), marks=pytest.mark.soak)],
)
def test_intervals_hold_the_truth_where_style_is_held_apart(
    simulations: int, within: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stronger ones write longer, and length alone wins, too."""
    monkeypatch.setattr(bradley_terry, "RESAMPLES", 200)
    strong, weight = [0.6, 0.0, -0.6], 0.5

    def made(chance: np.random.Generator) -> list[Match]:
        found = []
        for first, second in chance.choice(list(combinations(range(3), 2)), 250):
            longer = round(
                float(chance.normal(strong[first] - strong[second], 1))
            )  # in few steps: alike matches are one row
            odds = strong[first] - strong[second] + weight * longer
            [match] = games([odds, 0.0], 1, tie=0.4, chance=chance)
            found.append(Match(first=f"m{first}", second=f"m{second}", won=match.won, style=(float(longer),)))
        return found

    for held in coverage(strong, simulations, made, styled=True):
        assert within[0] <= held <= within[1]
    plainly, fairly = (table(made(np.random.default_rng(3)), styled=styled).gaps for styled in (False, True))
    assert max(gap.elo for gap in plainly) > max(gap.elo for gap in fairly), "the premise: looks alone win"


def coverage(
    strong: list[float], times: int, made: Callable[[np.random.Generator], list[Match]], *, styled: bool = False
) -> tuple[float, float]:
    """In what share of simulations strengths, and the differences between them, lie in their intervals."""
    chance = np.random.default_rng(11)
    strengths, gaps = [], []
    logs = {f"m{at}": one - float(np.mean(strong)) for at, one in enumerate(strong)}
    for _ in range(times):
        told = table(made(chance), styled=styled)
        strengths += [one.low <= MIDDLE + ELO * logs[one.model] <= one.high for one in told.strengths]
        for gap in told.gaps:
            gaps.append(gap.low <= ELO * (logs[gap.first] - logs[gap.second]) <= gap.high)
    return float(np.mean(strengths)), float(np.mean(gaps))


@pytest.mark.parametrize("lanes", [2, 3, 8])
def test_a_tie_between_several_weighs_what_a_choice_among_them_does(lanes: int) -> None:
    tie, choice = (sum(weight for *_, weight in compared(lanes, best)) for best in (None, 0))
    assert tie == pytest.approx(choice)


def test_votes_of_few_people_on_many_questions_say_less_of_others() -> None:
    """Twelve people of whom each always votes the same: as many votes by as many people tell more."""
    votes = [
        Match(first="m0", second="m1", won=1 if person < 8 else -1, vote=(person, n), person=person)
        for person in range(12)
        for n in range(25)
    ]
    ours = table(votes)
    apart = table([replace(match, person=at) for at, match in enumerate(votes)])
    one = table([replace(match, person="alice") for match in votes])
    assert ours.over_people and apart.over_people and not one.over_people
    assert not ours.gaps[0].tells and apart.gaps[0].tells and one.gaps[0].tells
    assert ours.gaps[0].high - ours.gaps[0].low > 3 * (apart.gaps[0].high - apart.gaps[0].low)


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
