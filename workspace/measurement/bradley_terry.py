"""How strong models are, from votes between them: Bradley and Terry (1952) with ties as Davidson (1970) has them.

One vote between i and j is won by i, by j, or is a tie, with odds exp(d/2) : exp(-d/2) : exp(t), where d is the
difference of their strengths plus, where style is held apart, of their style times its weights. That is a multinomial
logit: Newton's steps find the one maximum, for all samples of the bootstrap at once. Votes are drawn again whole, and
so are the people who cast them, where there are enough; the wider interval counts. Strengths are told as Elo: 400
points are odds of ten to one. It knows no table and no page.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from workspace.measurement.statistics import NORMAL, SURE, Z_POWER, Interval, holm, middle, stretch

ELO = 400 / math.log(10)
MIDDLE = 1_000
RESAMPLES = 400
SEED = 20_261_124
STEPS = 60
CLOSE = 1e-10
LEAST_PEOPLE = 10  # whom it takes to say what others would prefer: fewer can't be drawn from

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """One comparison of two. ``won`` is 1 for the first, -1 for the second, 0 for a tie. ``style`` is by how much the
    first is, say, longer, one number for each thing that is held apart; ``vote`` is what several matches came of, as of
    one vote between three, ``weight`` how much of a match it is, and ``person`` who cast it."""

    first: str
    second: str
    won: int
    style: tuple[float, ...] = ()
    vote: Hashable = None
    weight: float = 1.0
    person: Hashable = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Strength:
    """``elo`` with its interval; ``votes`` are those it took part in. ``rank`` is one more than the number of models
    that are surely stronger."""

    model: str
    elo: float
    low: float
    high: float
    votes: int
    rank: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Two models, the stronger first: their difference in Elo with its interval, whether it is told after Holm's
    correction, and else how many votes, cast as these were, would tell it among as many pairs if it is what it seems;
    ``None`` where as many as there are should have told it."""

    first: str
    second: str
    elo: float
    low: float
    high: float
    tells: bool
    needed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All models, the strongest first, and every two of them. ``weights`` are those of style, in Elo for one unit;
    ``over_people`` says whether people were drawn again, too."""

    strengths: Sequence[Strength] = ()
    gaps: Sequence[Gap] = ()
    votes: int = 0
    weights: Sequence[float] = ()
    over_people: bool = False


def table(matches: Sequence[Match], *, styled: bool = False, pull: float = 0.1) -> Table:
    """The models of the matches, which should all have met, directly or by others (``islands``). ``styled`` holds the
    style apart; ``pull`` is how strongly, in matches, each is drawn to the middle, so that a model that has won all of
    three is not infinitely strong. The same votes are not counted twice: with style that may take seconds."""
    return _table(tuple(matches), styled, pull)


def fit(
    matches: Sequence[Match], models: Sequence[str], *, styled: bool = False, pull: float = 0.0
) -> tuple[Array, float, Array]:
    """Log-strengths with the sum 0, the log-odds of a tie, and the weights of style: the most likely ones."""
    design = _Design(matches, models, styled=styled)
    found = design.fit(_weights(matches)[None], pull=pull)[0]
    n = len(models)
    return found[:n], float(found[n]), found[n + 1 :]


def compared(lanes: int, best: int | None) -> list[tuple[int, int, float]]:
    """Which two of so many lanes a vote compares, the better one first, and how much of a match each is. The best one
    is compared to every other; of a tie every two are, and all that together weighs what a choice does."""
    if best is None:
        return [(a, b, 2 / lanes) for a, b in combinations(range(lanes), 2)]
    return [(best, other, 1.0) for other in range(lanes) if other != best]


def islands(matches: Sequence[Match]) -> list[set[str]]:
    """Models that have met, directly or by others, together; the most first. Between two islands nothing is known."""
    found: list[set[str]] = []
    for match in matches:
        pair = {match.first, match.second}
        touched = [one for one in found if one & pair]
        found = [one for one in found if not one & pair] + [pair.union(*touched)]
    return sorted(found, key=len, reverse=True)


@lru_cache(maxsize=64)
def _table(matches: tuple[Match, ...], styled: bool, pull: float) -> Table:
    models = sorted({name for match in matches for name in (match.first, match.second)})
    if len(models) < 2:
        return Table()
    votes = _numbered([at if match.vote is None else ("vote", match.vote) for at, match in enumerate(matches)])
    people = _numbered([match.person for match in matches])
    over = [votes, people] if people.max() + 1 >= LEAST_PEOPLE else [votes]
    design = _Design(matches, models, styled=styled)
    found = design.fit(_weights(matches)[None], pull=pull)[0]
    n = len(models)
    elos = ELO * found[:n]
    drawn = []
    for of in over:
        samples = design.fit(_drawn(of) * _weights(matches), pull=pull, start=found, close=1e-6)
        drawn.append((ELO * samples[:, :n], int(of.max()) + 1))
    gaps = _gaps(models, elos, drawn, int(votes.max()) + 1)
    ends = [_widest(elos[at], [(samples[:, at], of) for samples, of in drawn]) for at in range(n)]
    rows = [
        Strength(
            model=name,
            elo=float(MIDDLE + elos[at]),
            low=MIDDLE + ends[at].low,
            high=MIDDLE + ends[at].high,
            votes=len({votes[row] for row, m in enumerate(matches) if name in (m.first, m.second)}),
            rank=1 + sum(gap.tells and gap.second == name for gap in gaps),
        )
        for at, name in enumerate(models)
    ]
    return Table(
        strengths=sorted(rows, key=lambda one: -one.elo),
        gaps=gaps,
        votes=int(votes.max()) + 1,
        weights=[float(ELO * weight) for weight in found[n + 1 :]],
        over_people=len(over) > 1,
    )


class _Design:
    """The matches as numbers. Alike ones are one row, so that a thousand votes on four models are eighteen rows."""

    def __init__(self, matches: Sequence[Match], models: Sequence[str], *, styled: bool) -> None:
        place = {name: at for at, name in enumerate(models)}
        self._n = len(models)
        kinds: dict[Hashable, int] = {}
        self._row = np.empty(len(matches), dtype=np.intp)
        features: list[list[float]] = []
        won: list[int] = []
        for at, match in enumerate(matches):
            style = match.style if styled else ()
            row = self._row[at] = kinds.setdefault((match.first, match.second, match.won, style), len(kinds))
            if row < len(features):
                continue
            line = [0.0] * self._n + list(style)
            line[place[match.first]], line[place[match.second]] = 1.0, -1.0
            features.append(line)
            won.append(match.won)
        self._x = np.array(features)
        self._won = np.array(won)
        self._squares = np.einsum("ri,rj->rij", self._x, self._x).reshape(len(self._x), -1)

    def fit(self, weights: Array, *, pull: float, start: Array | None = None, close: float = CLOSE) -> Array:
        """For each line of ``weights``, of matches, the most likely strengths, tie and style."""
        counted = np.zeros((len(weights), len(self._x)))
        for row in range(len(weights)):
            counted[row] = np.bincount(self._row, weights[row], len(self._x))
        ties = bool((self._won == 0).any())
        width = self._x.shape[1]
        size = width + 1  # strengths and style, then the tie
        at = np.zeros((len(weights), size))
        if start is not None:
            at[:] = np.r_[start[: self._n], start[self._n + 1 :], start[self._n] if ties else 0.0]
        drawn = np.full(size, max(pull / 100, 1e-9))
        drawn[: self._n] = max(pull, 1e-9)
        for _ in range(STEPS):
            step = self._step(at, counted, drawn, ties=ties)
            at += np.clip(step, -4, 4)
            if np.abs(step).max() < close:
                break
        strengths = at[:, : self._n] - at[:, : self._n].mean(axis=1, keepdims=True)
        tie = at[:, -1:] if ties else np.full((len(at), 1), -np.inf)
        found: Array = np.concatenate([strengths, tie, at[:, self._n : -1]], axis=1)
        return found

    def _step(self, at: Array, counted: Array, drawn: Array, *, ties: bool) -> Array:
        """One of Newton's, for every sample."""
        half = at[:, :-1] @ self._x.T / 2
        tie = np.exp(np.clip(at[:, -1:], -40, 40)) if ties else np.zeros((len(at), 1))
        top = np.abs(half)
        odds = (np.exp(half - top), np.exp(-half - top), tie * np.exp(-top))
        whole = sum(odds)
        first, second, tied = (one / whole for one in odds)
        lead = (first - second) / 2
        gradient = np.empty_like(at)
        gradient[:, :-1] = (counted * (self._won / 2 - lead)) @ self._x
        gradient[:, -1] = (counted * ((self._won == 0) - tied)).sum(axis=1)
        gradient -= drawn * at
        size = at.shape[1]
        curve = np.zeros((len(at), size, size))
        spread = counted * ((first + second) / 4 - lead**2)
        curve[:, :-1, :-1] = (spread @ self._squares).reshape(len(at), size - 1, size - 1)
        curve[:, :-1, -1] = curve[:, -1, :-1] = (counted * (-tied * lead)) @ self._x
        curve[:, -1, -1] = (counted * tied * (1 - tied)).sum(axis=1)
        curve += np.diag(drawn)
        if not ties:
            gradient[:, -1] = 0.0
            curve[:, -1, -1] = 1.0
        return np.asarray(np.linalg.solve(curve, gradient[:, :, None])[:, :, 0], dtype=np.float64)


