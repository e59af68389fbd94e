"""Search by words: stemmed terms, postings written at ingest, BM25 over the postings of a question's terms.

Words are stemmed as English ones are. Scripts that put no space between words (Chinese, Japanese), and Korean, whose
particles hang on its words, are searched by each two signs that follow each other.

Robertson and Zaragoza, *The Probabilistic Relevance Framework* (2009), with the idf that is never negative. Nothing is
rebuilt for a query: a term's postings are packed, mostly one row for each document, and are read and scored all at
once.
"""

from __future__ import annotations

import re
import struct
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import snowballstemmer
from django.db.models import CharField, Sum
from django.db.models.functions import Cast
from numpy.typing import NDArray

from retrieval.aggregates import Hex, InOneText
from retrieval.models import Chunk, Document, Posting

K1 = 1.2
B = 0.6
MOST_TERMS = 24  # of one question
LONGEST_TERM = 60

# One passage in a posting: its id, its place in the document, how often the term stands in it, and its length in terms.
# ``tail`` is the end of the id, by which one is looked for among many.
ENTRY = np.dtype(
    {
        "names": ["id", "tail", "place", "count", "length"],
        "formats": ["V16", "<u2", "<u4", "<u2", "<u2"],
        "offsets": [0, 14, 16, 20, 22],
    }
)
_PACK = struct.Struct("<16sIHH").pack
_MOST = 0xFFFF
ROW = 80 * ENTRY.itemsize  # bytes of a row's entries: PostgreSQL's indexes hold no row of more than 2,700

