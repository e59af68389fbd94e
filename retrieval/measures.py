"""How good a ranking is, and whether one is better than another. Pure: numbers in, numbers out.

Recall, the reciprocal rank and nDCG with gains as judged and log2 discounts (Järvelin and Kekäläinen, 2002); intervals
by a paired bootstrap over questions, always the same draws.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

CUTS = (1, 5, 10)
RESAMPLES = 1_000
SEED = 20_261_124


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean and the middle 95 % of it over questions drawn again."""

    value: float
    low: float
    high: float


def of_ranking(ranked: Sequence[str], gains: Mapping[str, float]) -> dict[str, float]:
    """``recall@k``, ``mrr`` and ``ndcg@10`` of one question. ``gains`` holds what is relevant, above 0."""
    places = [place for place, one in enumerate(ranked, start=1) if one in gains]
    found = {f"recall@{k}": sum(place <= k for place in places) / len(gains) for k in CUTS}
    return {**found, "mrr": 1 / places[0] if places else 0.0, "ndcg@10": _ndcg(ranked[:10], gains)}


def mean(values: Sequence[float]) -> Interval:
    return _interval(values)


def difference(new: Sequence[float], old: Sequence[float]) -> Interval:
    """By how much the new one is better, question by question."""
    return _interval([a - b for a, b in zip(new, old, strict=True)])


def auroc(positive: Sequence[float], negative: Sequence[float]) -> float:
    """The chance that a positive scores higher than a negative; a tie counts half."""
    ranks = sorted([(score, 1) for score in positive] + [(score, 0) for score in negative])
    below = wins = 0.0
    at = 0
    while at < len(ranks):
        end = at
        while end < len(ranks) and ranks[end][0] == ranks[at][0]:
            end += 1
        yes = sum(kind for _, kind in ranks[at:end])
        no = end - at - yes
        wins += yes * (below + no / 2)
        below += no
        at = end
    return wins / (len(positive) * len(negative))


def _ndcg(ranked: Sequence[str], gains: Mapping[str, float]) -> float:
    best = sorted(gains.values(), reverse=True)[: len(ranked) or 10]
    ideal = sum(gain / math.log2(place + 1) for place, gain in enumerate(best, start=1))
    got = sum(gains.get(one, 0.0) / math.log2(place + 1) for place, one in enumerate(ranked, start=1))
    return got / ideal if ideal else 0.0


def _interval(values: Sequence[float]) -> Interval:
    chance = random.Random(SEED)
    count = len(values)
    means = sorted(statistics.fmean(chance.choices(values, k=count)) for _ in range(RESAMPLES))
    low, high = means[round(0.025 * RESAMPLES)], means[round(0.975 * RESAMPLES) - 1]
    return Interval(round(statistics.fmean(values), 4), round(low, 4), round(high, 4))
