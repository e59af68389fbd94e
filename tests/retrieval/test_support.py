"""The check of answers against their passages."""

from __future__ import annotations

from retrieval.support import check, cited_numbers, judge, sentences
from workspace.types import Evidence, sha256


def passage(number: int, text: str) -> Evidence:
    return Evidence(
        number=number, chunk_id=str(number), document_id="d", title="Boats", text=text, digest=sha256(text), score=1.0
    )


PASSAGES = (
    passage(1, "The ferry to Porto leaves at 08:30 and carries 240 people."),
    passage(2, "Bicycles travel on the lower deck without charge."),
)


def test_cited_numbers_keep_their_order_and_stand_once() -> None:
    assert cited_numbers("One [2]. Two [1, 3]. Again [2].") == [2, 1, 3]
    assert cited_numbers("An array[0] of [words].") == [0]


def test_a_sentence_in_the_words_of_its_passage_is_supported() -> None:
    text = "The ferry leaves at 08:30 [1]. Bicycles travel on the lower deck [2]."
    assert check(text, PASSAGES, "") == {"supported": 2, "weak": 0, "unsupported": 0}


def test_an_invented_number_or_name_is_not_supported() -> None:
    texts = {n: e.text for n, e in enumerate(PASSAGES, start=1)}
    assert judge("The ferry carries 240 people [1].", texts) == "supported"
    assert judge("The ferry carries 250 people [1].", texts) != "supported"
    assert judge("The ferry leaves for Lisbon at 08:30 [1].", texts) != "supported"


def test_what_the_question_says_is_not_invented() -> None:
    asked = "Does Quintessa's bulldog ride the ferry at 08:30?"
    text = "Quintessa's bulldog rides the ferry at 08:30 [1]."
    assert check(text, PASSAGES, asked) == {"supported": 1, "weak": 0, "unsupported": 0}
    assert check(text, PASSAGES, "") == {"supported": 0, "weak": 0, "unsupported": 1}
    other = "Quintessa's bulldog rides the ferry at 09:45 [1]."
    assert check(other, PASSAGES, asked) == {"supported": 0, "weak": 1, "unsupported": 0}


def test_a_sentence_is_held_to_the_passage_it_cites() -> None:
    texts = {n: e.text for n, e in enumerate(PASSAGES, start=1)}
    assert judge("Bicycles travel on the lower deck [2].", texts) == "supported"
    assert judge("Bicycles travel on the lower deck [1].", texts) == "unsupported"


def test_an_answer_that_cites_nothing_is_not_judged() -> None:
    assert check("The ferry leaves at 08:30.", PASSAGES, "") is None
    assert check("The ferry leaves at 08:30 [7].", PASSAGES, "") is None
    assert check("The ferry leaves at 08:30 [1].", (), "") is None


def test_code_claims_nothing() -> None:
    text = "Bicycles travel on the lower deck [2].\n\n```\nselect secret from tables where value = 99\n```"
    assert check(text, PASSAGES, "") == {"supported": 1, "weak": 0, "unsupported": 0}


def test_each_sentence_knows_its_place() -> None:
    text = "The ferry leaves at 08:30 [1].\n\n`code here is nothing`\n\n- Bicycles fly to the moon for money [2]."
    found = sentences(text, {n: e.text for n, e in enumerate(PASSAGES, start=1)})
    assert [(text[one.start : one.end], one.verdict) for one in found] == [
        ("The ferry leaves at 08:30 [1].", "supported"),
        ("- Bicycles fly to the moon for money [2].", "unsupported"),
    ]
