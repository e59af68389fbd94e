"""What measured values come to: median, mean, p95, and where they would lie if it were measured again.

Intervals are the middle 95 % over samples drawn again from these (bootstrap), with a fixed seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

DRAWS = 2_000
SEED = 7
FEW = 20  # values under which a p95 is the largest of them by another name


def spread(values: Sequence[float], *, digits: int = 4) -> dict[str, Any]:
    """Nothing for no values."""
    if not values:
        return {}
    all_ = np.asarray(values, dtype=np.float64)
    drawn = np.random.default_rng(SEED).choice(all_, size=(DRAWS, len(all_)))
    return {
        "count": len(all_),
        "median": round(float(np.median(all_)), digits),
        "mean": round(float(all_.mean()), digits),
        "p95": round(float(np.percentile(all_, 95)), digits),
        "median_interval": _middle(np.median(drawn, axis=1), digits),
        "mean_interval": _middle(drawn.mean(axis=1), digits),
        "p95_interval": _middle(np.percentile(drawn, 95, axis=1), digits),
    }


def line_of(row: dict[str, Any], unit: str = "") -> str:
    """Median and p95, each with its 95 % interval."""
    if not row:
        return "not measured"
    cells = []
    for name in ("median", "p95"):
        if name == "p95" and row["count"] < FEW:
            cells.append(f"p95 of no meaning in {row['count']}")
            continue
        low, high = row[f"{name}_interval"]
        cells.append(f"{name} {row[name]:g}{unit and ' ' + unit} ({low:g} to {high:g})")
    return ", ".join(cells)


def _middle(drawn: Any, digits: int) -> list[float]:
    return [round(float(edge), digits) for edge in np.percentile(drawn, (2.5, 97.5))]
