"""How answers sound and look, and how steady that is: pure rules over texts."""

from __future__ import annotations

import pytest

from workspace.measurement import tone
from workspace.measurement.tone import tone as tone_of

PLAIN = "The bridge was built in 1890. It crosses the river near the old mill."
FORMAL = "The implementation necessitates comprehensive organisational preparation and considerable documentation."
CHATTY = "Sure! I'd be happy to help you with that! It's a lot of fun, you'll see."


def test_reading_ease_is_flesch_and_long_words_are_harder() -> None:
    told = tone_of("The cat sat on the mat. The dog ran.")
    assert told.words == 9
    assert told.ease == pytest.approx(206.835 - 1.015 * 9 / 2 - 84.6 * 9 / 9)
    plain, formal = tone_of(PLAIN).ease, tone_of(FORMAL).ease
    assert plain and formal is not None and plain > formal + 50


def test_chatty_answers_are_less_formal_than_plain_ones() -> None:
    plain, chatty = tone_of(PLAIN).formality, tone_of(CHATTY).formality
    assert plain == 100 and chatty is not None and chatty < 30


def test_format_is_what_markdown_marks_up() -> None:
    said = "# Title\n\n- one **bold** [1]\n\n| a | b |\n\n`x`"
    assert tone_of(said).format == {"headings", "lists", "bold", "code", "tables", "citations"}
    assert tone_of(PLAIN).format == frozenset()


def test_a_text_without_words_has_no_ease() -> None:
    assert tone_of("[1]") == tone.Tone(0, None, None, frozenset({"citations"}))


def test_repeats_are_as_alike_as_their_words() -> None:
    assert tone.alike(["a bridge", "the bridge [2]."]) == 1.0
    assert tone.alike(["one two", "one three", "four five"]) == pytest.approx(0.5 / 3)
    assert tone.same(["correct", "correct", "wrong"]) == pytest.approx(1 / 3)
    assert tone.spread([10, 10]) == 0.0 and tone.spread([5, 15]) == 0.5
