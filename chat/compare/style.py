"""How an answer looks, as numbers: its length and its Markdown. What a leaderboard can hold apart from what it says.

The measures are those that Chatbot Arena's style control takes (length, headings, list items, bold), and the difference
of two answers is a share of both together, so that long answers do not weigh more.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

_CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^ {0,3}#{1,6} ", re.MULTILINE)
_ITEM = re.compile(r"^ *(?:[-*+]|\d{1,3}[.)]) ", re.MULTILINE)
_BOLD = re.compile(r"(\*\*|__)(?=\S)(?:.+?)(?<=\S)\1")


@dataclass(frozen=True, slots=True)
class Style:
    words: int
    headings: int
    items: int
    bold: int


# What is held apart, by the name in the address.
HELD: Mapping[str, tuple[str, ...]] = {"": (), "length": ("words",), "style": ("words", "headings", "items", "bold")}
NAMES = {"words": "twice the length", "headings": "headings", "items": "list items", "bold": "bold words"}


def style_of(text: str) -> Style:
    prose = _CODE.sub("", text)  # a comment in a program is no heading
    return Style(
        words=len(text.split()),
        headings=len(_HEADING.findall(prose)),
        items=len(_ITEM.findall(prose)),
        bold=len(_BOLD.findall(prose)),
    )


def differences(first: Style, second: Style, held: str) -> tuple[float, ...]:
    """By how much the first has more of each thing: of words, how many times twice as many; else from -1 to 1."""
    told = []
    for name in HELD[held]:
        a, b = getattr(first, name), getattr(second, name)
        told.append(math.log2((a + 1) / (b + 1)) if name == "words" else (a - b) / max(1, a + b))
    return tuple(round(value, 2) for value in told)
