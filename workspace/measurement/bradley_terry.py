"""How strong models are, from votes between them: Bradley and Terry (1952) with ties as Davidson (1970) has them.

One vote between i and j is won by i, by j, or is a tie, with odds exp(d/2) : exp(-d/2) : exp(t), where d is the
difference of their strengths plus, where style is held apart, of their style times its weight. That is a multinomial
logit: Newton's steps find the one maximum. Strengths are told as Elo: 400 points are odds of ten to one.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ELO = 400 / math.log(10)
MIDDLE = 1_000
RESAMPLES = 300
SEED = 20_261_124
STEPS = 100
CLOSE = 1e-10

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One comparison of two. ``won`` is 1 for the first, -1 for the second, 0 for a tie. ``style`` is by how much the
    first is, say, longer; ``vote`` is what several matches came of, as of one vote between three."""

    first: str
    second: str
    won: int
    style: float = 0.0
    vote: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """``elo`` with the middle 95 % over votes drawn again; ``votes`` are those it took part in. ``rank`` is one more
    than the number of models that are surely stronger."""

    model: str
    elo: float
    low: float
    high: float
    votes: int
    rank: int


def strengths(matches: Sequence[Match], *, styled: bool = False, pull: float = 0.1) -> list[Strength]:
    """All models of the matches, the strongest first. ``styled`` holds the style apart; ``pull`` is how strongly, in
    matches, each is drawn to the middle, so that a model that has won all of three is not infinitely strong."""
    models = sorted({name for match in matches for name in (match.first, match.second)})
    if len(models) < 2:
        return []
    elos = _elo(fit(matches, models, styled=styled, pull=pull)[0])
    drawn = np.array([_elo(fit(one, models, styled=styled, pull=pull)[0]) for one in _drawn(matches)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    counts = {
        name: len({_vote(m, at) for at, m in enumerate(matches) if name in (m.first, m.second)}) for name in models
    }
    return sorted(
        (
            Strength(
                model=name,
                elo=float(elos[at]),
                low=float(low[at]),
                high=float(high[at]),
                votes=counts[name],
                rank=1 + int(sum(low[other] > high[at] for other in range(len(models)))),
            )
            for at, name in enumerate(models)
        ),
        key=lambda one: -one.elo,
    )


def fit(
    matches: Sequence[Match], models: Sequence[str], *, styled: bool = False, pull: float = 0.0
) -> tuple[Array, float, float]:
    """Log-strengths with the sum 0, the log-odds of a tie, and the weight of style: the most likely ones."""
    place = {name: at for at, name in enumerate(models)}
    n, size = len(models), len(models) + 2
    differs = np.zeros((len(matches), size))
    for row, match in enumerate(matches):
        differs[row, place[match.first]] += 0.5
        differs[row, place[match.second]] -= 0.5
        differs[row, n + 1] = 0.5 * match.style if styled else 0.0
    tie = np.zeros(size)
    tie[n] = 1.0
    features = np.stack([differs, -differs, np.broadcast_to(tie, differs.shape)], axis=1)
    seen = np.array([{1: 0, -1: 1, 0: 2}[match.won] for match in matches])
    has_ties = bool((seen == 2).any())
    free = np.array([*([True] * n), has_ties, styled])
    weights = np.zeros(size)
    if not has_ties:
        weights[n] = -np.inf  # no tie was ever seen: the model is Bradley and Terry's own
        features[:, 2, :] = 0.0
    drawn = np.where(np.arange(size) < n, max(pull, 1e-9), 0.0)
    for _ in range(STEPS):
        scores = features @ np.where(np.isinf(weights), 0.0, weights)
        if not has_ties:
            scores[:, 2] = -np.inf
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        odds /= odds.sum(axis=1, keepdims=True)
        expected = np.einsum("rk,rkf->rf", odds, features)
        rest = features[np.arange(len(seen)), seen] - expected
        gradient = rest.sum(axis=0) - drawn * np.where(np.isinf(weights), 0.0, weights)
        curve = np.einsum("rk,rkf,rkg->fg", odds, features, features) - expected.T @ expected + np.diag(drawn)
        step = np.linalg.solve(curve[np.ix_(free, free)] + 1e-12 * np.eye(free.sum()), gradient[free])
        weights[free] += np.clip(step, -5, 5)
        if np.abs(step).max() < CLOSE:
            break
    return weights[:n] - weights[:n].mean(), float(weights[n]), float(weights[n + 1])


def _elo(logs: Array) -> Array:
    elos: Array = MIDDLE + ELO * logs
    return elos


def _drawn(matches: Sequence[Match]) -> list[list[Match]]:
    """Samples of whole votes."""
    votes: dict[Hashable, list[Match]] = {}
    for at, match in enumerate(matches):
        votes.setdefault(_vote(match, at), []).append(match)
    groups = list(votes.values())
    chance = np.random.default_rng(SEED)
    draws = chance.integers(0, len(groups), (RESAMPLES, len(groups)))
    return [[match for at in draw for match in groups[at]] for draw in draws]


def _vote(match: Match, at: int) -> Hashable:
    return at if match.vote is None else ("vote", match.vote)
