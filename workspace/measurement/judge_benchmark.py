"""Judges held against people: RAGTruth's QA sample, in which people marked what is not in the passages.

Each judge flags an answer that claims something the passages don't hold. Beside them stands length alone, at the
threshold that other questions' answers give: what a judge that reads nothing would reach. The rule for abstention is
held against what a reader says of the same answers, and of others from HaluEval whose first words sound like it.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrieval import support
from retrieval.lexical import terms
from workspace.measurement import abstaining, agreement, judging
from workspace.measurement.agreement import Measured
from workspace.router.execute import Execution
from workspace.types import Delta, Evidence, Finished, sha256

ABSTENTIONS = Path(__file__).parent / "abstentions.json"  # which answers say that they have none: ids, no texts
READ = "RAGTruth QA, test, and 150 answers of HaluEval, by one reader"
FOLDS = 5
SEED = 20_261_129


@dataclass(frozen=True, slots=True)
class Marked:
    """One answer, with the passages that it was given; ``hallucinated`` is what people say."""

    question: str
    passages: str
    answer: str
    group: str
    hallucinated: bool


def read(folder: Path) -> list[Marked]:
    """Raises FileNotFoundError when the folder holds no sample."""
    sources = {row["source_id"]: row for row in _rows(folder / "ragtruth_qa_test_sources.jsonl.gz")}
    found = []
    for row in _rows(folder / "ragtruth_qa_test_responses.jsonl.gz"):
        source = sources[row["source_id"]]
        found.append(
            Marked(source["question"], source["passages"], row["response"], row["source_id"], bool(row["labels"]))
        )
    return found


def by_support(rows: Sequence[Marked]) -> Measured:
    """The check under every answer: flagged when a sentence is unsupported."""
    flagged = [
        any(
            one.verdict == "unsupported" for one in support.sentences(row.answer, {1: f"{row.question} {row.passages}"})
        )
        for row in rows
    ]
    return _measured(agreement.SUPPORT, agreement.support_version(), flagged, rows)


def by_length(rows: Sequence[Marked]) -> Measured:
    """Answers of so many content words or more, where the number is the best on other questions' answers."""
    lengths = np.array([len(terms(row.answer)) for row in rows])
    truths = np.array([row.hallucinated for row in rows])
    _, group = np.unique([row.group for row in rows], return_inverse=True)
    folds = np.random.default_rng(SEED).permutation(group.max() + 1)[group] % FOLDS
    flagged = np.zeros(len(rows), bool)
    for fold in range(FOLDS):
        rest = folds != fold
        cut = max(np.unique(lengths[rest]), key=lambda cut: _f1(lengths[rest] >= cut, truths[rest]))
        flagged[~rest] = lengths[~rest] >= cut
    return _measured(agreement.LENGTH, "1", [bool(one) for one in flagged], rows)


def by_abstention(folder: Path) -> Measured:
    """The rule over words, on answers that it was not written on. Raises FileNotFoundError."""
    labels = {name: set(ids) for name, ids in json.loads(ABSTENTIONS.read_text()).items()}
    told = [
        (row["response"], row["id"] in labels["RAGTruth"], row["source_id"])
        for row in _rows(folder / "ragtruth_qa_test_responses.jsonl.gz")
    ]
    told += [
        (row["chatgpt_response"], row["ID"] in labels["HaluEval"], row["ID"])
        for row in _rows(folder / "halueval_general_human.jsonl.gz")
        if row["ID"] in labels["HaluEval read"]
    ]
    texts, truths, groups = zip(*told, strict=True)
    flagged = [abstaining.abstains(text) for text in texts]
    return agreement.measure(
        agreement.ABSTENTION, agreement.abstention_version(), flagged, truths, groups, dataset=READ
    )


async def by_model(rows: Sequence[Marked], model: str, told: Callable[[int], None]) -> Measured:
    """A language model, asked as a measurement asks it; where its two orders differ, it is unscored."""
    flagged: list[bool | None] = []
    for row in rows:
        text = row.passages
        passage = Evidence(
            number=1, chunk_id="", document_id="", title="Passages", text=text, digest=sha256(text), score=1.0
        )
        said = [await _verdict(model, order, row, passage) for order in judging.ORDERS]
        verdict = judging.agreed(said)
        flagged.append(None if verdict is None else not verdict)
        told(len(flagged))
    judge = await asyncio.to_thread(judging.judge_of, model, judging.SUPPORTED)
    return _measured(f"model {model}", judge.digest[:12], flagged, rows)


async def _verdict(model: str, order: int, row: Marked, passage: Evidence) -> str:
    system, told = judging.prompt(
        judging.SUPPORTED, order, question=row.question, answer=row.answer, evidence=[passage]
    )
    text, failure = "", None
    async for event in Execution(judging.asked(model, system, told)).events():
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Finished):
            failure = event.failure
    return "" if failure else judging.verdict_of(text)


def _measured(judge: str, version: str, flagged: Sequence[bool | None], rows: Sequence[Marked]) -> Measured:
    return agreement.measure(judge, version, flagged, [row.hallucinated for row in rows], [row.group for row in rows])


def _f1(flagged: Any, truths: Any) -> float:
    both = float((flagged & truths).sum())
    return 2 * both / float(flagged.sum() + truths.sum()) if both else 0.0


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
