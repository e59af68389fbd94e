"""One answer against what somebody wrote down: SQuAD's measures and the four cells."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from workspace.measurement import abstaining, agreement, metrics
from workspace.measurement.metrics import Cell
from workspace.providers import quotes

DATA = Path(__file__).parent / "data"


@pytest.mark.parametrize(
    ("text", "gold", "exact", "f1"),
    [
        ("The Leukocytes.", ["leukocytes"], True, 1.0),
        ("white blood cells", ["blood cells"], False, 0.8),
        ("in 1066 [1]", ["1066", "the year 1066"], False, pytest.approx(2 / 3)),
        ("", ["x"], False, 0.0),
        ("x", [], False, 0.0),
    ],
)
def test_exact_match_and_f1_are_squads(text: str, gold: list[str], exact: bool, f1: float) -> None:
    assert (metrics.exact(text, gold), metrics.f1(text, gold)) == (exact, f1)


@pytest.mark.parametrize(
    ("text", "gold", "cell"),
    [
        ("They are called leukocytes [2].", ["Leukocytes"], Cell.CORRECT),
        ("The passages do not say, but leukocytes is the usual word.", ["Leukocytes"], Cell.CORRECT),
        ("They are called platelets.", ["Leukocytes"], Cell.WRONG),
        ("The passages do not answer this.", ["Leukocytes"], Cell.ABSTAINED),
        ("", ["Leukocytes"], Cell.ABSTAINED),
        ("It was built in 1066.", [], Cell.INVENTED),
        ("The documents don't contain that information.", [], Cell.REFUSED),
        ("I cannot find an answer in the passages.", [], Cell.REFUSED),
        ("No passage holds an answer.", [], Cell.REFUSED),
        ("It is non-deterministic.", [], Cell.INVENTED),
        ("The casino was found in 1905, they say.", [], Cell.INVENTED),
        ("It is not known.", [], Cell.REFUSED),
        ("Nothing stopped the Normans from crossing.", [], Cell.INVENTED),
    ],
)
def test_an_answer_falls_into_one_of_the_cells(text: str, gold: list[str], cell: Cell) -> None:
    assert metrics.cell(text, gold) is cell


@pytest.mark.parametrize(
    "text",
    [
        "Normandy did not exist before 911; it was founded by Rollo.",
        "It was not Rollo but William who was given the crown.",
        "None other than William found it.",
        "It was not until 1066 that the castle was given to him.",
        "It was not found in England.",
        "It does not provide error recovery.",
        "The treaty did not mention him, so Rollo was king.",
        "The passages do not say. I think it was Rollo.",
        "The passages do not say, but leukocytes is the usual word.",
        "The documents mention no founder. However, passage 2 states that Rollo ruled there.",
        "As an AI language model, I have no opinion. However, I can tell you that it was Rollo.",
        "Here is how:\n1. Lay it flat (Passage 1).\n2. Fold it.\nThe passages do not mention its size.",
    ],
)
def test_a_text_that_asserts_something_has_not_abstained(text: str) -> None:
    assert not abstaining.abstains(text)
    assert metrics.cell(text, []) is Cell.INVENTED


@pytest.mark.parametrize(
    "text",
    [
        "The passages do not say who founded it. They only describe its later history [1].",
        "The provided text doesn't specify the date. It only states that William built the castle.",
        "None of the passages mentions it.",
        "Based on the passages, the founder cannot be determined.",
        "The year is not specified in the passages.",
        "There isn't enough information to say.",
        "I'm not able to answer that from the passages. Could you give me more context?",
        "Sorry, I could not find that in the documents.",
        "The answer is not in the passages.",
        "The passages contain nothing about this.",
        "Not stated in the passages.",
        quotes.NO_ANSWER,
    ],
)
def test_a_text_that_says_it_has_no_answer_and_nothing_else_abstains(text: str) -> None:
    assert abstaining.abstains(text)
    assert metrics.cell(text, []) is Cell.REFUSED


def test_plain_sentences_of_an_encyclopedia_never_abstain() -> None:
    """Each stands alone, as an answer might; a lead-in with a colon is none."""
    texts = [json.loads(line)["text"] for line in (DATA / "corpus.jsonl").read_text().splitlines()]
    sentences = [one for text in texts for one in re.split(r"(?<=[.!?])\s+", text) if len(one) > 3]
    assert len(sentences) > 1_000
    assert [one for one in sentences if abstaining.abstains(one)] == []


def test_what_the_rule_is_worth_is_known_of_this_very_version() -> None:
    """Whoever changes the rule measures it again: ``manage.py judge_benchmark DIR --release``."""
    shipped = {one["judge"]: one for one in json.loads(agreement.FILE.read_text())}[agreement.ABSTENTION]
    assert shipped["version"] == agreement.abstention_version()
    assert shipped["precision"]["value"] > 0.9
