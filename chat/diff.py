"""What two texts differ in, word by word, what two answers were given to read, and what they took.

Lines are compared first, and words within the lines that changed, as Python's ``difflib`` does (Ratcliff and Obershelp,
1988). What a text repeats all over is no landmark there, so that time grows little faster than length.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

MOST = 8_000  # lines, or words with what is between them, of both together; what has more is told as changed
ISLAND = 12  # characters that are the same between two changes, at most, to be told as changed
_Block = tuple[bool, str, str]  # the same, and how it is in both
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
    """A run of text: in both (``same``), in the second alone (``added``), in the first alone (``removed``)."""

    kind: str
    text: str


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
        pieces += [Piece(kind, text) for kind, text in kinds if text]
    return pieces


def likeness(pieces: Sequence[Piece]) -> float:
    """How much of two texts is the same, 0 to 1, by the words in their pieces."""
    if all(piece.kind == "same" for piece in pieces):
        return 1.0
    both = sum((2 if piece.kind == "same" else 1) * len(_WORD.findall(piece.text)) for piece in pieces)
    same = sum(2 * len(_WORD.findall(piece.text)) for piece in pieces if piece.kind == "same")
    return same / both if both else 0.0


def _blocks(old: str, new: str) -> Iterator[_Block]:
    for same, left, right in _matched(_LINES.findall(old), _LINES.findall(new)):
        if same or not left or not right:
            yield same, left, right
        else:
            for block in _matched(_WORDS.findall(left), _WORDS.findall(right)):
                yield from _without_space(*block)


def _matched(left: list[str], right: list[str]) -> Iterator[_Block]:
    """What is the same at both ends needs no search."""
    least = min(len(left), len(right))
    head = next((at for at in range(least) if left[at] != right[at]), least)
    tail = next((at for at in range(least - head) if left[-1 - at] != right[-1 - at]), least - head)
    yield True, "".join(left[:head]), "".join(right[:head])
    a, b = left[head : len(left) - tail], right[head : len(right) - tail]
    if len(a) + len(b) > MOST:
        yield False, "".join(a), "".join(b)
    else:
        for kind, i, j, k, m in SequenceMatcher(None, a, b).get_opcodes():
            yield kind == "equal", "".join(a[i:j]), "".join(b[k:m])
    yield True, "".join(left[len(left) - tail :]), "".join(right[len(right) - tail :])


def _without_space(same: bool, left: str, right: str) -> Iterator[_Block]:
    """The space before two words that are not the same is the same."""
    space = left[: len(left) - len(left.lstrip())]
    if not same and space and right.startswith(space):
        yield True, space, space
        left, right = left[len(space) :], right[len(space) :]
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
            blocks[-3:] = [(False, "".join(one[1] for one in blocks[-3:]), "".join(one[2] for one in blocks[-3:]))]
    return blocks


def _is_island(before: _Block, same: _Block, after: _Block) -> bool:
    changes = [max(len(left), len(right)) for _, left, right in (before, after)]
    return len(same[1].strip()) <= min(*changes, ISLAND)


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
