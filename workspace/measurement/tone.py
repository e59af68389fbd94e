"""How an answer sounds and what it looks like, and how steady that is. Pure: texts in, numbers out.

*Reading ease* is Flesch's (1948), of syllables counted by their vowels. *Formality* is a rule of this file's own,
named as such: 100, less what speech has and prose has not (contractions, "you" and "I", exclamation marks, chatty
openings), each in a hundred words, with a weight. *Format* is the set of what Markdown marks up: headings, lists, bold,
code, tables, citations.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from statistics import fmean, pstdev

from workspace.measurement.metrics import normal

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_SENTENCE = re.compile(r"[.!?]+(?:\s|$)|\n+")
_VOWELS = re.compile(r"[aeiouyà-öø-ÿ]+", re.IGNORECASE)
_CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
FORMATS = {
    "headings": re.compile(r"^#{1,6} ", re.MULTILINE),
    "lists": re.compile(r"^\s*(?:[-*+]|\d+[.)]) ", re.MULTILINE),
    "bold": re.compile(r"\*\*\S.*?\*\*|__\S.*?__"),
    "code": re.compile(r"`"),
    "tables": re.compile(r"^\s*\|.*\|\s*$", re.MULTILINE),
    "citations": re.compile(r"\[\d{1,3}(?:\s*,\s*\d{1,3})*\]"),
}
# What speech has and prose has not, with what one in a hundred words takes off.
_CHATTY = (
    (re.compile(r"\w['’](?:s|re|ll|ve|d|m|t)\b", re.IGNORECASE), 4.0),
    (re.compile(r"\b(?:i|you|we|me|your|my|our|us)\b", re.IGNORECASE), 2.0),
    (re.compile(r"!"), 8.0),
    (re.compile(r"\b(?:sure|okay|ok|great|awesome|hey|yeah|happy to|of course|no problem|kind of|a lot)\b", re.I), 8.0),
)


@dataclass(frozen=True, slots=True)
class Tone:
    """Of one answer. ``ease`` and ``formality`` are ``None`` of a text without words."""

    words: int
    ease: float | None
    formality: float | None
    format: frozenset[str]


@lru_cache(maxsize=20_000)
def tone(text: str) -> Tone:
    plain = _CODE.sub(" ", FORMATS["citations"].sub(" ", text))
    words = _WORD.findall(plain)
    marks = frozenset(name for name, pattern in FORMATS.items() if pattern.search(text))
    if not words:
        return Tone(0, None, None, marks)
    sentences = max(1, sum(bool(_WORD.search(one)) for one in _SENTENCE.split(plain)))
    syllables = sum(map(_syllables, words))
    ease = 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)
    taken = sum(weight * len(pattern.findall(plain)) for pattern, weight in _CHATTY) * 100 / len(words)
    return Tone(len(words), ease, max(0.0, 100 - taken), marks)


def alike(texts: Sequence[str]) -> float:
    """Words in common between two answers (F1), the mean over all pairs; 1 of equal ones."""
    return fmean(_common(a, b) for a, b in combinations(texts, 2))


def spread(values: Sequence[float]) -> float:
    """The standard deviation over the mean: 0 where all are equal."""
    middle = fmean(values)
    return pstdev(values) / middle if middle else 0.0


def same(values: Sequence[object]) -> float:
    """The share of pairs that are equal."""
    return fmean(a == b for a, b in combinations(values, 2))


def _common(first: str, second: str) -> float:
    one, other = normal(first).split(), normal(second).split()
    if not one or not other:
        return float(one == other)
    return 2 * sum((Counter(one) & Counter(other)).values()) / (len(one) + len(other))


def _syllables(word: str) -> int:
    """Groups of vowels, a silent e at the end left out."""
    found = len(_VOWELS.findall(word))
    silent = found > 1 and word.lower().endswith("e") and not word.lower().endswith(("le", "ee"))
    return max(1, found - silent)
