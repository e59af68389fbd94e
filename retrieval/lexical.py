"""Search by words: stemmed terms, postings written at ingest, BM25 over the postings of a question's terms.

Robertson and Zaragoza, *The Probabilistic Relevance Framework* (2009), with the idf that is never negative. Nothing is
rebuilt for a query: a term's postings are one row for each document, packed, and are scored all at once.
"""

from __future__ import annotations

import re
import struct
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import numpy as np
import snowballstemmer
from django.db import connection
from django.db.models import QuerySet, Sum
from numpy.typing import NDArray

from retrieval.models import Chunk, Document, Posting

K1 = 1.2
B = 0.6
MOST_TERMS = 24  # of one question
LONGEST_TERM = 60

# One passage in a posting: its id, its place in the document, how often the term stands in it, and its length in terms.
ENTRY = np.dtype([("id", "V16"), ("place", "<u4"), ("count", "<u2"), ("length", "<u2")])
_PACK = struct.Struct("<16sIHH").pack
_MOST = 0xFFFF

_SAYING_NOTHING = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it
its may me my no not of on or our should so some such than that the their them then there these they
this to was we were what when where which who whom whose why will with would you your
"""
STOP = frozenset(_SAYING_NOTHING.split())
_TERM = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()  # a stemmer holds the word it works on


class Words(Mapping[UUID, float]):
    """Scores of passages, the best first. Ids are made as they are asked for: there may be tens of thousands."""

    def __init__(self, ids: NDArray[np.void], scores: NDArray[np.float64]) -> None:
        self._ids, self._scores = ids, scores

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[UUID]:
        return (UUID(bytes=id.tobytes()) for id in self._ids)

    def __getitem__(self, id: UUID) -> float:
        return self._known[id.bytes]

    def best(self, count: int) -> list[UUID]:
        return list(islice(self, count))

    @cached_property
    def _known(self) -> dict[bytes, float]:
        raw = self._ids.tobytes()
        return {raw[16 * n : 16 * n + 16]: score for n, score in enumerate(self._scores.tolist())}


NOTHING = Words(np.empty(0, "V16"), np.empty(0))


def terms(text: str) -> list[str]:
    """The stemmed words of a text, in order; joined words count as their parts too."""
    found: list[str] = []
    for word in _TERM.findall(text.lower()):
        parts = re.split(r"['’.-]", word)
        for part in parts if len(parts) == 1 else [word, *parts]:
            if part and part not in STOP:
                found.append(_stem(part)[:LONGEST_TERM])
    return found


def postings(document: Document, passages: Iterable[tuple[Chunk, str]]) -> list[Posting]:
    """The rows of a document, of its chunks with the text each is searched by; the chunks' ``length`` is set."""
    packed: dict[str, list[bytes]] = {}
    for chunk, text in passages:
        counts = Counter(terms(text))
        chunk.length = sum(counts.values())
        for term, count in counts.items():
            entry = _PACK(chunk.pk.bytes, chunk.position, min(count, _MOST), min(chunk.length, _MOST))
            packed.setdefault(term, []).append(entry)
    collection = document.collection_id
    return [
        Posting(collection_id=collection, document_id=document.pk, term=term, entries=b"".join(entries))
        for term, entries in packed.items()
    ]


def bm25(question: str, collections: Sequence[str], documents: Sequence[str] = ()) -> Words:
    """Every chunk that holds a word of the question, with its raw score, the best first; of ``documents`` alone, where
    some are named."""
    wanted = list(dict.fromkeys(terms(question)))[:MOST_TERMS]
    if not wanted or not collections:
        return NOTHING
    inside: dict[str, Any] = {"collection__in": collections}
    sizes = Document.objects.filter(**inside, **({"pk__in": documents} if documents else {}))
    size = sizes.aggregate(passages=Sum("passages"), terms=Sum("terms"))
    if not size["passages"]:
        return NOTHING
    rows = Posting.objects.filter(term__in=wanted, **inside, **({"document__in": documents} if documents else {}))
    return _scored(_raw(rows), size["passages"], (size["terms"] or 1) / size["passages"])


def _raw(rows: QuerySet[Posting]) -> list[tuple[Any, ...]]:
    """As the database gives them: making a UUID of each document costs more than scoring it."""
    sql, parameters = rows.values_list("term", "document_id", "entries").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


def _scored(rows: Sequence[tuple[Any, ...]], total: int, mean: float) -> Words:
    if not rows:
        return NOTHING
    blobs = [bytes(entries) for _, _, entries in rows]
    found = np.frombuffer(b"".join(blobs), ENTRY)
    each = [len(blob) // ENTRY.itemsize for blob in blobs]
    term = np.repeat(_numbered(row[0] for row in rows), each)
    passage = np.repeat(_numbered(row[1] for row in rows), each) << 32 | found["place"].astype(np.int64)
    holding = np.bincount(term)
    idf = np.log(1 + (total - holding + 0.5) / (holding + 0.5))
    count, length = found["count"].astype(np.float64), found["length"]
    weights = idf[term] * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
    _, first, inverse = np.unique(passage, return_index=True, return_inverse=True)
    scores = np.bincount(inverse, weights=weights).astype(np.float64)
    order = np.argsort(-scores, kind="stable")
    return Words(np.ascontiguousarray(found["id"][first][order]), scores[order])


def _numbered(values: Iterable[Any]) -> NDArray[np.int64]:
    """The same values as small numbers."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values], np.int64)


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    with _stemming:
        return str(_stemmer.stemWord(word))
