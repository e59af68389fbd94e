"""The rules of ``requires_reasoning`` against prompt length, chance and what can be learnt, on prompts of known kind.

MT-Bench's categories reasoning, math and coding count: a right answer there is worked out and can be checked. (They are
also where GPT-4 is furthest ahead of Mixtral in that benchmark, by 0.6 to 3.3 marks of 10 against 0.5 at most
elsewhere; only extraction, 1.5 ahead, is copying and not counted.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workspace.router.measures import SEED, Array, Rows, Truths, auc, interval
from workspace.router.neighbours import Vectors
from workspace.router.published import digest, rows_of
from workspace.router.reasoning import requires_reasoning, strength

Embed = Callable[[Sequence[str]], Vectors]

REASONING = {"reasoning", "math", "coding"}
# Tasks of LLMRouter's data that are one or the other; its exams (MMLU, GPQA) hold both.
WORKED_OUT = {"gsm8k", "agentverse-mgsm", "math", "mbpp", "human_eval", "agentverse-logicgrid"}
RECALLED = {"natural_qa", "trivia_qa", "openbook_qa", "commongen", "commonsense_qa", "arc_challenge"}
LEARNT_FROM = 600  # prompts of those tasks
RIDGE = 1.0
RANDOM_RUNS = 200


def reasoning_rows(folder: Path, embed: Embed) -> Iterator[dict[str, Any]]:
    """The rules against prompt length, chance and what can be learnt, on prompts whose kind is known."""
    bench = rows_of(folder, "routellm_mt_bench")
    tasks = [row for row in rows_of(folder, "ulab_llmrouter_9models") if row["task_name"] in WORKED_OUT | RECALLED]
    if bench:
        prompts = [row["turn1"] for row in bench]
        positive = np.array([row["category"] in REASONING for row in bench])
        second = np.array([int(row["question_id"]) % 2 == 0 for row in bench])
        vectors = embed(prompts)
        learnt = {"learnt, ten folds": _crosswise(vectors, positive, [row["question_id"] for row in bench])}
        if tasks:
            some = sorted(tasks, key=lambda row: digest(row["question"]))[:LEARNT_FROM]
            labels = np.array([row["task_name"] in WORKED_OUT for row in some])
            learnt["learnt from LLMRouter's tasks"] = _ridge(embed([row["question"] for row in some]), labels, vectors)
        for name, part in (("MT-Bench", second | True), ("MT-Bench, second half", second)):
            yield from _told(name, prompts, positive, np.flatnonzero(part), learnt)
    if tasks:
        prompts = [row["question"] for row in tasks]
        positive = np.array([row["task_name"] in WORKED_OUT for row in tasks])
        second = np.array([int(digest(prompt)[:2], 16) % 2 == 1 for prompt in prompts])
        yield from _told("LLMRouter's tasks, second half", prompts, positive, np.flatnonzero(second), {})


def _told(
    name: str, prompts: Sequence[str], positive: Truths, part: Rows, learnt: dict[str, Array]
) -> Iterator[dict[str, Any]]:
    """One row for each way to tell; precision and recall where it says yes or no."""
    yes = positive[part]
    rules = np.array([strength(prompts[n]) for n in part])
    said = np.array([requires_reasoning(prompts[n])[0] for n in part])
    yield _row(name, "rules", rules, yes) | _yes_or_no(said, yes)
    runs = [auc(scores, yes) for scores in np.random.default_rng(SEED).random((RANDOM_RUNS, len(part)))]
    between = tuple(round(float(end), 4) for end in np.quantile(runs, (0.025, 0.975)))
    yield {"data": name, "prompts": len(part), "by": "random", "auc": round(float(np.mean(runs)), 3)} | {
        "auc_interval": between
    }
    length = np.array([float(len(prompts[n])) for n in part])
    for way, scores in {"prompt length": length, **{way: its[part] for way, its in learnt.items()}}.items():
        yield _row(name, way, scores, yes) | {"ahead_of_rules": _ahead(scores, rules, yes)}


def _row(name: str, way: str, scores: Array, yes: Truths) -> dict[str, Any]:
    between = interval(lambda draw: auc(scores[draw], yes[draw]), len(yes))
    return {"data": name, "prompts": len(yes), "by": way, "auc": round(auc(scores, yes), 3), "auc_interval": between}


def _yes_or_no(said: Truths, yes: Truths) -> dict[str, float]:
    hits, found, there = int((said & yes).sum()), int(said.sum()), int(yes.sum())
    figures = {"precision": hits / max(1, found), "recall": hits / there, "f1": 2 * hits / (found + there)}
    return {name: round(figure, 3) for name, figure in figures.items()}


def _ahead(scores: Array, rules: Array, yes: Truths) -> tuple[float, float]:
    return interval(lambda draw: auc(scores[draw], yes[draw]) - auc(rules[draw], yes[draw]), len(yes))


def _crosswise(vectors: Vectors, positive: Truths, ids: Sequence[str]) -> Array:
    """What is learnt from nine tenths of the questions, asked of the last."""
    folds = np.argsort(np.argsort([digest(id) for id in ids])) % 10
    told = np.zeros(len(ids))
    for fold in range(10):
        told[folds == fold] = _ridge(vectors[folds != fold], positive[folds != fold], vectors[folds == fold])
    return told


def _ridge(known: Vectors, positive: Truths, asked: Vectors) -> Array:
    """Ridge regression over embeddings, the quickest thing worth the name of learning."""
    mean = positive.mean()
    kernel = known @ known.T + RIDGE * np.eye(len(known))
    return np.asarray(asked @ known.T @ np.linalg.solve(kernel, positive - mean) + mean, np.float64)
