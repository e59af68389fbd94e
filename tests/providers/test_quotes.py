"""The reader that needs no language model."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from workspace.hosts import link
from workspace.providers.base import Address, Call, Ended, Sent
from workspace.providers.quotes import NO_ANSWER, NO_EVIDENCE, Quotes, answer_pieces, candidates, sentences
from workspace.types import Delta, Evidence, PromptMessage, Usage, sha256, text_part

BRIDGE = (
    "The old bridge crosses the river at Linden. It was opened in 1874 after four years of work. "
    "Greta Holm designed its three arches. Ferries had carried people before."
)
BREAD = "Rye bread keeps for a week. Bakers in the valley add caraway to the dough."


def passages(*texts: str) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(number=n, chunk_id=f"c{n}", document_id="d", title="Notes", text=text, digest=sha256(text), score=0.9)
        for n, text in enumerate(texts, 1)
    )


def answered(question: str, evidence: tuple[Evidence, ...], *, grounded: bool = False) -> list[str]:
    return answer_pieces(candidates(question, evidence), evidence, grounded=grounded)


def test_an_answer_is_a_sentence_of_the_evidence_with_its_citation() -> None:
    answer = "".join(answered("What do bakers add to the dough?", passages(BRIDGE, BREAD)))
    assert answer.startswith("Bakers in the valley add caraway to the dough. [2]")


def test_a_question_for_a_time_is_answered_with_one() -> None:
    assert answered("When was the bridge opened?", passages(BREAD, BRIDGE))[0].startswith("It was opened in 1874")


def test_a_question_for_a_person_is_answered_with_a_name() -> None:
    assert answered("Who designed the arches of the bridge?", passages(BRIDGE))[0].startswith("Greta Holm designed")


@pytest.mark.parametrize(
    "whole",
    [
        "The bridge was drawn by Greta S. Holm of Linden.", "It is paid for by the U.S. Senate.",
        "The bridge fell in Holm v. Linden, 12 U.S. 345.", "Visitors ask for Dr. Holm at the gate.",
        "Mrs. Holm and Gen. Lind opened the bridge.",
    ],
)  # fmt: skip
def test_a_sentence_with_initials_and_titles_is_quoted_whole(whole: str) -> None:
    assert sentences(f"Rye keeps. {whole} Is it so? Yes! Caraway helps.") == [
        "Rye keeps.", whole, "Is it so?", "Yes!", "Caraway helps.",
    ]  # fmt: skip


def test_a_sentence_may_end_with_an_initial() -> None:
    assert sentences("The rocket was the Saturn V. It flew. They live in the U.S. In 1874 they left.") == [
        "The rocket was the Saturn V.", "It flew.", "They live in the U.S.", "In 1874 they left.",
    ]  # fmt: skip


def test_a_question_the_evidence_does_not_answer_gets_no_citation() -> None:
    answer = answered("How does photosynthesis work in desert plants?", passages(BRIDGE, BREAD))
    assert answer == [NO_ANSWER]
    assert "[" not in answer[0]


def test_without_evidence_it_says_how_to_give_some() -> None:
    assert answered("When was the bridge opened?", ()) == [NO_EVIDENCE]


def test_documents_that_hold_nothing_fitting_are_not_called_missing() -> None:
    assert answered("When was the bridge opened?", (), grounded=True) == [NO_ANSWER]


async def test_it_streams_a_sentence_at_a_time_and_counts_by_estimate() -> None:
    call = Call(
        address=Address(),
        model="quotes",
        messages=(PromptMessage(role="person", parts=(text_part("When was the old bridge at Linden opened?"),)),),
        evidence=passages(BRIDGE),
    )
    said = [piece async for piece in Quotes().stream(call)]
    assert isinstance(said[0], Sent)
    assert isinstance(said[-1], Ended)
    text = "".join(piece.text for piece in said if isinstance(piece, Delta))
    assert text.count("[1]") == len([piece for piece in said if isinstance(piece, Delta)])
    usage = next(piece for piece in said if isinstance(piece, Usage))
    assert usage.estimated
    assert usage.input > 0 < usage.output


@pytest.fixture
def by_meaning(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[float]]:
    """Vectors by a word of the text; what has none points elsewhere."""
    known: dict[str, list[float]] = {}

    async def embed(texts: Sequence[str]) -> list[list[float]]:
        return [next((v for word, v in known.items() if word in text), [0.0, 0.0, 1.0]) for text in texts]

    monkeypatch.setattr(link, "aembed", embed)
    return known


async def said(question: str, *texts: str) -> tuple[str, Sent]:
    call = Call(
        address=Address(),
        model="quotes",
        messages=(PromptMessage(role="person", parts=(text_part(question),)),),
        evidence=passages(*texts),
        grounded=True,
    )
    pieces = [piece async for piece in Quotes().stream(call)]
    assert isinstance(pieces[0], Sent)
    return "".join(piece.text for piece in pieces if isinstance(piece, Delta)), pieces[0]


async def test_what_is_near_in_meaning_goes_before_what_shares_words(by_meaning: dict[str, list[float]]) -> None:
    by_meaning |= {"old bridge finished": [1, 0, 0], "opened in 1874": [0.9, 0.1, 0]}
    text, sent = await said("When was the old bridge finished?", BRIDGE)
    assert text.startswith("It was opened in 1874 after four years of work. [1]")
    assert "nearest" in sent.parameters and "threshold" not in sent.parameters


async def test_what_shares_words_and_is_not_near_is_no_answer(by_meaning: dict[str, list[float]]) -> None:
    by_meaning["Was the old bridge"] = [1, 0, 0]
    text, _ = await said("Was the old bridge at Linden painted after four years of work?", BRIDGE)
    assert text == NO_ANSWER


async def test_without_a_model_host_words_decide() -> None:
    text, sent = await said("When was the bridge opened?", BRIDGE)
    assert text.startswith("It was opened in 1874") and "threshold" in sent.parameters


async def test_at_most_two_sentences_come_and_numbers_of_notes_do_not() -> None:
    text, _ = await said(
        "When was the bridge opened?",
        "The bridge was opened in 1874.[12] Its opening was in 1874, by the bridge. Bridge opened: 1874 it was.",
        "Another bridge was opened in 1901.",
    )
    assert text.count("[") == 2 and "[12]" not in text
