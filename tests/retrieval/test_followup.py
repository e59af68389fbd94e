"""Follow-up questions made whole by rules: what leans on the question before it, and what stands by itself."""

from __future__ import annotations

import pytest

from retrieval.followup import complete

FERRY = ("When does the ferry to Runde leave?", "It leaves at seven [1].")
ADA = ("Who wrote the first program?", "It was Ada Lovelace, in 1843 [1].")


QUESTIONS = ["And how much is a ticket?", "What does it cost?", "Why?", "How long is that one?"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_leans_on_the_question_before_it_is_searched_with_it(question: str) -> None:
    assert complete(question, [FERRY]) == f"{FERRY[0]} {question}"


def test_a_chain_of_follow_ups_reaches_back_to_the_question_that_stands() -> None:
    before = [FERRY, ("And what does it cost?", "Nine euros [1].")]
    whole = "When does the ferry to Runde leave? And what does it cost? And for children?"
    assert complete("And for children?", before) == whole


def test_a_person_is_looked_for_by_the_name_that_the_answer_gave() -> None:
    assert complete("When was she born?", [ADA]) == "Who wrote the first program? Ada Lovelace When was she born?"


@pytest.mark.parametrize(
    "question",
    [
        "Which documents must a foreign student bring to the residents' office?",
        "How do I back up a workspace?",
        "Is it possible to restore a deleted workspace from yesterday's backup?",
    ],
)
def test_what_stands_by_itself_is_left_alone(question: str) -> None:
    assert complete(question, [FERRY]) == question


def test_the_first_question_is_never_changed() -> None:
    assert complete("And what does it cost?", []) == "And what does it cost?"


def test_of_a_long_question_its_end_is_taken() -> None:
    pasted = "Much pasted text. " * 100 + "When does the ferry leave?"
    whole = complete("And what does it cost?", [(pasted, "")])
    assert whole.endswith("When does the ferry leave? And what does it cost?") and len(whole) < 260
