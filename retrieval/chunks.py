"""Markdown and plain text cut into passages that know where they stand. Pure: text in, chunks out.

About 128 tokens each with 32 of overlap, cut between sentences where that is possible, never across a heading. A chunk
with its title and heading is not longer than the embedding model reads, by this estimate: MiniLM silently cuts at 256
word-pieces.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

TOKENS = 128
OVERLAP = 32
WINDOW = 256  # word-pieces that MiniLM reads
ROOM = 16  # of a window that titles and headings have at least
LONGEST = WINDOW - ROOM
HEADING = 500  # characters of a path of headings

_HEADING = re.compile(r"^(#{1,6})[ \t]+(.+)$", re.M)
_FENCE = re.compile(r"^(```|~~~)(.*)$", re.M)
_SEARCHED = 10_000  # characters in which an end of a sentence is looked for: a search holds up every other thread
_ENDS = r"(?<=[.!?])[\"”)]*(?=\s)|\n{2,}|\n(?=[^\S\n]*(?:[-*+]|\d+\.)\s)|\Z"
_PIECE = re.compile(rf".{{1,{_SEARCHED}}}?(?:{_ENDS})\s*|.{{1,{_SEARCHED}}}", re.S)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_WORD_PIECE = re.compile(r"[a-zA-Z]{1,5}|[^\W\d_]{1,2}(?<![\u2e80-\uffff])|\d{1,3}|\w|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Cut:
    """``text`` is exactly the document's characters from ``start`` to ``end``; ``heading`` is its path of headings."""

    text: str
    heading: str
    start: int
    end: int


def estimate(text: str) -> int:
    """Word-pieces of a text: five letters, three figures, one mark or one sign of Chinese each. Rather too many of
    English; too few of long words in other languages, of names in programs and of digests. What a model reads of a
    passage is therefore counted by the model itself (``ingest.py``)."""
    return len(_WORD_PIECE.findall(text))


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


def halved(piece: Cut) -> list[Cut]:
    """A passage in two, between words where that is possible."""
    middle = max(1, len(piece.text) // 2)
    at = piece.text.rfind(" ", middle // 2, middle) + 1 or middle
    parts = [_trimmed(piece.text, piece.heading, *place) for place in ((0, at), (at, len(piece.text)))]
    return [replace(one, start=piece.start + one.start, end=piece.start + one.end) for one in parts if one.text]


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
    begins, ends = _fences(text)
    headings = [m for m in _HEADING.finditer(text) if not _inside(m.start(), begins, ends)]
    path: list[str] = []
    at = 0
    for found in headings:
        yield " › ".join(p for p in path if p), at, found.start()
        level = len(found[1])
        path = [*path[: level - 1], *[""] * (level - 1 - len(path)), _title(found[2])]
        at = found.end()
    yield " › ".join(p for p in path if p), at, len(text)


def _title(line: str) -> str:
    """Without the signs that may close a heading."""
    return line.rstrip(" \t").rstrip("#").rstrip(" \t") or line[0]


def _fences(text: str) -> tuple[list[int], list[int]]:
    """Where blocks of code begin and end; one that is never closed is none. Line by line: one expression over a whole
    book would hold up every other thread."""
    begins: list[int] = []
    ends: list[int] = []
    opened: re.Match[str] | None = None
    for line in _FENCE.finditer(text):
        if opened is None:
            opened = line
        elif line[1] == opened[1] and not line[2].strip():
            begins.append(opened.start())
            ends.append(line.end())
            opened = None
    return begins, ends


def _inside(place: int, begins: list[int], ends: list[int]) -> bool:
    at = bisect_right(begins, place) - 1
    return at >= 0 and place < ends[at]


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
    """A sentence, or a long one in its lines, and those in parts that the model can read whole."""
    if estimate(text[start:end]) <= wanted.longest:
        yield start, end
        return
    for line in _LINE.finditer(text, start, end):
        yield from _parts(text, line.start(), line.end(), wanted)


def _parts(text: str, start: int, end: int, wanted: Size) -> Iterator[tuple[int, int]]:
    """In one pass: a log or a program made small may be megabytes on one line."""
    count, cuts = 0, []
    for count, found in enumerate(_WORD_PIECE.finditer(text, start, end), start=1):
        if count % wanted.tokens == 0:
            cuts.append(found.end())
    for number, middle in enumerate(cuts):
        if count - number * wanted.tokens <= wanted.longest:
            break
        yield start, middle
        start = middle
    yield start, end


def _trimmed(text: str, heading: str, start: int, end: int) -> Cut:
    inner = text[start:end]
    start += len(inner) - len(inner.lstrip())
    end -= len(inner) - len(inner.rstrip())
    return Cut(text[start:end], heading, start, end)