def _gaps(models: Sequence[str], elos: Array, drawn: Sequence[tuple[Array, int]], votes: int) -> list[Gap]:
    pairs = [(a, b) if elos[a] >= elos[b] else (b, a) for a, b in combinations(range(len(models)), 2)]
    told = []
    for a, b in pairs:
        apart = [(samples[:, a] - samples[:, b], of) for samples, of in drawn]
        error = max(float(values.std(ddof=1)) * stretch(of) for values, of in apart)
        told.append((_widest(elos[a] - elos[b], apart), error))
    sure = holm([2 * (1 - NORMAL.cdf(gap.value / error)) if error else 1.0 for gap, error in told])
    power = NORMAL.inv_cdf(1 - SURE / 2 / len(pairs)) + Z_POWER
    return [
        Gap(
            first=models[a],
            second=models[b],
            elo=gap.value,
            low=gap.low,
            high=gap.high,
            tells=p < SURE,
            needed=needed if p >= SURE and gap.value >= 1 and needed > votes else None,
        )
        for (a, b), (gap, error), p in zip(pairs, told, sure, strict=True)
        for needed in [math.ceil(votes * (power * error / max(gap.value, 1)) ** 2)]
    ]


def _widest(value: float, drawn: Sequence[tuple[Array, int]]) -> Interval:
    return max((middle(float(value), samples, of) for samples, of in drawn), key=lambda one: one.width)


def _weights(matches: Sequence[Match]) -> Array:
    return np.array([match.weight for match in matches])


def _numbered(keys: Sequence[Hashable]) -> NDArray[np.intp]:
    """A number for each, from 0; the same have the same."""
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(key, len(known)) for key in keys], dtype=np.intp)


def _drawn(of: NDArray[np.intp]) -> Array:
    """How often each match is in each sample: whole votes, or people, are drawn, as many as there are."""
    count = int(of.max()) + 1
    chance = np.random.default_rng(SEED)
    times = chance.multinomial(count, np.full(count, 1 / count), RESAMPLES)
    weights: Array = times[:, of].astype(np.float64)
    return weights
