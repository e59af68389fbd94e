"""Whether an answer stands on its passages: a check without a language model.

Each sentence is compared with the passages it cites (with all of them when it cites none): how many of its content
words stand there, and whether every number and name does. It is a sieve for invention, not a proof of truth.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from retrieval.lexical import terms
from workspace.types import Evidence

SUPPORTED = 0.7  # share of content words found in the passages
WEAK = 0.45
SHORTEST = 3  # content words below which a sentence claims nothing

_CITED = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s*\[[\d, ]+\])*\s+(?=\S)|\n+")
_EXACT = re.compile(r"\b\d[\d.,:%]*\b|(?<=[a-z,;] )[A-Z][a-zA-Z]+")
_CODE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$", re.S)


def cited_numbers(text: str) -> list[int]:
    """The numbers an answer cites, in order, each once."""
    found = (int(n) for group in _CITED.findall(text) for n in group.split(","))
    return list(dict.fromkeys(found))


def check(text: str, evidence: Sequence[Evidence]) -> dict[str, int] | None:
    """How many sentences are supported, weak, unsupported; ``None`` when none claims anything or nothing is cited."""
    passages = {e.number: f"{e.title} {e.where} {e.text}" for e in evidence}
    if not passages or not set(cited_numbers(text)) & set(passages):
        return None
    counts = {"supported": 0, "weak": 0, "unsupported": 0}
    for sentence in _SENTENCE.split(_CODE.sub(" ", text)):
        verdict = judge(sentence, passages)
        if verdict:
            counts[verdict] += 1
    return counts if any(counts.values()) else None


def judge(sentence: str, passages: dict[int, str]) -> str | None:
    """One sentence: supported, weak, unsupported; ``None`` when it claims nothing."""
    cited = [n for n in cited_numbers(sentence) if n in passages]
    plain = _CITED.sub(" ", sentence)
    words = set(terms(plain))
    if len(words) < SHORTEST:
        return None
    ground = " ".join(passages[n] for n in cited) if cited else " ".join(passages.values())
    known = set(terms(ground))
    share = len(words & known) / len(words)
    invented = [token for token in _EXACT.findall(plain) if not set(terms(token)) <= known]
    if share >= SUPPORTED and not invented:
        return "supported"
    return "weak" if share >= WEAK else "unsupported"
