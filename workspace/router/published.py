"""Published outcomes of models, read from a folder of CSV files: what a weak and a strong model earned on a prompt.

The files are extracts of RouteLLM's and LLMRouter's repositories; their columns are theirs.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workspace.router.measures import Array, Rows
from workspace.router.trial import fold_of

TABLES = ("routellm_mmlu", "routellm_gsm8k", "routellm_mt_bench", "ulab_llmrouter_9models")


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What a weak and a strong model earned on the same prompts."""

    name: str
    ids: list[str]
    prompts: list[str]
    subjects: list[str]
    weak: Array
    strong: Array
    folds: Rows  # a single one where nothing is learnt from these prompts

    def __len__(self) -> int:
        return len(self.ids)


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    """A table of the folder, packed or not; empty when it is not there."""
    for path, opened in ((folder / f"{name}.csv.gz", gzip.open), (folder / f"{name}.csv", open)):
        if path.exists():
            with opened(path, "rt", encoding="utf-8", newline="") as file:
                return list(csv.DictReader(file))
    return []


def answers(folder: Path, table: str, name: str) -> Outcomes:
    """Right or wrong, without the questions that RouteLLM drops."""
    rows = [row for row in rows_of(folder, table) if row["contaminated"] == "0"]
    return Outcomes(
        name,
        [row["id"] for row in rows],
        [row["prompt"] for row in rows],
        [row.get("domain", "") for row in rows],
        np.array([float(row["weak_mixtral_8x7b_correct"]) for row in rows]),
        np.array([float(row["strong_gpt4_1106_correct"]) for row in rows]),
        np.array([fold_of(digest(row["id"])) for row in rows], np.intp),
    )


def judged(folder: Path) -> Outcomes:
    """MT-Bench's marks of 1 to 10, the mean of both turns; the first turn is what a router sees."""
    rows = [row for row in rows_of(folder, "routellm_mt_bench") if row["contaminated"] == "0"]

    def marks(model: str) -> Array:
        return np.array([(float(row[f"{model}_score_t1"]) + float(row[f"{model}_score_t2"])) / 20 for row in rows])

    return Outcomes(
        "MT-Bench",
        [row["question_id"] for row in rows],
        [row["turn1"] for row in rows],
        [row["category"] for row in rows],
        marks("weak_mixtral_8x7b"),
        marks("strong_gpt4_1106"),
        np.zeros(len(rows), np.intp),
    )


def digest(text: str) -> str:
    """What fixes a prompt's fold and place for ever."""
    return hashlib.sha256(text.encode()).hexdigest()
