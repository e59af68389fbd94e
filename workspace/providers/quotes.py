"""``quotes``: an extractive reader. It is no language model: it answers with at most two sentences of the evidence,
each cited, and says so when the evidence holds no answer.

By words a sentence scores the share of the question's weight (inverse frequency over the passages) that it covers, less
for words that only its title, neighbours or passage hold; it loses when it lacks the kind of thing asked for. Where the
model host is there, the best by words are embedded under their title: how near one is to the question joins its rank,
and decides alone whether it is an answer at all. What that is worth ``manage.py quotes_benchmark`` tells. Look-alike
questions still pass: so each sentence is cited.
"""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import mul
from typing import ClassVar

import snowballstemmer

from workspace.hosts import link
from workspace.providers.base import Address, Call, Ended, Said, Sent
from workspace.types import Delta, Evidence, Usage, text_of

NEAREST = 0.556  # the least cosine of question and sentence that counts as an answer: half of look-alikes have less
THRESHOLD = 0.30  # without embeddings: the share of the question's weight a sentence must cover to count as one
SENTENCES = 2
WITHIN = 0.72  # a further sentence must come this close to the best
CANDIDATES = 10  # sentences, the best by words, that are embedded
MEANING, FOUND = 0.5, 1.0  # what nearness and the passage's own score count in a rank, beside words
WAIT = 1.5  # seconds for embeddings, before words alone decide

NO_EVIDENCE = (
    "Nothing to quote from: this question was asked without documents. "
    "Switch on **Documents** below the message and ask again, or choose a language model."
)
NO_ANSWER = "The documents hold no answer to this. Ask in the words the documents use, or choose a language model."

_WORD = re.compile(r"[\w’'-]+")
STOP = frozenset(
    _WORD.findall("""
    a an and are as at be been but by can could did do does for from had has have how i if in into is it its may me
    might my no not of on one or our please should so some such than that the their them then there these they this
    to was we were what when where which who whom whose why will with would you your about tell give show
    explain happen happens mean means onepane""")
)
# An initial or a title ends no sentence ("Thomas S. Murphy", "the U.S. Senate"), unless one begins behind it.
_SHORT = r"(?<!\b[A-Z]\.)(?<!\b(?:Dr|Lt|Mr|Ms|St|vs)\.)(?<!\b(?:Col|Gen|Mrs|Rev|Sgt)\.)(?<!\bProf\.)(?<!\bv\.)"
_BEGINS = r"(?=\s+(?:An?|At|But|He|However|I[nt]|On|She|The|These|They|This)\s)"
_SENTENCE = re.compile(
    rf"(?:(?<=[.!?]){_SHORT}|(?<=\.){_BEGINS})[\"”’)]*\s+(?=[\"“‘(`*]*[A-Z0-9À-Þ])"
    r"|\n{2,}|\n(?=\s*(?:[-*+]|\d+\.)\s)"
)
_MONTH = "January|February|March|April|May|June|July|August|September|October|November|December"
_NUMBER = "one|two|three|four|five|six|seven|eight|nine|ten|dozen|hundred|thousand|million|half|third|several|few"
_DO = "open|press|choose|click|write|run|set|add|type|start|select|use|drop|paste|go"
# What a question asks for, and what a sentence that answers it holds beside the question's own words.
_ASKS = (
    (r"\b(?:when|(?:what|which) (?:year|date|day|time|century|month))\b", rf"\b\d{{1,4}}(?:s|th)?\b|{_MONTH}|century"),
    (r"\bhow (?:many|much|long|far|old|often|large|high)\b|\bwhat (?:percentage|number)", rf"\d|\b(?i:{_NUMBER})\b"),
    (r"\bwh(?:o|om|ose)\b", r"(?<!^)\b[A-ZÀ-Þ][\w’'-]+"),
    (r"^\s*how (?:do|can|to|does)\b", rf"\b(?i:{_DO})\b"),
)
_ASKED = tuple((re.compile(asks, re.I), re.compile(has)) for asks, has in _ASKS)
NEAR, TITLE, PASSAGE = 0.3, 0.5, 0.2  # what a word counts that stands not in the sentence but there


@dataclass(frozen=True, slots=True)
class Sentence:
    """``score`` is by words, ``found`` the passage's own, ``near`` the cosine to the question, where it is known."""

    text: str
    number: int
    place: int
    score: float
    title: str = ""
    found: float = 0.0
    near: float | None = None

    @property
    def rank(self) -> float:
        return self.score if self.near is None else self.score + MEANING * self.near + FOUND * self.found

    @property
    def certainty(self) -> float:
        """What decides whether it is an answer."""
        return self.score if self.near is None else self.near

    @property
    def is_answer(self) -> bool:
        return self.certainty >= (THRESHOLD if self.near is None else NEAREST)


