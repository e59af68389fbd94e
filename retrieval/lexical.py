"""Search by words: stemmed terms, postings written at ingest, BM25 over the postings of a question's terms.

Robertson and Zaragoza, *The Probabilistic Relevance Framework* (2009), with the idf that is never negative. Nothing is
rebuilt for a query: document frequencies are counted by the index of the terms asked for.
"""

from __future__ import annotations

import math
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from uuid import UUID

import snowballstemmer
from django.db.models import Avg, Count

from retrieval.models import Chunk, Posting

K1 = 1.2
B = 0.6
MOST_TERMS = 24  # of one question
LONGEST_TERM = 60

_SAYING_NOTHING = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it
its may me my no not of on or our should so some such than that the their them then there these they
this to was we were what when where which who whom whose why will with would you your
"""
STOP = frozenset(_SAYING_NOTHING.split())
_TERM = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()  # a stemmer holds the word it works on


def terms(text: str) -> list[str]:
    """The stemmed words of a text, in order; joined words count as their parts too."""
    found: list[str] = []
    for word in _TERM.findall(text.lower()):
        parts = re.split(r"['’.-]", word)
        for part in parts if len(parts) == 1 else [word, *parts]:
            if part and part not in STOP:
                found.append(_stem(part)[:LONGEST_TERM])
    return found


def postings(chunk: Chunk, collection_id: UUID, text: str) -> list[Posting]:
    """The rows of one chunk; its ``length`` is set."""
    counts = Counter(terms(text))
    chunk.length = sum(counts.values())
    return [Posting(collection_id=collection_id, chunk=chunk, term=term, count=n) for term, n in counts.items()]


def bm25(question: str, collections: Sequence[str]) -> dict[UUID, float]:
    """Every chunk that holds a word of the question, with its raw score, the best first."""
    wanted = list(dict.fromkeys(terms(question)))[:MOST_TERMS]
    if not wanted or not collections:
        return {}
    chunks = Chunk.objects.filter(document__collection__in=collections)
    size = chunks.aggregate(count=Count("id"), mean=Avg("length"))
    if not size["count"]:
        return {}
    rows = Posting.objects.filter(collection__in=collections, term__in=wanted)
    scores = _scores(rows.values_list("term", "chunk_id", "count", "chunk__length"), size["count"], size["mean"] or 1.0)
    return dict(sorted(scores.items(), key=lambda pair: -pair[1]))


def _scores(rows: Iterable[tuple[str, UUID, int, int]], total: int, mean: float) -> dict[UUID, float]:
    found = list(rows)
    holding = Counter(term for term, *_ in found)
    scores: dict[UUID, float] = defaultdict(float)
    for term, chunk_id, count, length in found:
        idf = math.log(1 + (total - holding[term] + 0.5) / (holding[term] + 0.5))
        scores[chunk_id] += idf * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
    return scores


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    with _stemming:
        return str(_stemmer.stemWord(word))
