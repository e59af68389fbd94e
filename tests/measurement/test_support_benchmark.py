"""The measurement of the check: a made-up sample whose truth is known, read in RAGTruth's form."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from workspace.measurement.support_benchmark import measure

TRUE = "The ferry to Porto leaves the northern harbour at dawn on every day."
FALSE = "Elephants invented jazz under volcanic moonlight while juggling forty purple violins."


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    sources = [
        {"source_id": str(n), "question": "When does the ferry leave?", "passages": f"passage 1:{TRUE}"}
        for n in range(30)
    ]
    answers = [
        {
            "source_id": str(n),
            "model": "careful" if kind else "hasty",
            "response": TRUE if kind or n % 3 else f"{TRUE} {FALSE}",
            "labels": [] if kind or n % 3 else [{"start": 0, "end": 1}],
        }
        for n in range(30)
        for kind in (0, 1)
    ]
    for name, rows in (("sources", sources), ("responses", answers)):
        with gzip.open(tmp_path / f"ragtruth_qa_test_{name}.jsonl.gz", "wt") as file:
            file.write("\n".join(map(json.dumps, rows)))
    return tmp_path


def test_what_is_plainly_invented_is_found_and_told_by_generator(sample: Path) -> None:
    out = io.StringIO()
    call_command("support_benchmark", sample, "--json", stdout=out)
    told = json.loads(out.getvalue())
    assert (told["answers"], told["hallucinated"]) == (60, 10)
    ours = told["rules"][0]
    assert ours["f1"] == ours["low"] == ours["high"] == 1.0
    assert told["rules"][-1]["f1"] == pytest.approx(2 * 10 / 70, abs=1e-3)
    assert [tuple(one.values()) for one in told["by_generator"]] == [
        ("careful", 30, 0, 0.0, 0.0, 0.0), ("hasty", 30, 10, 1.0, 1.0, 1.0),
    ]  # fmt: skip
    call_command("support_benchmark", sample, stdout=out)
    assert "60 answers, 10 with something" in out.getvalue()


def test_nearness_by_meaning_stands_beside_it(sample: Path) -> None:
    def embed(texts: Sequence[str]) -> Any:
        return np.array([[1.0, 0.0] if "ferry" in text else [0.0, 1.0] for text in texts], np.float32)

    last = measure(sample, embed).rules[-1]
    assert (last.rule, last.f1, last.auroc) == ("MiniLM similarity", 1.0, 1.0)


def test_a_folder_without_the_sample_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="ragtruth_qa_test_sources"):
        call_command("support_benchmark", tmp_path)
