"""What differs between two texts, line by line and within lines that belong together. Pure: texts in, rows out."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

AROUND = 3  # unchanged lines shown on either side of a change
ALIKE = 0.4  # how alike two lines must be for their words to be compared
MOST = 4_000  # lines of a text that are compared word by word

Part = tuple[str, bool]  # a piece of a line, and whether it is of this side alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """``kind`` is same, gone, new or skip; ``old`` and ``new`` are line numbers from 1. A skip stands for ``skipped``
    unchanged lines."""

    kind: str
    old: int | None = None
    new: int | None = None
    parts: Sequence[Part] = ()
    skipped: int = 0


def rows(old: str, new: str) -> list[Row]:
    """The changed lines with a few around them, in the order of reading: what is gone before what is new."""
    before, after = old.splitlines(), new.splitlines()
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    found: list[Row] = []
    at = 0
    for group in matcher.get_grouped_opcodes(AROUND):
        start = group[0][1]
        if start > at:
            found.append(Row(kind="skip", skipped=start - at))
        for tag, i1, i2, j1, j2 in group:
            found += _rows(tag, before[i1:i2], after[j1:j2], (i1, j1))
        at = group[-1][2]
    if found and at < len(before):
        found.append(Row(kind="skip", skipped=len(before) - at))
    return found


def count(old: str, new: str) -> tuple[int, int]:
    """Lines that only the new text has, and lines that only the old one has, wherever they stand."""
    before, after = Counter(old.splitlines()), Counter(new.splitlines())
    return (after - before).total(), (before - after).total()


def _rows(tag: str, before: Sequence[str], after: Sequence[str], at: tuple[int, int]) -> Iterator[Row]:
    i, j = at
    if tag == "equal":
        for number, line in enumerate(before):
            yield Row(kind="same", old=i + number + 1, new=j + number + 1, parts=[(line, False)])
        return
    pairs = [_words(*pair) for pair in zip(before, after, strict=False)] if len(before) + len(after) < MOST else []
    for number, line in enumerate(before):
        yield Row(kind="gone", old=i + number + 1, parts=pairs[number][0] if number < len(pairs) else [(line, False)])
    for number, line in enumerate(after):
        yield Row(kind="new", new=j + number + 1, parts=pairs[number][1] if number < len(pairs) else [(line, False)])


def _words(old: str, new: str) -> tuple[list[Part], list[Part]]:
    """The two lines in pieces. Lines that have little in common are shown whole."""
    before, after = _pieces(old), _pieces(new)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    if matcher.ratio() < ALIKE:
        return [(old, False)], [(new, False)]
    left: list[Part] = []
    right: list[Part] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        left.append(("".join(before[i1:i2]), tag != "equal"))
        right.append(("".join(after[j1:j2]), tag != "equal"))
    return [part for part in left if part[0]], [part for part in right if part[0]]


def _pieces(line: str) -> list[str]:
    return re.findall(r"\w+|\s+|.", line)
