"""``manage.py router_benchmark``: our learned score and our rules on published outcomes, every baseline beside them.

The data are CSV files (README, "Measured"). Folds are fixed by the digests of the prompts' ids. How many neighbours
count is from the literature; of eleven other settings tried on MMLU none was better by more than 0.004. An interval is
the middle 95 % over prompts drawn again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from workspace.router.measures import SEED, Array, Routing, Rows, interval, places_within, routing
from workspace.router.neighbours import Neighbours, Vectors
from workspace.router.published import Outcomes, answers, digest, judged
from workspace.router.reasoning import strength
from workspace.router.reasoning_benchmark import reasoning_rows
from workspace.router.trial import FOLDS, SUBJECT_PRIOR, Label, verdict

Embed = Callable[[Sequence[str]], Vectors]

BUDGETS = (500, 1_500, 5_000)  # labelled prompts; then all of the other folds
RANDOM_RUNS = 10
DRAWS = 5  # of so many labels


def report(folder: Path, embed: Embed) -> dict[str, Any]:
    """What there is data for; rows are plain values."""
    return {
        "reasoning": list(reasoning_rows(folder, embed)),
        "routing": list(routing_rows(folder, embed)),
        "gate": gate(folder, embed),
    }


def routing_rows(folder: Path, embed: Embed) -> Iterator[dict[str, Any]]:
    """One row for each data set, router and number of labels."""
    mmlu = answers(folder, "routellm_mmlu", "MMLU")
    gsm8k = answers(folder, "routellm_gsm8k", "GSM8K")
    mt_bench = judged(folder)
    known = embed(mmlu.prompts) if len(mmlu) else None
    if known is not None:
        yield from _untaught(mmlu)
        yield from _taught(mmlu, known, BUDGETS)
    if len(gsm8k):
        yield from _untaught(gsm8k)
        yield from _taught(gsm8k, embed(gsm8k.prompts), BUDGETS[:1])
    if len(mt_bench):
        yield from _untaught(mt_bench)
        rules = np.array([strength(prompt) for prompt in mt_bench.prompts])
        yield _row(mt_bench, "rules of requires_reasoning", 0, [rules])
        if known is not None:
            elsewhere = _gap(mmlu, known, np.arange(len(mmlu)), embed(mt_bench.prompts))
            yield _row(mt_bench, "neighbours, labels of MMLU", len(mmlu), [elsewhere])


def gate(folder: Path, embed: Embed) -> dict[str, Any]:
    """The verdict of the product's own gate over the outcomes on MMLU."""
    data = answers(folder, "routellm_mmlu", "MMLU")
    if not len(data):
        return {}
    vectors = embed(data.prompts)
    labels = [
        Label(digest(data.ids[n]), vectors[n], model, float(earned[n]), len(data.prompts[n]), data.subjects[n])
        for model, earned in (("weak", data.weak), ("strong", data.strong))
        for n in range(len(data))
    ]
    return asdict(verdict(labels))


def _untaught(data: Outcomes) -> Iterator[dict[str, Any]]:
    chance = np.random.default_rng(SEED)
    yield _row(data, "random", 0, [chance.random(len(data)) for _ in range(RANDOM_RUNS)])
    yield _row(data, "prompt length", 0, [np.array([float(len(prompt)) for prompt in data.prompts])])
    yield _row(data, "oracle", 0, [data.strong - data.weak])


def _taught(data: Outcomes, vectors: Vectors, budgets: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Several draws of labels for each budget, but for the last: there all labels are taken."""
    fewest = len(data) - int(np.bincount(data.folds).max())
    for budget in [*(budget for budget in budgets if budget < fewest), fewest]:
        draws = [_held_out(data, vectors, budget, draw) for draw in range(DRAWS if budget < fewest else 1)]
        near, means = [near for near, _ in draws], [mean for _, mean in draws]
        if len(set(data.subjects)) > 1:
            yield _row(data, "subject mean", budget, means)
            yield _row(data, "neighbours", budget, near, against=means)
        else:
            yield _row(data, "neighbours", budget, near)


def _held_out(data: Outcomes, vectors: Vectors, budget: int, draw: int) -> tuple[Array, Array]:
    """Every prompt scored once, by neighbours and by the subject's mean, from so many labels of the other folds."""
    shuffled = np.array(sorted(range(len(data)), key=lambda n: digest(f"draw {draw} {data.ids[n]}")))
    near, mean = np.zeros(len(data)), np.zeros(len(data))
    for fold in range(FOLDS):
        asked, taught = np.flatnonzero(data.folds == fold), shuffled[data.folds[shuffled] != fold][:budget]
        near[asked] = _gap(data, vectors, taught, vectors[asked])
        mean[asked] = _subject_mean(data, taught, asked)
    return places_within(near, data.folds), places_within(mean, data.folds)


def _gap(data: Outcomes, vectors: Vectors, taught: Rows, asked: Vectors) -> Array:
    """By how much the strong model is likely to do better."""
    neighbours = Neighbours(vectors.shape[1])
    neighbours.add("weak", vectors[taught], data.weak[taught])
    neighbours.add("strong", vectors[taught], data.strong[taught])
    return np.asarray(neighbours.predict_many("strong", asked) - neighbours.predict_many("weak", asked), np.float64)


def _subject_mean(data: Outcomes, taught: Rows, asked: Rows) -> Array:
    """What a table of subjects says, drawn towards the mean of all where a subject has few labels."""
    gap = data.strong - data.weak
    codes = np.unique(data.subjects, return_inverse=True)[1]
    count = np.bincount(codes[taught], minlength=codes.max() + 1)
    total = np.bincount(codes[taught], gap[taught], minlength=codes.max() + 1)
    means = (total + SUBJECT_PRIOR * gap[taught].mean()) / (count + SUBJECT_PRIOR)
    return np.asarray(means[codes[asked]], np.float64)


def _row(
    data: Outcomes, router: str, labels: int, runs: Sequence[Array], *, against: Sequence[Array] = ()
) -> dict[str, Any]:
    """The mean of the runs, with its interval, and that of the APGR by which they are ahead of other runs."""
    told = _told(data, runs, np.arange(len(data)))
    row: dict[str, Any] = {"data": data.name, "prompts": len(data), "router": router, "labels": labels}
    row["apgr"], row["cpt50"], row["cpt80"] = round(told.apgr, 4), round(told.cpt50, 1), round(told.cpt80, 1)
    row["apgr_interval"] = interval(lambda draw: _told(data, runs, draw).apgr, len(data))
    if against:
        row["ahead_of_subject_mean"] = interval(
            lambda draw: _told(data, runs, draw).apgr - _told(data, against, draw).apgr, len(data)
        )
    return row


def _told(data: Outcomes, runs: Sequence[Array], rows: Rows) -> Routing:
    each = [routing(scores[rows], data.weak[rows], data.strong[rows]) for scores in runs]
    return Routing(
        apgr=float(np.mean([its.apgr for its in each])),
        cpt50=float(np.mean([its.cpt50 for its in each])),
        cpt80=float(np.mean([its.cpt80 for its in each])),
    )
