"""Search measured: the figures mean what their names say, and a folder is read as it is written."""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from retrieval import benchmark, judged, measures
from workspace.router import quotes_benchmark

TEXTS = {
    "Orchard#0": ("Orchard", "Apple trees are pruned in late winter, before the buds open."),
    "Orchard#1": ("Orchard", "Pears are picked while they are still green and hard."),
    "Harbour#0": ("Harbour", "The ferry leaves from the old quay at seven."),
}
QUESTIONS = [
    {"question": "When are apple trees pruned?", "gold_id": "Orchard#0", "answers": ["late winter"]},
    {"question": "When does the ferry leave?", "gold_id": "Harbour#0", "answers": ["seven"]},
    {"question": "Who rings the bell?", "gold_id": "Harbour#0", "answers": []},
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = [{"id": id, "title": title, "text": text} for id, (title, text) in TEXTS.items()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    packed = gzip.compress("\n".join(map(json.dumps, QUESTIONS)).encode())
    (tmp_path / "checklist.jsonl.gz").write_bytes(packed)
    (tmp_path / "tiny_corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "tiny_queries.jsonl").write_text(json.dumps({"id": 1, "text": "green pears"}))
    (tmp_path / "tiny_qrels.csv").write_text("query_id,doc_id,gain\n1,Orchard#1,3\n1,Harbour#0,0\n")
    return tmp_path


def by_letters(texts: Sequence[str]) -> Any:
    """A vector of how often each letter stands in a text: enough to tell texts apart."""
    rows = np.array([[text.lower().count(chr(97 + n)) + 0.01 for n in range(26)] for text in texts], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_a_folder_is_read_in_both_its_forms(folder: Path) -> None:
    checklist, tiny = judged.sets(folder)
    assert (checklist.name, len(checklist.texts), len(checklist.asked)) == ("checklist", 3, 2)
    assert [one.question for one in checklist.unanswerable] == ["Who rings the bell?"]
    assert checklist.asked[0].gains == {"Orchard#0": 1.0} and checklist.asked[0].answers == ("late winter",)
    assert (tiny.name, tiny.asked[0].gains) == ("tiny", {"Orchard#1": 3.0})


@pytest.mark.django_db
def test_words_find_what_is_asked_and_contexts_hold_it(folder: Path) -> None:
    checklist, tiny = judged.sets(folder)
    told = benchmark.rankings(checklist, by_letters, lambda step: None)
    assert told["by"]["words"]["recall@1"]["value"] == 1.0 and told["by"]["words"]["ndcg@10"]["value"] == 1.0
    assert told["questions"] == 2 and set(told["by"]) == {"words", "meaning", "joined"}
    held = benchmark.contexts(checklist, by_letters, lambda step: None)["held"]
    assert held["words, 512 tokens"]["value"] == 1.0 and held["Open WebUI's default"]["value"] == 1.0
    assert benchmark.rankings(tiny, by_letters, lambda step: None)["by"]["words"]["mrr"]["value"] == 1.0


@pytest.mark.django_db
def test_a_reranker_has_the_last_word_where_there_is_one(folder: Path) -> None:
    def upside_down(question: str, joined: benchmark.Scores) -> benchmark.Scores:
        return {id: 1.0 - score for id, score in joined.items()}

    checklist, _ = judged.sets(folder)
    by = benchmark.rankings(checklist, by_letters, lambda step: None, upside_down)["by"]
    assert by["joined"]["recall@1"]["value"] == 1.0 and by["reranked"]["recall@1"]["value"] == 0.0
    held = benchmark.contexts(checklist, by_letters, lambda step: None, upside_down)["held"]
    assert held["joined, 512 tokens"]["value"] == 1.0 > held["reranked, 512 tokens"]["value"]


@pytest.mark.django_db
def test_quotes_is_held_to_gold_answers_and_to_questions_without_one(folder: Path) -> None:
    told = quotes_benchmark.measure(judged.sets(folder)[0], by_letters, lambda step: None)
    assert (told["answerable"], told["unanswerable"]) == (2, 1)
    words = told["by"]["words alone"]
    first = words["curve"][0]
    assert (first["refused"], first["answered"], first["holds"], first["at_gold"]) == (0.0, 1.0, 1.0, 1.0)
    half = words["holds_at_half_refused"]
    assert half["refused"] == 1.0 and half["low"] <= half["holds"] <= half["high"]
    assert words["auroc"] == 1.0 and len(told["by"]["words and meaning"]["curve"]) == 10


def test_a_point_of_the_curve_counts_what_passes_its_threshold() -> None:
    answer = quotes_benchmark.Answer
    good = [answer(0.9, True, True), answer(0.7, False, True), answer(0.5, True, False), answer(0.1, True, True)]
    bad = [answer(0.6), answer(0.2)]
    at = quotes_benchmark.point(good, bad, 0.5)
    assert (at.refused, at.answered, at.holds, round(at.at_gold, 3)) == (0.5, 0.75, 0.5, 0.667)


def test_figures_of_one_ranking_are_those_of_the_textbook() -> None:
    told = measures.of_ranking(["x", "b", "y", "a"], {"a": 1.0, "b": 3.0, "c": 1.0})
    ideal = 3 + 1 / math.log2(3) + 1 / math.log2(4)
    assert told == {
        "recall@1": 0.0,
        "recall@5": pytest.approx(2 / 3),
        "recall@10": pytest.approx(2 / 3),
        "mrr": 0.5,
        "ndcg@10": pytest.approx((3 / math.log2(3) + 1 / math.log2(5)) / ideal),
    }
    assert measures.of_ranking([], {"a": 1.0})["ndcg@10"] == 0.0


def test_an_interval_tells_a_difference_from_chance() -> None:
    old = [0.0, 1.0] * 100
    same = measures.difference(old, old)
    better = measures.difference([1.0] * 200, old)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    assert better.value == 0.5 and 0.4 < better.low < 0.5 < better.high < 0.6


def test_auroc_counts_ties_as_half() -> None:
    assert measures.auroc([2, 3], [1, 2]) == 0.875
    assert measures.auroc([1], [1]) == 0.5


def test_a_folder_without_questions_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"holds no corpus\.jsonl with questions"):
        call_command("retrieval_benchmark", str(tmp_path))
    with pytest.raises(CommandError, match="some with no answers"):
        call_command("quotes_benchmark", str(tmp_path))
