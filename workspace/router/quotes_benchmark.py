"""``quotes`` measured: how many answers hold what people wrote down, against how many questions without one it refuses.

Every paragraph is a document; each question is searched for among all of them as in a chat, and read by the product's
own code. Each value of the one threshold gives a point of the curve; intervals by drawing questions again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from retrieval.benchmark import Searched
from retrieval.judged import Asked, Judged
from retrieval.measures import auroc
from retrieval.search import evidence_of
from workspace.providers import quotes
from workspace.providers.quotes import Sentence
from workspace.types import Evidence

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Tell = Callable[[str], None]
CONTEXT = 1_024  # tokens
REFUSED = tuple(share / 10 for share in range(10))  # points of the curve
AIM = 0.5
RESAMPLES = 1_000
SEED = 20_261_124


@dataclass(frozen=True, slots=True)
class Answer:
    """``certainty`` is what the threshold is held against, ``holds`` whether it holds the gold answer, and
    ``at_gold`` whether it cites the paragraph that the question was written on."""

    certainty: float
    holds: bool = False
    at_gold: bool = False


@dataclass(frozen=True, slots=True)
class Point:
    """At this threshold: the share of unanswerable questions refused, of answerable ones answered and holding the gold
    answer, and of those answered that cite the gold paragraph."""

    threshold: float
    refused: float
    answered: float
    holds: float
    at_gold: float


def measure(judged: Judged, embed: Embed, tell: Tell) -> dict[str, Any]:
    tell(f"{judged.name}: {len(judged.asked)} answerable, {len(judged.unanswerable)} unanswerable questions")
    searched = Searched(judged.name, judged.texts, embed)
    asked = [*judged.asked, *judged.unanswerable]
    evidence = [
        evidence_of(searched.by_each(one.question, vector)["joined"], CONTEXT)
        for one, vector in zip(asked, embed([one.question for one in asked]), strict=True)
    ]
    source = {str(id): name for id, name in searched.source.items()}
    found = [quotes.candidates(one.question, its) for one, its in zip(asked, evidence, strict=True)]
    ways = {"words and meaning": _near(asked, found, embed), "words alone": found}
    return {
        "set": judged.name,
        "answerable": len(judged.asked),
        "unanswerable": len(judged.unanswerable),
        "by": {way: _told(judged, evidence, sentences, source) for way, sentences in ways.items()},
    }


def _near(asked: Sequence[Asked], found: Sequence[list[Sentence]], embed: Embed) -> list[list[Sentence]]:
    texts = list(dict.fromkeys(quotes.in_context(one) for those in found for one in those))
    vectors = dict(zip(texts, embed(texts), strict=True))
    questions = embed([one.question for one in asked])
    return [
        [replace(one, near=float(question @ vectors[quotes.in_context(one)])) for one in those]
        for question, those in zip(questions, found, strict=True)
    ]


def _told(
    judged: Judged, evidence: Sequence[Sequence[Evidence]], found: Sequence[list[Sentence]], source: dict[str, str]
) -> dict[str, Any]:
    asked = [*judged.asked, *judged.unanswerable]
    answers = [_answer(*each, source) for each in zip(asked, evidence, found, strict=True)]
    good, bad = answers[: len(judged.asked)], answers[len(judged.asked) :]
    thresholds = [_threshold(bad, share) for share in REFUSED]
    low, high = _interval(good, bad)
    ours = quotes.THRESHOLD if any(one.near is None for those in found for one in those) else quotes.NEAREST
    return {
        "auroc": round(auroc([one.certainty for one in good], [one.certainty for one in bad]), 3),
        "curve": [asdict(point(good, bad, threshold)) for threshold in thresholds],
        "holds_at_half_refused": {**asdict(point(good, bad, _threshold(bad, AIM))), "low": low, "high": high},
        "as_shipped": asdict(point(good, bad, ours)),
    }


def _answer(asked: Asked, evidence: Sequence[Evidence], found: list[Sentence], source: dict[str, str]) -> Answer:
    best = quotes.chosen(found)
    if not best:
        return Answer(-1.0)
    text = _plain(" ".join(sentence.text for sentence in best))
    chunk = {passage.number: passage.chunk_id for passage in evidence}
    cited = {source[str(UUID(chunk[sentence.number]))] for sentence in best}
    return Answer(best[0].certainty, any(_plain(gold) in text for gold in asked.answers), bool(cited & {*asked.gains}))


def point(good: Sequence[Answer], bad: Sequence[Answer], threshold: float) -> Point:
    answered = [one for one in good if one.certainty >= threshold]
    share = [
        sum(one.certainty < threshold for one in bad) / len(bad),
        len(answered) / len(good),
        sum(one.holds for one in answered) / len(good),
        sum(one.at_gold for one in answered) / len(answered) if answered else 0.0,
    ]
    return Point(round(threshold, 4), *(round(one, 4) for one in share))


def _threshold(bad: Sequence[Answer], refused: float) -> float:
    """The least threshold that refuses at least this share of the unanswerable."""
    ranked = sorted(one.certainty for one in bad)
    at = -(-refused * len(ranked) // 1)
    return ranked[int(at) - 1] + 1e-9 if at >= 1 else -1.0


def _interval(good: Sequence[Answer], bad: Sequence[Answer]) -> tuple[float, float]:
    """The middle 95 % of the share that holds the answer where half of the unanswerable are refused."""
    chance = random.Random(SEED)
    drawn = []
    for _ in range(RESAMPLES):
        those, others = chance.choices(good, k=len(good)), chance.choices(bad, k=len(bad))
        drawn.append(point(those, others, _threshold(others, AIM)).holds)
    drawn.sort()
    return drawn[round(0.025 * RESAMPLES)], drawn[round(0.975 * RESAMPLES) - 1]


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).lower()
