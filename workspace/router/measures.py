"""How well a router chooses, as RouteLLM measures it (arXiv 2406.18665), and how well a score tells two kinds apart.

Pure numpy on outcomes that are known: it knows no model, no prompt and no way to choose. Only what measures imports it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rows = NDArray[np.intp]
Truths = NDArray[np.bool_]
BINS = 10  # thresholds are the edges of ten bins of equal count, as in RouteLLM
RESAMPLES = 300
SEED = 20_261_123


@dataclass(frozen=True, slots=True)
class Routing:
    """``apgr``: share of the way from the weak to the strong model, averaged over all shares of strong calls.
    ``cpt50`` and ``cpt80``: percent of strong calls that take quality 50 and 80 percent of that way."""

    apgr: float
    cpt50: float
    cpt80: float


def routing(scores: Array, weak: Array, strong: Array) -> Routing:
    """``scores`` says how much a prompt needs the strong model; ``weak`` and ``strong`` are what each model earned.
    Between models that earned the same there is no way to measure: the APGR is not a number."""
    share, quality = curve(scores, weak, strong)
    low, high = weak.mean(), strong.mean()
    return Routing(
        apgr=float((np.trapezoid(quality, share) - low) / (high - low)) if high != low else float("nan"),
        cpt50=100 * _reaches(share, quality, low + 0.5 * (high - low)),
        cpt80=100 * _reaches(share, quality, low + 0.8 * (high - low)),
    )


def curve(scores: Array, weak: Array, strong: Array) -> tuple[Array, Array]:
    """Share of strong calls and mean quality at eleven thresholds, from all weak to all strong."""
    edges = np.quantile(scores, np.linspace(0, 1, BINS + 1))
    chosen = [scores >= edge for edge in edges[:-1]] + [scores > edges[-1]]
    points = sorted((float(to_strong.mean()), float(np.where(to_strong, strong, weak).mean())) for to_strong in chosen)
    share, quality = np.array(points).T
    return share, quality


def places_within(scores: Array, folds: Rows) -> Array:
    """Each score's place among those of its fold, 0 to 1, ties sharing one: what was learnt from different labels does
    not compare otherwise. A fold where the strong model is needed more leaves less of that to the others' labels, which
    makes a good score look bad across folds."""
    places = np.zeros(len(scores))
    for fold in np.unique(folds):
        its = folds == fold
        places[its] = _ranks(scores[its]) / its.sum()
    return places


def auc(scores: Array, positive: Truths) -> float:
    """The chance that a positive scores higher than a negative; a tie counts half."""
    rank = _ranks(scores)
    yes, no = int(positive.sum()), int((~positive).sum())
    return float((rank[positive].sum() - yes * (yes + 1) / 2) / (yes * no))


def interval(measure: Callable[[Rows], float], rows: int) -> tuple[float, float]:
    """The middle 95 % of a measure over prompts drawn again with replacement, always the same draws."""
    chance = np.random.default_rng(SEED)
    told = [measure(chance.integers(0, rows, rows)) for _ in range(RESAMPLES)]
    low, high = np.nanquantile(told, (0.025, 0.975))
    return round(float(low), 4), round(float(high), 4)


def _ranks(scores: Array) -> Array:
    """From 1; equal scores share their mean rank."""
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    ranks: Array = (np.cumsum(count) - (count - 1) / 2)[place]
    return ranks


def _reaches(share: Sequence[float] | Array, quality: Sequence[float] | Array, target: float) -> float:
    """The smallest share of strong calls whose quality is the target, on straight lines between the points."""
    if quality[0] >= target:
        return float(share[0])
    for n in range(1, len(share)):
        if quality[n] >= target:
            part = (target - quality[n - 1]) / (quality[n] - quality[n - 1])
            return float(share[n - 1] + part * (share[n] - share[n - 1]))
    return 1.0
