"""Local models that read texts: vectors and scores are those of plain transformers, padded and in batches."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.hosts.encoding import LABELS, PAIRS, TEXTS, reading_models
from tests.hosts.small import small_models
from tests.hosts.test_model_host import answer, call_of
from workspace.hosts import link
from workspace.providers.base import ProviderError

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, Any]]:
    return reading_models(tmp_path_factory.mktemp("models"))


def near(vectors: list[list[float]], expected: list[list[float]]) -> bool:
    return [pytest.approx(row, abs=1e-4) for row in expected] == vectors


@pytest.mark.usefixtures("model_host")
async def test_vectors_and_scores_are_those_of_plain_transformers(made: Any) -> None:
    models, expected = made
    await vectors(models, expected)
    await scores(models, expected)
    await refusals(models, small_models("llama")["llama"])


async def vectors(models: dict[str, str], expected: dict[str, Any]) -> None:
    assert near(await link.aembed(TEXTS, model=models["mean"]), expected["mean"])
    assert near(await link.aembed(TEXTS, model=models["last"], of="query"), expected["last"])
    assert not near(await link.aembed(TEXTS, model=models["last"]), expected["last"])  # without the prompt
    assert near(await asyncio.to_thread(link.embed, TEXTS, model=models["mean"]), expected["mean"])
    about = await asyncio.to_thread(link.embedding_model, models["mean"])
    assert about == {"window": 128, "dimensions": 32}
    crowd = await link.aembed(TEXTS * 40, model=models["mean"])
    assert near(crowd, expected["mean"] * 40)
    rows = {row["model"]: row for row in (await link.models())["models"]}
    assert {rows[models[name]]["task"] for name in ("mean", "last")} == {"embedding"}
    assert all(rows[models[name]]["state"] == "ready" and rows[models[name]]["memory"] for name in ("mean", "last"))
    await link.ask("unload", models["mean"])
    assert {row["model"]: row["state"] for row in (await link.models())["models"]}[models["mean"]] == "unloaded"


async def scores(models: dict[str, str], expected: dict[str, Any]) -> None:
    single = [await link.rerank(models["reranker"], query, [text]) for query, text in PAIRS]
    assert [score for [score] in single] == pytest.approx(expected["reranker"], abs=1e-4)
    texts = [text for _, text in PAIRS]
    ranked = await link.rerank(models["reranker"], "Which?", texts)
    assert ranked == pytest.approx([(await link.rerank(models["reranker"], "Which?", [t]))[0] for t in texts])

    found = await link.entailment(models["entailment"], PAIRS)
    assert [set(row) for row in found] == [{name.lower() for name in LABELS.values()}] * len(PAIRS)
    assert [list(row.values()) for row in found] == [pytest.approx(row, abs=1e-4) for row in expected["entailment"]]


async def refusals(models: dict[str, str], chat: str) -> None:
    for wrong in (
        link.aembed(["x"], model=chat),
        link.aembed(["x"], model=models["reranker"]),
        link.rerank(models["mean"], "x", ["y"]),
        link.rerank(models["entailment"], "x", ["y"]),
        link.aembed(["x"], model="nobody/has-this"),
    ):
        with pytest.raises(link.HostUnavailable, match="writes answers|scores pairs|turns texts|ranks nothing|not on"):
            await wrong
    with pytest.raises(ProviderError) as caught:
        await answer(call_of(models["mean"], "Hello"))
    assert "turns texts into vectors" in caught.value.failure.cause
