"""What two texts differ in, word by word, what two answers were given to read, and what they took.

Lines are compared first, and words within the lines that changed, as Python's ``difflib`` does (Ratcliff and Obershelp,
1988). What a text repeats all over is no landmark there, so that time grows little faster than length. In code and
tables only a line that became one other line is told by its words: words of several lines read as none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

from django.utils.html import format_html
from django.utils.safestring import SafeString

from chat.rendering import line_by_line

MOST = 8_000  # lines, or words with what is between them, of both together; what has more is told as changed
ISLAND = 12  # characters that are the same between two changes, at most, to be told as changed
_Token = tuple[str, bool]  # a line or a word; whether it stands in code or a table
_Tokens = list[_Token]
_Block = tuple[bool, _Tokens, _Tokens]  # the same, and how it is in both
_WORDS = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")  # each with the space before it: runs of words are the landmarks
_WORD = re.compile(r"\w+")
_LINES = re.compile(r"[^\n]*\n|[^\n]+\Z")


FIGURES: dict[str, tuple[str, ...]] = {
    "time to first token, s": ("timings", "first_token"),
    "in all, s": ("timings", "total"),
    "tokens in": ("usage", "input"),
    "tokens out": ("usage", "output"),
    "cost, $": ("cost",),
    "supported sentences": ("support", "supported"),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text: in both (``same``), in the second alone (``added``), in the first alone (``removed``); ``lined``
    in code or a table, where columns count."""

    kind: str
    text: str
    lined: bool = False

    @property
    def html(self) -> SafeString:
        element = {"same": "span", "added": "ins", "removed": "del"}[self.kind]
        if self.lined:
            return format_html('<{} class="lined">{}</{}>', element, self.text, element)
        return format_html("{}" if self.kind == "same" else f"<{element}>{{}}</{element}>", self.text)


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about two answers, by its name on the page."""

    name: str
    old: str
    new: str

    @property
    def changed(self) -> bool:
        return self.old != self.new


def words(old: str, new: str) -> list[Piece]:
    """The pieces of both texts in order: ``same`` and ``removed`` are the old one, ``same`` and ``added`` the new."""
    pieces = []
    for same, left, right in _joined(_blocks(old, new)):
        kinds = [("same", left)] if same else [("removed", left), ("added", right)]
        for kind, part in kinds:
            pieces += [Piece(kind, _text(run), lined) for lined, run in groupby(part, lambda token: token[1])]
    return pieces


def likeness(pieces: Sequence[Piece]) -> float:
    """How much of two texts is the same, 0 to 1, by the words in their pieces."""
    if all(piece.kind == "same" for piece in pieces):
        return 1.0
    both = sum((2 if piece.kind == "same" else 1) * len(_WORD.findall(piece.text)) for piece in pieces)
    same = sum(2 * len(_WORD.findall(piece.text)) for piece in pieces if piece.kind == "same")
    return same / both if both else 0.0


def _blocks(old: str, new: str) -> Iterator[_Block]:
    for same, left, right in _matched(_lines(old), _lines(new)):
        lined = any(in_code for _, in_code in (*left, *right))
        if same or not left or not right or (lined and not len(left) == len(right) == 1):
            yield same, left, right
        else:
            for block in _matched(_words(left), _words(right)):
                yield from _without_space(*block)


def _lines(text: str) -> _Tokens:
    return [(line, lined) for lined, part in line_by_line(text) for line in _LINES.findall(part)]


def _words(lines: _Tokens) -> _Tokens:
    return [(word, lines[0][1]) for word in _WORDS.findall(_text(lines))]


def _matched(left: _Tokens, right: _Tokens) -> Iterator[_Block]:
    """What is the same at both ends needs no search."""
    least = min(len(left), len(right))
    head = next((at for at in range(least) if left[at] != right[at]), least)
    tail = next((at for at in range(least - head) if left[-1 - at] != right[-1 - at]), least - head)
    yield True, left[:head], right[:head]
    a, b = left[head : len(left) - tail], right[head : len(right) - tail]
    if len(a) + len(b) > MOST:
        yield False, a, b
    else:
        for kind, i, j, k, m in SequenceMatcher(None, a, b).get_opcodes():
            yield kind == "equal", a[i:j], b[k:m]
    yield True, left[len(left) - tail :], right[len(right) - tail :]


def _without_space(same: bool, left: _Tokens, right: _Tokens) -> Iterator[_Block]:
    """The space before two words that are not the same is the same."""
    if not same and left and right:
        (first, lined), (other, _) = left[0], right[0]
        space = first[: len(first) - len(first.lstrip())]
        if space and other.startswith(space):
            yield True, [(space, lined)], [(space, lined)]
            left, right = [(first[len(space) :], lined), *left[1:]], [(other[len(space) :], lined), *right[1:]]
    yield same, left, right


def _joined(found: Iterator[_Block]) -> list[_Block]:
    """What is the same between two changes, and shorter than both, is read with less effort as part of one change
    (as diff-match-patch by Neil Fraser cleans up)."""
    blocks: list[_Block] = []
    for same, left, right in found:
        if not left and not right:
            continue
        if blocks and blocks[-1][0] == same:
            blocks[-1] = (same, blocks[-1][1] + left, blocks[-1][2] + right)
        else:
            blocks.append((same, left, right))
        while len(blocks) > 2 and not blocks[-1][0] and _is_island(*blocks[-3:]):
            first, island, last = blocks[-3:]
            blocks[-3:] = [(False, first[1] + island[1] + last[1], first[2] + island[2] + last[2])]
    return blocks


def _is_island(before: _Block, same: _Block, after: _Block) -> bool:
    changes = [max(len(_text(left)), len(_text(right))) for _, left, right in (before, after)]
    return len(_text(same[1]).strip()) <= min(*changes, ISLAND)


def _text(tokens: Iterable[_Token]) -> str:
    return "".join(text for text, _ in tokens)


def sums(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> list[Difference]:
    """What the answers of two branches took together; a sum with an unknown in it is unknown."""
    told = []
    for name, path in FIGURES.items():
        left, right = ([_at(one, path) for one in each] for each in (old, new))
        if any(value is not None for value in [*left, *right]):
            told.append(Difference(name, _sum(left), _sum(right)))
    return told


def _sum(values: Sequence[Any]) -> str:
    known = [value if isinstance(value, int) else float(value) for value in values if value is not None]
    return "unknown" if len(known) < len(values) else _plain(sum(known))


def figures(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> list[Difference]:
    """What both took, whether or not it differs: seconds, tokens, dollars."""
    told = []
    for name, path in FIGURES.items():
        left, right = _at(old or {}, path), _at(new or {}, path)
        if left is not None or right is not None:
            told.append(Difference(name, _plain(left), _plain(right)))
    return told


def evidence(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[Difference]:
    """Passages that only one of the two was given, by what they say."""
    left, right = ({each["digest"]: each for each in one} for one in (old, new))
    told = [Difference("passage", _passage(left[digest]), "not given") for digest in left if digest not in right]
    return told + [
        Difference("passage", "not given", _passage(right[digest])) for digest in right if digest not in left
    ]


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = (value or {}).get(name)
    return value


def _plain(value: Any) -> str:
    if value is None:
        return "unknown"
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _passage(passage: Mapping[str, Any]) -> str:
    return f"{passage['title']}: {passage['text'][:160]}"
