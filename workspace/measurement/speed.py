"""How fast lanes answered. The formulas stand here, and are printed on the page: the field's names for them collide.

t0 is the moment the call is made, t1 its first token, tn its last, n the tokens that the provider counted. Times are
read off a monotonic clock as pieces come from the connection, before anything is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from workspace.measurement import statistics
from workspace.measurement.asking import LONG
from workspace.measurement.models import Completion
from workspace.measurement.statistics import Interval

FORMULAS = {
    "first token": "t1 − t0, reasoning included; median, and 95th percentile from 100 answers on",
    "first answer token": "the first token that is no reasoning, − t0; median",
    "between tokens": "(tn − t1) / (n − 1) of each answer; median",
    "tokens a second": "(n − 1) / (tn − t1) of each answer, so without the first token; median",
    "end to end": "end of the answer − t0; median",
    "256 tokens": "tn − t0 of completions that have exactly 256 tokens, at most 256 asked for, temperature 0; median. "
    "Shorter ones are counted beside it",
    "cached": "input tokens that the provider says it found in its prefix cache / input tokens",
}


class Timed(Protocol):
    first_token_s: float | None
    first_answer_s: float | None
    last_token_s: float | None
    total_s: float | None
    tokens_input: int | None
    tokens_output: int | None
    tokens_cached: int | None
    estimated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Seconds, and tokens a second. ``estimated`` answers have tokens that nobody counted."""

    answers: int
    estimated: int
    first_token: Interval | None
    first_token_p95: Interval | None
    first_answer: Interval | None
    between: Interval | None
    decode: Interval | None
    whole: Interval | None
    whole_p95: Interval | None
    cached: float | None
    times: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """Timed completions of one lane: ``full`` have 256 tokens, the others are short or failed."""

    full: int
    short: int
    failed: int
    shortest: int | None
    whole: Interval | None
    whole_p95: Interval | None
    first_token: Interval | None
    decode: Interval | None
    estimated: int


def speed(rows: Sequence[Timed]) -> Speed:
    first = sorted(row.first_token_s for row in rows if row.first_token_s is not None)
    whole = [row.total_s for row in rows if row.total_s is not None]
    gaps = _gaps(rows)
    sent = sum(row.tokens_input or 0 for row in rows)
    told = [row.tokens_cached for row in rows if row.tokens_cached is not None]
    return Speed(
        answers=len(rows),
        estimated=sum(row.estimated for row in rows),
        first_token=statistics.median(first),
        first_token_p95=statistics.p95(first),
        first_answer=statistics.median([row.first_answer_s for row in rows if row.first_answer_s is not None]),
        between=statistics.median(gaps),
        decode=statistics.median([1 / gap for gap in gaps]),
        whole=statistics.median(whole),
        whole_p95=statistics.p95(whole),
        cached=sum(told) / sent if told and sent else None,
        times=first,
    )


def completed(rows: Sequence[Completion]) -> Completed:
    answered = [row for row in rows if row.failure is None]
    full = [row for row in answered if row.tokens_output == LONG]
    short = [row.tokens_output or 0 for row in answered if row.tokens_output != LONG]
    whole = [row.last_token_s for row in full if row.last_token_s is not None]
    return Completed(
        full=len(full),
        short=len(short),
        failed=len(rows) - len(answered),
        shortest=min(short, default=None),
        whole=statistics.median(whole),
        whole_p95=statistics.p95(whole),
        first_token=statistics.median([row.first_token_s for row in full if row.first_token_s is not None]),
        decode=statistics.median([1 / gap for gap in _gaps(full)]),
        estimated=sum(row.estimated for row in answered),
    )


def _gaps(rows: Sequence[Timed]) -> list[float]:
    """Seconds between two tokens, of answers that have two and did not come in one piece."""
    return [
        (row.last_token_s - row.first_token_s) / (row.tokens_output - 1)
        for row in rows
        if row.last_token_s is not None
        and row.first_token_s is not None
        and row.tokens_output
        and row.tokens_output > 1
        and row.last_token_s > row.first_token_s
    ]
