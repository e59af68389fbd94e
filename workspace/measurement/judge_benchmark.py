"""Judges held against people: RAGTruth's QA sample, in which people marked what is not in the passages.

Each judge flags an answer that claims something the passages don't hold. Beside them stands length alone, at the
threshold that other questions' answers give: what a judge that reads nothing would reach. The rule for abstention is
held against what a reader says of the same answers, and of others from HaluEval whose first words sound like it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from workspace.measurement import abstaining, agreement, judging, marked
from workspace.measurement.agreement import Measured
from workspace.measurement.marked import Marked
from workspace.measurement.models import Judge
from workspace.router.execute import Execution
from workspace.types import Delta, Evidence, Finished

ABSTENTIONS = Path(__file__).parent / "abstentions.json"  # which answers say that they have none: ids, no texts
READ = "RAGTruth QA, test, and 150 answers of HaluEval, by one reader"


def by_support(rows: Sequence[Marked]) -> Measured:
    """The check under every answer."""
    return _measured(agreement.SUPPORT, agreement.support_version(), marked.by_support(rows).tolist(), rows)


def by_length(rows: Sequence[Marked]) -> Measured:
    """Answers of so many content words or more, where the number is the best on other questions' answers."""
    flagged = marked.at_best(marked.lengths(rows), rows)
    return _measured(agreement.LENGTH, "1", flagged.tolist(), rows)


def by_abstention(folder: Path) -> Measured:
    """The rule over words, on answers that it was not written on. Raises FileNotFoundError."""
    labels = {name: set(ids) for name, ids in json.loads(ABSTENTIONS.read_text()).items()}
    told = [
        (row["response"], row["id"] in labels["RAGTruth"], row["source_id"])
        for row in marked.lines(folder / "ragtruth_qa_test_responses.jsonl.gz")
    ]
    told += [
        (row["chatgpt_response"], row["ID"] in labels["HaluEval"], row["ID"])
        for row in marked.lines(folder / "halueval_general_human.jsonl.gz")
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
    judge = await asyncio.to_thread(judging.judge_of, model, judging.SUPPORTED)
    for row in rows:
        passage = replace(row.evidence, title="Passages")
        said = [await _verdict(judge, order, row, passage) for order in judging.ORDERS]
        verdict = judging.agreed(said)
        flagged.append(None if verdict is None else not verdict)
        told(len(flagged))
    return _measured(f"model {model}", judge.digest[:12], flagged, rows)


async def _verdict(judge: Judge, order: int, row: Marked, passage: Evidence) -> str:
    told = judging.prompt(judging.SUPPORTED, question=row.question, answer=row.answer, evidence=[passage])
    text, failure = "", None
    async for event in Execution(judging.asked(judge, told, order=order)).events():
        if isinstance(event, Delta):
            text += event.text
        elif isinstance(event, Finished):
            failure = event.failure
    return "" if failure else judging.verdict_of(text)


def _measured(judge: str, version: str, flagged: Sequence[bool | None], rows: Sequence[Marked]) -> Measured:
    return agreement.measure(judge, version, flagged, [row.hallucinated for row in rows], [row.group for row in rows])
