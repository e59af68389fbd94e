"""Joining a continuation to what was said before: no text lost, none doubled, however the wire cuts it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workspace.router.joining import LEAST, LETTERS, Joiner

SAID = "The kettle boils. The element heats the water, and the steam lifts the lid"
texts = st.text(alphabet="ab c\n-é", max_size=80) | st.text(max_size=80)


def joined(so_far: str, pieces: list[str]) -> str:
    joiner = Joiner(so_far)
    return so_far + "".join(joiner.take(piece) for piece in pieces) + joiner.rest()


def repetition(so_far: str, more: str) -> int:
    """How many characters of the end of ``so_far`` begin ``more``, by trying each length."""
    lengths = range(min(len(so_far), len(more)), LEAST - 1, -1)
    return next((n for n in lengths if so_far.endswith(more[:n]) and len(set(more[:n])) >= LETTERS), 0)


@pytest.mark.parametrize(
    ("more", "whole"),
    [
        (" of the pot.", SAID + " of the pot."),
        ("and the steam lifts the lid of the pot.", SAID + " of the pot."),
        (SAID + " of the pot.", SAID + " of the pot."),  # it began again from the first word
        ("lifts the lid", SAID + "lifts the lid"),  # too short to be sure
        ("The kettle boils. It is done.", SAID + "The kettle boils. It is done."),  # said before, but not at the end
        ("and the steam lifts the lad", SAID + "and the steam lifts the lad"),
        ("", SAID),
    ],
)
def test_only_a_repetition_of_the_end_is_left_out(more: str, whole: str) -> None:
    assert joined(SAID, [more]) == joined(SAID, list(more)) == whole


@pytest.mark.parametrize("unit", ["-", "=", "| --- ", "ha ", "0, "])
def test_what_goes_on_as_it_ended_is_no_repetition(unit: str) -> None:
    assert joined(unit * 20, [unit] * 20) == unit * 40


@given(texts, st.lists(texts, max_size=6))
def test_nothing_is_lost_and_nothing_but_a_repetition_left_out(so_far: str, pieces: list[str]) -> None:
    more = "".join(pieces)
    assert joined(so_far, pieces) == so_far + more[repetition(so_far, more) :]


@given(st.text(min_size=LEAST, max_size=200), texts, st.integers(LEAST, 200), st.lists(st.integers(0, 400), max_size=9))
def test_what_is_repeated_comes_once_however_it_is_cut(so_far: str, new: str, length: int, cuts: list[int]) -> None:
    more = so_far[-length:] + new
    edges = [0, *sorted(min(cut, len(more)) for cut in cuts), len(more)]
    whole = joined(so_far, [more[start:end] for start, end in pairwise(edges)])
    assert whole == so_far + more[repetition(so_far, more) :]
    if len(set(so_far[-length:])) >= LETTERS:
        assert len(whole) <= len(so_far) + len(new)


def test_a_word_is_shown_as_soon_as_it_is_plain_that_it_is_new() -> None:
    joiner = Joiner(SAID)
    assert joiner.take(" of") == " of"
    assert joiner.take(" the lid") == " the lid"
