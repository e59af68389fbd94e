"""``manage.py router_benchmark`` on small samples, with embeddings of words in place of a model's."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from workspace.hosts import link
from workspace.router import measures

DATA = Path(__file__).parent / "data"
ROUTERS = {"random", "prompt length", "oracle", "subject mean", "neighbours"}


@pytest.fixture
def asked(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text the model host was asked to embed; the host answers with a bag of words."""
    texts: list[str] = []

    def embed(some: Sequence[str]) -> list[list[float]]:
        texts.extend(some)
        rows = np.zeros((len(some), 384))
        for row, text in zip(rows, some, strict=True):
            for word in text.lower().split():
                row[zlib.crc32(word.encode()) % 384] += 1
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()

    async def settled() -> str:
        return "ready"

    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(measures, "RESAMPLES", 20)
    monkeypatch.setattr(link, "embed", embed)
    monkeypatch.setattr(link, "settled", settled)
    return texts


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command("router_benchmark", *arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def test_every_router_stands_beside_its_baselines(asked: list[str]) -> None:
    report = json.loads(run(str(DATA), "--json"))
    assert set(report) == {"reasoning", "routing", "gate"}

    mmlu = [row for row in report["routing"] if row["data"] == "MMLU"]
    assert {row["router"] for row in mmlu} == ROUTERS
    assert {row["router"] for row in report["routing"] if row["data"] == "GSM8K"} == ROUTERS - {"subject mean"}
    for row in report["routing"]:
        low, high = row["apgr_interval"]
        assert low <= high
        assert 0 <= row["cpt50"] <= row["cpt80"] <= 100
    scored = next(row for row in mmlu if row["router"] == "neighbours")
    assert len(scored["ahead_of_subject_mean"]) == 2
    assert 0 < scored["labels"] < scored["prompts"], "nobody learns from the prompts it is asked about"
    best = max(mmlu, key=lambda row: row["apgr"])
    assert best["router"] == "oracle"

    rules = [row for row in report["reasoning"] if row["by"] == "rules"]
    assert [row["data"] for row in rules] == ["MT-Bench", "MT-Bench, second half", "LLMRouter's tasks, second half"]
    assert all(row["f1"] > 0.8 for row in rules)
    assert {row["by"] for row in report["reasoning"]} == {
        "rules", "random", "prompt length", "learnt, ten folds", "learnt from LLMRouter's tasks",
    }  # fmt: skip
    assert set(report["gate"]["ahead"]) == {"chance", "prompt length", "subject mean"}


def test_a_second_run_embeds_nothing_and_tells_the_same(asked: list[str]) -> None:
    first = run(str(DATA), "--json")
    assert len(asked) > 300
    asked.clear()
    assert run(str(DATA), "--json") == first
    assert asked == []


def test_the_tables_say_what_the_json_says(asked: list[str]) -> None:
    told = run(str(DATA))
    assert all(router in told for router in ROUTERS)
    assert "The gate: off" in told


def test_a_folder_with_a_part_of_the_data_is_measured_as_far_as_it_goes(asked: list[str], tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.mkdir()
    shutil.copy(DATA / "routellm_gsm8k.csv", part)
    report = json.loads(run(str(part), "--json"))
    assert {row["data"] for row in report["routing"]} == {"GSM8K"}
    assert (report["reasoning"], report["gate"]) == ([], {})


def test_a_folder_without_data_is_refused_in_words(asked: list[str], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds none of routellm_mmlu\.csv"):
        run(str(tmp_path))


def test_a_model_that_cannot_be_used_is_told(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async def failed() -> str:
        return "failed: the package is not installed"

    monkeypatch.setattr(link, "settled", failed)
    with pytest.raises(CommandError, match="the package is not installed"):
        run(str(DATA))
