"""Whether an answer stands on its passages: a check without a language model.

Each sentence is compared with the passages it cites (with all of them when it cites none): how many of its content
words stand there, and whether every number and name does. What the question says is no invention of the answer's, so
its words count as known; that they are true is not said. It is a sieve for invention, not a proof of truth.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

from retrieval.lexical import terms
from workspace.types import Evidence

SUPPORTED = 0.7  # share of content words found in the passages
WEAK = 0.5  # half of what a sentence says stands nowhere: it is not supported
SHORTEST = 3  # content words below which a sentence claims nothing

# What `manage.py support_benchmark` measured on people's marks, in percent: the interface names it.
FOUND = 76  # of the answers that invent something, flagged
RIGHT = 35  # of the flagged ones, rightly so

_CITED = re.compile(r"\[(\d{1,3}(?:\s*,\s*\d{1,3})*)\]")
_SENTENCE = re.compile(r"(?<=[.!?])(?:\s*\[[\d, ]+\])*\s+(?=\S)|\n+")
_EXACT = re.compile(r"\b\d[\d.,:%]*\b|(?<=[a-z,;] )[A-Z][a-zA-Z]+")
_CODE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$", re.S)


def cited_numbers(text: str) -> list[int]:
    """The numbers an answer cites, in order, each once."""
    found = (int(n) for group in _CITED.findall(text) for n in group.split(","))
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Sentence:
    """Where a sentence that claims something stands in the text, and how it fares: supported, weak, unsupported."""

    start: int
    end: int
    verdict: str


def check(text: str, evidence: Sequence[Evidence], question: str) -> dict[str, int] | None:
    """How many sentences are supported, weak, unsupported; ``None`` when none claims anything or nothing is cited."""
    passages = grounds(evidence, question)
    if not passages or not set(cited_numbers(text)) & set(passages):
        return None
    counts = Counter(sentence.verdict for sentence in sentences(text, passages))
    return {verdict: counts[verdict] for verdict in ("supported", "weak", "unsupported")} if counts else None


def grounds(evidence: Sequence[Evidence], question: str) -> dict[int, str]:
    """What may be said from each passage, by its number: its words under its title, and those of the question."""
    return {e.number: f"{question} {e.title} {e.where} {e.text}" for e in evidence}


def sentences(text: str, passages: Mapping[int, str]) -> list[Sentence]:
    """Every sentence that claims something, in order. Code and formulas claim nothing."""
    plain = _CODE.sub(lambda found: " " * len(found[0]), text)  # as long as it was: places stay
    found, start = [], 0
    for end, after in [*((gap.start(), gap.end()) for gap in _SENTENCE.finditer(plain)), (len(plain), len(plain))]:
        verdict = judge(plain[start:end], passages)
        if verdict:
            lead = len(plain[start:end]) - len(plain[start:end].lstrip())
            found.append(Sentence(start + lead, end, verdict))
        start = after
    return found


def judge(sentence: str, passages: Mapping[int, str]) -> str | None:
    """One sentence: supported, weak, unsupported; ``None`` when it claims nothing."""
    cited = [n for n in cited_numbers(sentence) if n in passages]
    plain = _CITED.sub(" ", sentence)
    words = set(terms(plain))
    if len(words) < SHORTEST:
        return None
    ground = " ".join(passages[n] for n in cited) if cited else " ".join(passages.values())
    known = set(terms(ground))
    share = len(words & known) / len(words)
    if share >= SUPPORTED and not invented(plain, known):
        return "supported"
    return "weak" if share >= WEAK else "unsupported"


def invented(text: str, known: Set[str]) -> list[str]:
    """Numbers and names of a text that are not among the known terms."""
    return [token for token in _EXACT.findall(text) if not set(terms(token)) <= known]