class Quotes:
    kind: ClassVar[str] = "quotes"
    label: ClassVar[str] = "Quotes (sentences from documents, no language model)"

    async def stream(self, call: Call) -> AsyncIterator[Said]:
        question = text_of(call.messages[-1].parts)
        found = await embedded(question, candidates(question, call.evidence))
        by_meaning = any(sentence.near is not None for sentence in found)
        threshold = {"nearest": NEAREST} if by_meaning else {"threshold": THRESHOLD}
        yield Sent(parameters={"sentences": SENTENCES, **threshold})
        answer = ""
        for piece in answer_pieces(found, call.evidence, grounded=call.grounded):
            answer += piece
            yield Delta(piece)
        read = sum(len(e.text) for e in call.evidence) + len(question)
        yield Usage(input=-(-read // 4), output=-(-len(answer) // 4), estimated=True)
        yield Ended(finish_reason="stop", model=self.kind)

    async def models(self, address: Address) -> list[str]:
        return [self.kind]


def answer_pieces(found: Sequence[Sentence], evidence: Sequence[Evidence], *, grounded: bool = False) -> list[str]:
    """The answer, a sentence a piece. ``grounded`` says that documents were searched, even when nothing was found."""
    if not evidence and not grounded:
        return [NO_EVIDENCE]
    best = chosen(found)
    if not best or not best[0].is_answer:
        return [NO_ANSWER]
    return [("" if place == 0 else " ") + f"{s.text} [{s.number}]" for place, s in enumerate(best)]


def candidates(question: str, evidence: Sequence[Evidence]) -> list[Sentence]:
    """The sentences that may answer, the best by words first; none when the question says nothing."""
    wanted = [stem(word) for word in _words(question) if word not in STOP]
    if not wanted:
        return []
    weights = _weights(wanted, evidence)
    scored = [s for passage in evidence for s in _scored(passage, question, weights)]
    return sorted(scored, key=lambda s: -s.score)[:CANDIDATES]


def in_context(sentence: Sentence) -> str:
    """What is embedded: a sentence under the title of its document."""
    return f"{sentence.title}: {sentence.text}" if sentence.title else sentence.text


async def embedded(question: str, found: Sequence[Sentence]) -> list[Sentence]:
    """The sentences with their nearness to the question; without, where the model host is away."""
    if not found:
        return []
    try:
        async with asyncio.timeout(WAIT):
            asked, *vectors = await link.aembed([question, *map(in_context, found)])
    except (link.HostUnavailable, TimeoutError):
        return list(found)
    return [replace(one, near=sum(map(mul, asked, vector))) for one, vector in zip(found, vectors, strict=True)]


def chosen(found: Sequence[Sentence]) -> list[Sentence]:
    """The best by rank, and those that come close to it and say something else."""
    kept: list[Sentence] = []
    for sentence in sorted(found, key=lambda s: -s.rank):
        same = any(_overlap(sentence.text, other.text) > 0.7 for other in kept)
        if len(kept) < SENTENCES and not same and (not kept or sentence.rank >= kept[0].rank * WITHIN):
            kept.append(sentence)
    return kept


def _weights(wanted: Sequence[str], evidence: Sequence[Evidence]) -> dict[str, float]:
    """What each word of the question weighs: rare over the passages is heavy."""
    holding = Counter(term for e in evidence for term in {stem(w) for w in _words(f"{e.where} {e.text}")})
    return {term: math.log(1 + (len(evidence) + 0.5) / (holding[term] + 0.5)) for term in set(wanted)}


def _scored(passage: Evidence, question: str, weights: dict[str, float]) -> list[Sentence]:
    """Every sentence with the share of the question's weight it covers, helped by what stands around it."""
    total = sum(weights.values())
    asked = set(_words(question))
    has = next((has for asks, has in _ASKED if asks.search(question)), None)
    texts = sentences(passage.text)
    terms = [{stem(word) for word in _words(text)} for text in texts]
    title, all_terms = {stem(word) for word in _words(f"{passage.title} {passage.where}")}, set().union(*terms)
    found = []
    for place, text in enumerate(texts):
        if len(text) < 20 or text.endswith(("?", ":")):
            continue
        around = set().union(*terms[max(0, place - 1) : place + 2])
        grades = ((terms[place], 1.0), (title, TITLE), (around, NEAR), (all_terms, PASSAGE))
        covered = sum(w * next((grade for where, grade in grades if term in where), 0) for term, w in weights.items())
        score = covered / total * (0.85 + 0.15 * passage.score)
        if has is not None:
            score *= 1.1 if has.search(_without(text, asked)) else 0.7
        found.append(Sentence(text, passage.number, place, score, passage.title, passage.score))
    return found


def _without(text: str, asked: set[str]) -> str:
    """A sentence less the question's words: its year is no answer to "what happened in 1815". An opening dash keeps
    a name that begins the sentence from counting as a mere capital."""
    kept = " ".join(word for word in text.split() if word.strip(".,;:()\"'’").lower() not in asked)
    return kept if text.split()[0].lower() in STOP else f"- {kept}"


def sentences(text: str) -> list[str]:
    """Sentences of prose and of lists; headings and code are left out."""
    text = re.sub(r" ?\[\d{1,3}\]", "", text)  # numbers of notes would pass for our citations
    prose = re.sub(r"```.*?```|^#{1,6} .*$|^\s*\|.*$", "\n\n", text, flags=re.S | re.M)
    pieces = (re.sub(r"^\s*(?:[-*+]|\d+\.)\s+", "", " ".join(piece.split())) for piece in _SENTENCE.split(prose))
    return [piece for piece in pieces if piece]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    return str(_stemmer.stemWord(word))


def _words(text: str) -> list[str]:
    return [word.strip("'’-") for word in _WORD.findall(text.lower())]


def _overlap(a: str, b: str) -> float:
    left, right = set(_words(a)), set(_words(b))
    return len(left & right) / max(1, min(len(left), len(right)))


_stemmer = snowballstemmer.stemmer("english")
