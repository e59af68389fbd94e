"""The reader that needs no language model."""

from __future__ import annotations

from workspace.providers.base import Address, Call, Ended, Sent
from workspace.providers.quotes import NO_ANSWER, NO_EVIDENCE, Quotes, answer_pieces, candidates
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
