"""Markdown and plain text cut into passages that know where they stand. Pure: text in, chunks out.

About 128 tokens each with 32 of overlap, cut between sentences where that is possible, never across a heading. A chunk
is never longer than the embedding model reads: MiniLM silently cuts at 256 word-pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKENS = 128
OVERLAP = 32
LONGEST = 240  # word-pieces of text; the title and the heading need room in 256

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.M)
_FENCE = re.compile(r"^(```|~~~).*?^\1[ \t]*$", re.M | re.S)
_PIECE = re.compile(r".+?(?:(?<=[.!?])[\"”)]*(?=\s)|\n{2,}|\n(?=\s*(?:[-*+]|\d+\.)\s)|\Z)\s*", re.S)
_WORD_PIECE = re.compile(r"[a-zA-Z]{1,5}|[^\W\d_]{1,2}(?<![\u2e80-\uffff])|\d{1,3}|\w|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Cut:
    """``text`` is exactly the document's characters from ``start`` to ``end``; ``heading`` is its path of headings."""

    text: str
    heading: str
    start: int
    end: int


def estimate(text: str) -> int:
    """Word-pieces of a text, rather too many: five letters, three figures, one mark or one sign of Chinese each."""
    return sum(1 for _ in _WORD_PIECE.finditer(text))


def cut(text: str) -> list[Cut]:
    """The passages of a document, in order."""
    return [chunk for heading, start, end in _sections(text) for chunk in _windows(text, heading, start, end)]


def indexed(title: str, chunk_heading: str, text: str) -> str:
    """What is searched and embedded: the passage under its title and heading."""
    return "\n".join(part for part in (title, chunk_heading, text) if part)


def _sections(text: str) -> Iterator[tuple[str, int, int]]:
    """Stretches between headings, each with its path. A ``#`` inside a fence is no heading."""
    fences = [(m.start(), m.end()) for m in _FENCE.finditer(text)]
    headings = [m for m in _HEADING.finditer(text) if not any(a <= m.start() < b for a, b in fences)]
    path: list[str] = []
    at = 0
    for found in headings:
        yield " › ".join(p for p in path if p), at, found.start()
        level = len(found[1])
        path = [*path[: level - 1], *[""] * (level - 1 - len(path)), found[2]]
        at = found.end()
    yield " › ".join(p for p in path if p), at, len(text)


def _windows(text: str, heading: str, start: int, end: int) -> Iterator[Cut]:
    found = _PIECE.finditer(text, start, end)
    spans = [span for one in found for span in _small(text, one.start(), one.end())]
    pieces = [(a, b, estimate(text[a:b])) for a, b in spans if text[a:b].strip()]
    first = 0
    while first < len(pieces):
        last, size = first, pieces[first][2]
        while last + 1 < len(pieces) and size + pieces[last + 1][2] <= TOKENS:
            last += 1
            size += pieces[last][2]
        yield _trimmed(text, heading, pieces[first][0], pieces[last][1])
        if last + 1 >= len(pieces):
            return
        back, kept = last + 1, 0
        while back - 1 > first and kept + pieces[back - 1][2] <= OVERLAP:
            back -= 1
            kept += pieces[back][2]
        while back <= last and kept + pieces[last + 1][2] > TOKENS:  # a window must bring something new
            kept -= pieces[back][2]
            back += 1
        first = back


def _small(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A sentence, or a long one in parts that the model can read whole."""
    while estimate(text[start:end]) > LONGEST:
        middle = start
        for count, found in enumerate(_WORD_PIECE.finditer(text, start, end)):
            if count >= TOKENS:
                break
            middle = found.end()
        yield start, middle
        start = middle
    yield start, end


def _trimmed(text: str, heading: str, start: int, end: int) -> Cut:
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    end -= len(inner) - len(inner.rstrip())
    return Cut(text[start:end], heading, start, end)
