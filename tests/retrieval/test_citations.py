"""What an answer cites, while it streams: issued numbers come through, in whatever form; others are dropped."""

from __future__ import annotations

import random

import pytest

from retrieval.citations import Citations, without
from workspace.types import Evidence, sha256


def passage(number: int, *, title: str = "Boats", url: str = "") -> Evidence:
    text = f"Passage {number}."
    return Evidence(
        number=number, chunk_id=str(number), document_id="d", title=title, text=text, digest=sha256(text), score=1.0,
        url=url,
    )  # fmt: skip


GIVEN = (passage(1), passage(2, title="Trains", url="https://trains.example/"), passage(3))

CASES = [
    ("It leaves at dawn [1].", "It leaves at dawn [1].", 0),
    ("At dawn [1, 3] and at dusk [2;3].", "At dawn [1, 3] and at dusk [2, 3].", 0),
    ("At dawn [1-3].", "At dawn [1, 2, 3].", 0),
    ("At dawn [^2].", "At dawn [2].", 0),
    ("At dawn [passage 2] [Source 3].", "At dawn [2] [3].", 0),
    ("At dawn【1†timetable.pdf】.", "At dawn[1].", 0),
    ("At dawn [9].", "At dawn.", 1),
    ("At dawn [1, 9].", "At dawn [1].", 1),
    ("At dawn [7][8] it leaves", "At dawn it leaves", 2),
    ("At dawn [2-5].", "At dawn [2, 3].", 2),
    ("Ends with one [4]", "Ends with one", 1),
    ("Ends with one [2]", "Ends with one [2]", 0),
    ("A link [9](https://boats.example) stays.", "A link [9](https://boats.example) stays.", 0),
    ("`row[9]` and ``a ` [8]`` stay, [9] goes.", "`row[9]` and ``a ` [8]`` stay, goes.", 1),
    ("```python\nrow[9]\n```\nBut [9] goes.", "```python\nrow[9]\n```\nBut goes.", 1),
    ("~~~\nrow[9]\n\nrow[8]\n~~~\n", "~~~\nrow[9]\n\nrow[8]\n~~~\n", 0),
    ("A lone ` of a paragraph [1]\n\nis over [9].", "A lone ` of a paragraph [1]\n\nis over.", 1),
    ("In 1874 [1874], row[0], [word], [- [ ] task and [", "In 1874 [1874], row[0], [word], [- [ ] task and [", 0),
    ("Trailing spaces  ", "Trailing spaces  ", 0),
    ("", "", 0),
]


@pytest.mark.parametrize(("said", "shown", "dropped"), CASES)
def test_only_issued_numbers_come_through_whatever_pieces_they_come_in(said: str, shown: str, dropped: int) -> None:
    chance = random.Random(said)
    cuts = [[said], list(said), *([said[: (n := chance.randrange(len(said) + 1))], said[n:]] for _ in range(9))]
    for pieces in cuts:
        citations = Citations(GIVEN)
        assert "".join(map(citations.take, pieces)) + citations.rest() == shown
        assert citations.dropped == dropped


def test_words_are_not_kept_waiting_for_what_can_be_no_citation() -> None:
    citations = Citations(GIVEN)
    assert citations.take("At dawn [") == "At dawn" and citations.take("1") == ""
    assert citations.take("] it") == " [1] it"
    assert citations.take(" leaves [for the islands") == " leaves [for the islands"
    assert citations.take(" ") == "" and citations.take("x") == " x"


def test_what_a_provider_tells_beside_its_text_becomes_a_number() -> None:
    citations = Citations(GIVEN)
    shown = citations.take("It leaves at dawn.") + citations.cite(number=3) + citations.cite(number=1)
    shown += citations.take(" Trains wait.") + citations.cite(url="https://trains.example/", title="Anything")
    shown += citations.cite(title="Trains")
    assert shown == "It leaves at dawn. [3][1] Trains wait. [2]"
    assert citations.cite(number=9) == citations.cite(url="https://evil.example/") == citations.cite(title="No") == ""
    assert citations.dropped == 3


def test_where_nothing_was_searched_brackets_are_the_writers_own() -> None:
    citations = Citations(active=False)
    assert citations.take("row[9] and [1] ") == "row[9] and [1] " and citations.rest() == ""
    assert citations.cite(number=1) == "" and citations.dropped == 0


def test_where_a_search_found_nothing_no_number_means_anything() -> None:
    citations = Citations(active=True)
    assert citations.take("It leaves at dawn [1].") == "It leaves at dawn." and citations.dropped == 1


def test_who_goes_on_in_the_middle_of_code_is_in_code() -> None:
    citations = Citations(GIVEN, so_far="Look:\n```python\nrow = rows")
    assert citations.take("[9]\n```\nSo [9].") == "[9]\n```\nSo." and citations.dropped == 1


def test_in_a_later_prompt_an_answer_stands_without_its_numbers() -> None:
    assert without("At dawn [1, 2]. `row[1]` [3]") == "At dawn. `row[1]`"