_SAYING_NOTHING = """
a an and are as at be been but by can could did do does for from had has have how i if in into is it
its may me my no not of on or our should so some such than that the their them then there these they
this to was we were what when where which who whom whose why will with would you your
"""
STOP = frozenset(_SAYING_NOTHING.split())
_TERM = re.compile(r"[^\W_]+(?:['’.-][^\W_]+)*")
UNSPACED = (
    "\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_UNSPACED = re.compile(f"([{UNSPACED}]+)")
_stemmer = snowballstemmer.stemmer("english")
_stemming = threading.Lock()  # a stemmer holds the word it works on


class Words:
    """The score of every passage that holds a word of the question. There may be a hundred thousand, of which a few are
    looked at: so nothing is sorted or named that nobody asks for."""

    def __init__(
        self,
        entries: NDArray[np.void],
        places: NDArray[np.int64],
        scores: NDArray[np.float64],
        collections: Sequence[UUID],
        ends: NDArray[np.int64],
    ) -> None:
        """``places`` says of each entry where its passage stands in ``scores``; where none does, the score is 0. The
        entries up to each of ``ends``, from the one before it, are of the collection that stands at its place."""
        self._entries, self._places, self._scores = entries, places, scores
        self._collections, self._ends = collections, ends

    def __len__(self) -> int:
        return int(np.count_nonzero(self._scores))

    def best(self, count: int) -> dict[UUID, float]:
        """So many passages with their scores, the best first."""
        held = np.flatnonzero(self._scores)
        if len(held) > count:
            held = held[self._scores[held] >= np.partition(self._scores[held], -count)[-count]]
        order = held[np.argsort(-self._scores[held], kind="stable")][:count]
        wanted = np.zeros(len(self._scores), bool)
        wanted[order] = True
        some = np.flatnonzero(wanted[self._places])
        named = dict(zip(self._places[some].tolist(), self._named(some), strict=True))
        return {UUID(bytes=named[place]): float(self._scores[place]) for place in order.tolist()}

    def of(self, ids: Iterable[UUID]) -> dict[UUID, float]:
        """The scores of those of them that hold a word, the best first."""
        asked = {id.bytes: id for id in ids}
        some = self._like(asked)
        places = self._places[some]
        order = np.lexsort((places, -self._scores[places]))
        scores = self._scores[places[order]].tolist()
        return {asked[id]: score for id, score in zip(self._named(some[order]), scores, strict=True) if id in asked}

    def homes(self, ids: Iterable[UUID]) -> dict[str, list[UUID]]:
        """Those of them that hold a word, by the collection they lie in."""
        asked = {id.bytes: id for id in ids}
        some = self._like(asked)
        at = np.searchsorted(self._ends, some, side="right").tolist()
        places = {id: place for id, place in zip(self._named(some), at, strict=True) if id in asked}
        found: defaultdict[str, list[UUID]] = defaultdict(list)
        for id, place in places.items():
            found[str(self._collections[place])].append(asked[id])
        return dict(found)

    def _like(self, ids: Iterable[bytes]) -> NDArray[np.intp]:
        """The entries whose ids end as one of these does: few that are of others."""
        tails = np.zeros(1 << 16, bool)
        tails[np.frombuffer(b"".join(id[14:] for id in ids), "<u2")] = True
        return np.flatnonzero(tails[self._entries["tail"]])

    def _named(self, some: NDArray[np.intp]) -> list[bytes]:
        raw = self._entries["id"][some].tobytes()
        return [raw[start : start + 16] for start in range(0, len(raw), 16)]


NOTHING = Words(np.empty(0, ENTRY), np.empty(0, np.int64), np.empty(0), (), np.empty(0, np.int64))


def terms(text: str) -> list[str]:
    """The stemmed words of a text, in order; joined words count as their parts too."""
    found: list[str] = []
    for word in _TERM.findall(text.lower()):
        parts = re.split(r"['’.-]", word)
        for part in parts if len(parts) == 1 else [word, *parts]:
            if part.isascii() or not _UNSPACED.search(part):
                if part and part not in STOP:
                    found.append(_stem(part)[:LONGEST_TERM])
            elif part is not word or len(parts) == 1:  # the whole of joined words would say its signs twice
                found += _by_two(part)
    return found


def _by_two(word: str) -> Iterator[str]:
    """Every two signs in a row of a script without spaces, one that stands alone, and words between them."""
    for run in filter(None, _UNSPACED.split(word)):
        if not _UNSPACED.match(run):
            yield _stem(run)[:LONGEST_TERM]
        elif len(run) == 1:
            yield run
        else:
            yield from map("".join, pairwise(run))


def postings(document: Document, passages: Iterable[tuple[Chunk, str]]) -> Iterator[Posting]:
    """The rows of a document, of its chunks with the text each is searched by; the chunks' ``length`` is set at once.
    A book has many rows, so each is made when it is asked for."""
    packed: defaultdict[str, bytearray] = defaultdict(bytearray)
    for chunk, text in passages:
        counts = Counter(terms(text))
        chunk.length = sum(counts.values())
        for term, count in counts.items():
            packed[term] += _PACK(chunk.pk.bytes, chunk.position, min(count, _MOST), min(chunk.length, _MOST))
    collection = document.collection_id
    return (
        Posting(
            collection_id=collection, document_id=document.pk, term=term, entries=bytes(entries[start : start + ROW])
        )
        for term, entries in packed.items()
        for start in range(0, len(entries), ROW)
    )


def bm25(question: str, collections: Sequence[str], documents: Sequence[str] = ()) -> Words:
    """Every chunk that holds a word of the question, with its raw score; of ``documents`` alone, where some are
    named."""
    wanted = list(dict.fromkeys(terms(question)))[:MOST_TERMS]
    if not wanted or not collections:
        return NOTHING
    inside: dict[str, Any] = {"collection__in": collections}
    sizes = Document.objects.filter(**inside, **({"pk__in": documents} if documents else {}))
    size = sizes.aggregate(passages=Sum("passages"), terms=Sum("terms"))
    if not size["passages"]:
        return NOTHING
    held = Posting.objects.filter(term__in=wanted, **inside, **({"document__in": documents} if documents else {}))
    told = held.values_list("collection", "term").annotate(
        documents=InOneText(Cast("document_id", CharField())), packed=InOneText(Hex("entries"))
    )
    return _scored(list(told), size["passages"], (size["terms"] or 1) / size["passages"])


def _scored(told: Sequence[tuple[UUID, str, str, str]], total: int, mean: float) -> Words:
    """``told`` are the rows of each term in each collection: their documents, and their entries in hex."""
    if not told:
        return NOTHING
    collections, terms_, documents, packed = zip(*told, strict=True)
    hexes = " ".join(packed)
    found = np.frombuffer(bytes.fromhex(hexes), ENTRY)
    rows = hexes.split()
    sizes = np.fromiter(map(len, rows), np.int64, len(rows)) // (2 * ENTRY.itemsize)  # entries of each row
    ends = np.cumsum(sizes)
    document = _numbered(" ".join(documents).split())
    told_ends = ends[np.cumsum([text.count(" ") + 1 for text in packed]) - 1]
    each = np.diff(told_ends, prepend=0)  # entries of each term in each collection
    term = _numbered(terms_)
    holding = np.bincount(term, weights=each)
    idf = np.log(1 + (total - holding + 0.5) / (holding + 0.5))
    count, length = found["count"].astype(np.float64), found["length"]
    weights = np.repeat(idf[term], each) * count * (K1 + 1) / (count + K1 * (1 - B + B * length / mean))
    # Every passage of a document has a place of its own, whether or not it holds a word: that takes no sorting.
    room = np.zeros(document.max() + 1, np.int64)
    np.maximum.at(room, document, np.maximum.reduceat(found["place"], ends - sizes).astype(np.int64) + 1)
    places = np.repeat((np.cumsum(room) - room)[document], sizes) + found["place"]
    return Words(found, places, np.bincount(places, weights=weights).astype(np.float64), collections, told_ends)


def _numbered(values: Sequence[Any]) -> NDArray[np.int64]:
    """The same values as small numbers."""
    numbers = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return np.fromiter(map(numbers.__getitem__, values), np.int64, len(values))


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    with _stemming:
        return str(_stemmer.stemWord(word))
