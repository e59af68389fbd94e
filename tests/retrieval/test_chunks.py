"""Passages: exact offsets, bounded length, paths of headings, and an end for every input."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.chunks import LONGEST, TOKENS, cut, estimate

PAGE = """# Boats

Boats float. They need water.

## Oars

Oars move boats.

```
# not a heading
```

# Trains

Trains need rails.
"""


def test_a_chunk_is_exactly_the_text_at_its_offsets() -> None:
    for chunk in cut(PAGE):
        assert PAGE[chunk.start : chunk.end] == chunk.text
        assert chunk.text == chunk.text.strip() != ""


def test_headings_are_a_path_and_a_fence_holds_none() -> None:
    assert [chunk.heading for chunk in cut(PAGE)] == ["Boats", "Boats › Oars", "Trains"]


def test_long_text_is_cut_between_sentences_with_overlap() -> None:
    text = " ".join(f"Sentence number {n} tells of one more boat on the river." for n in range(80))
    chunks = cut(text)
    assert len(chunks) > 5
    assert all(estimate(chunk.text) <= TOKENS and chunk.text.endswith(".") for chunk in chunks)
    assert all(later.start < earlier.end < later.end for earlier, later in pairwise(chunks))


def test_every_window_brings_something_new() -> None:
    """Short sentences before a long one once made windows of the overlap alone."""
    text = "Short one. " * 3 + "A " + "very " * 110 + "long one. " + "Short again. " * 3
    ends = [chunk.end for chunk in cut(text)]
    assert ends == sorted(set(ends))


def test_a_sentence_without_end_and_signs_without_spaces_stay_short_enough() -> None:
    for text in ("word " * 2000, "x" * 5000, "日本語" * 700, "7" * 3000):
        chunks = cut(text)
        assert all(estimate(chunk.text) <= LONGEST for chunk in chunks)
        assert chunks[-1].end == len(text.rstrip())


@pytest.mark.parametrize(
    "text",
    ['{"id":12,"name":"harbour"},' * 80_000, "2026-11-29 GET /quay 200\n" * 80_000, " \n" * 1_000_000 + "end"],
    ids=["one line", "a log", "blank lines"],
)
def test_two_megabytes_take_as_much_longer_as_they_are(text: str) -> None:
    """One long line once took sixteen times as long where it was four times as long."""

    def seconds(part: str) -> float:
        began = time.process_time()
        assert cut(part)
        return time.process_time() - began

    assert seconds(text) < 8 * seconds(text[-len(text) // 4 :]) + 0.1


def test_a_heading_of_signs_alone_takes_no_time() -> None:
    began = time.process_time()
    assert cut("# " + "#" * 100_000 + " end\n\nText.")[0].text == "Text."
    assert cut("## Oars ##  \n\nText.")[0].heading == "Oars"
    assert cut("# #\n\nText.")[0].heading == "#"
    assert time.process_time() - began < 1


def test_a_long_table_is_cut_between_its_lines() -> None:
    text = "\n".join(f"| {n} | a boat with a name | {n * 7} knots |" for n in range(100))
    chunks = cut(text)
    assert len(chunks) > 5
    assert all(chunk.text.startswith("|") and chunk.text.endswith("|") for chunk in chunks)
    assert all(later.start < earlier.end for earlier, later in pairwise(chunks)), "and neighbours share some"


def test_nothing_makes_no_chunk() -> None:
    assert cut("") == cut(" \n\n ") == cut("# Only a heading") == []


@given(st.text(alphabet=st.sampled_from("ab. \n#`-1é日"), max_size=400))
def test_no_character_is_lost(text: str) -> None:
    chunks = cut(text)
    covered = {n for chunk in chunks for n in range(chunk.start, chunk.end)}
    headings = {n for n in range(len(text)) if text[text.rfind("\n", 0, n) + 1 :].startswith("#")}
    assert all(n in covered or n in headings or text[n].isspace() for n in range(len(text)))
