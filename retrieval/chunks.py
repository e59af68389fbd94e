"""Markdown and plain text cut into passages that know where they stand. Pure: text in, chunks out.

About 128 tokens each with 32 of overlap, cut between sentences where that is possible, never across a heading. A chunk
with its title and heading is never longer than the embedding model reads: MiniLM silently cuts at 256 word-pieces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

TOKENS = 128
OVERLAP = 32
WINDOW = 256  # word-pieces that MiniLM reads
ROOM = 16  # of a window that titles and headings have at least
LONGEST = WINDOW - ROOM
HEADING = 500  # characters of a path of headings

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


@dataclass(frozen=True, slots=True)
class Size:
    """How long passages are, in word-pieces; ``window`` is what the embedding model reads at once."""

    tokens: int = TOKENS
    overlap: int = OVERLAP
    window: int = WINDOW

    @property
    def longest(self) -> int:
        """Of a sentence that is not cut, even where it is longer than ``tokens``."""
        return max(self.tokens, min(self.window - ROOM, 2 * self.tokens - ROOM))


USUAL = Size()


def cut(text: str, size: Size = USUAL) -> list[Cut]:
    """The passages of a document, in order."""
    sections = _sections(text)
    return [piece for heading, start, end in sections for piece in _windows(text, heading[:HEADING], start, end, size)]


def indexed(title: str, chunk_heading: str, text: str, *, window: int = WINDOW) -> str:
    """What is searched and embedded: the passage under its title and heading, of which as much as the window leaves."""
    above = "\n".join(part for part in (title, chunk_heading) if part)
    room = window - 2 - estimate(text)  # two signs frame what a model reads
    if estimate(above) > room:
        above = _first(above, room)
    return "\n".join(part for part in (above, text) if part)


def _first(text: str, count: int) -> str:
    """So many word-pieces from the beginning, whole words alone."""
    end = 0
    for number, found in enumerate(_WORD_PIECE.finditer(text)):
        if number >= count:
            break
        end = found.end()
    kept = text[:end]
    return kept if end == len(text) or text[end].isspace() else kept.rpartition(" ")[0]


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


def _windows(text: str, heading: str, start: int, end: int, wanted: Size) -> Iterator[Cut]:
    found = _PIECE.finditer(text, start, end)
    spans = [span for one in found for span in _small(text, one.start(), one.end(), wanted)]
    pieces = [(a, b, estimate(text[a:b])) for a, b in spans if text[a:b].strip()]
    first = 0
    while first < len(pieces):
        last, size = first, pieces[first][2]
        while last + 1 < len(pieces) and size + pieces[last + 1][2] <= wanted.tokens:
            last += 1
            size += pieces[last][2]
        yield _trimmed(text, heading, pieces[first][0], pieces[last][1])
        if last + 1 >= len(pieces):
            return
        back, kept = last + 1, 0
        while back - 1 > first and kept + pieces[back - 1][2] <= wanted.overlap:
            back -= 1
            kept += pieces[back][2]
        while back <= last and kept + pieces[last + 1][2] > wanted.tokens:  # a window must bring something new
            kept -= pieces[back][2]
            back += 1
        first = back


def _small(text: str, start: int, end: int, wanted: Size) -> Iterator[tuple[int, int]]:
    """A sentence, or a long one in parts that the model can read whole."""
    while estimate(text[start:end]) > wanted.longest:
        middle = start
        for count, found in enumerate(_WORD_PIECE.finditer(text, start, end)):
            if count >= wanted.tokens:
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
