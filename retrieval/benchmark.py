"""Search measured on judged questions, by the product's own code: chunks, postings, join and context as in a chat.

Dense scores are exact cosines over all chunks, where Chroma's are approximate. Beside ours stand the defaults of two
rivals, made again from what their settings say: characters, overlap, meaning alone, so many chunks.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from retrieval import ingest, lexical, measures
from retrieval.chunks import indexed
from retrieval.judged import Asked, Judged, Text
from retrieval.leaning import leaning
from retrieval.lexical import Words
from retrieval.models import Chunk, Collection, Document
from retrieval.passages import evidence_of
from retrieval.search import DEPTH, among, join, near, scaled
from workspace.types import sha256

Embed = Callable[[Sequence[str]], NDArray[np.float32]]
Tell = Callable[[str], None]
Scores = Mapping[UUID, float]
Rerank = Callable[[str, Scores], Scores]  # the best of a join, read again by whichever reranker is set
BUDGETS = (512, 1_024, 2_048)  # tokens of context
IN_CONTEXT = 1_500  # questions asked of whole articles, drawn once
SEED = 20_261_124


@dataclass(frozen=True, slots=True)
class Rival:
    """What a product does unless told: cut so many characters with so much overlap, take the nearest."""

    name: str
    characters: int
    overlap: int
    top: int


RIVALS = (Rival("Open WebUI's default", 1_000, 100, 3), Rival("AnythingLLM's default", 1_000, 20, 4))


class Searched:
    """A collection in this database with the vectors of its chunks beside it."""

    def __init__(self, name: str, texts: Sequence[Text], embed: Embed) -> None:
        collection = Collection.objects.create(name=name)
        self.id = str(collection.pk)
        for text in texts:
            document = Document.objects.create(
                collection=collection, title=text.title[:300], name=text.id, digest=sha256(text.text), text=text.text
            )
            ingest.write_words(document)
        rows = Chunk.objects.filter(document__collection=collection).select_related("document")
        chunks = list(rows.order_by("document__name", "position"))
        self.ids = [chunk.pk for chunk in chunks]
        self._place = {id: n for n, id in enumerate(self.ids)}
        self.source = {chunk.pk: chunk.document.name for chunk in chunks}
        alone = embed([indexed(c.document.title, c.heading, c.text) for c in chunks])
        each = [list(rows) for _, rows in groupby(range(len(chunks)), key=lambda n: chunks[n].document_id)]
        self._vectors = np.concatenate([leaning(alone[rows[0] : rows[-1] + 1], 0, len(rows)) for rows in each])

    def words(self, question: str) -> Words:
        return lexical.bm25(question, [self.id])

    def meaning(self, vector: NDArray[np.float32], also: Sequence[UUID] = ()) -> dict[UUID, float]:
        scores = self._vectors @ vector
        asked = {*np.argsort(-scores)[:DEPTH], *(self._place[id] for id in also)}
        return near({self.ids[n]: float(scores[n]) for n in asked}, also)

    def by_each(self, question: str, vector: NDArray[np.float32], rerank: Rerank | None = None) -> dict[str, Scores]:
        """The chunks' scores by words, by meaning, by both and, where there is a reranker, by it."""
        words = self.words(question)
        best = words.best(DEPTH)
        meaning = self.meaning(vector, list(best))
        by: dict[str, Scores] = {
            "words": join(best, {}),
            "meaning": scaled(self.meaning(vector)),
            "joined": join(among(words, best, meaning), meaning),
        }
        return {**by, "reranked": rerank(question, by["joined"])} if rerank else by


def rankings(judged: Judged, embed: Embed, tell: Tell, rerank: Rerank | None = None) -> dict[str, Any]:
    """Each text is a document: is the one that answers found, and how far up?"""
    tell(f"{judged.name}: {len(judged.texts):,} texts, {len(judged.asked):,} questions")
    searched = Searched(judged.name, judged.texts, embed)
    vectors = embed([one.question for one in judged.asked])
    told: dict[str, list[dict[str, float]]] = {}
    for one, vector in zip(judged.asked, vectors, strict=True):
        for method, scores in searched.by_each(one.question, vector, rerank).items():
            order = sorted(scores, key=lambda id: -scores[id])
            ranked = list(dict.fromkeys(searched.source[id] for id in order))
            told.setdefault(method, []).append(measures.of_ranking(ranked, one.gains))
    by = {method: _means(rows) for method, rows in told.items()}
    ndcg = {method: [row["ndcg@10"] for row in rows] for method, rows in told.items()}
    return {
        "set": judged.name,
        "texts": len(judged.texts),
        "questions": len(judged.asked),
        "by": by,
        "joined_over_words": asdict(measures.difference(ndcg["joined"], ndcg["words"])),
        "joined_over_meaning": asdict(measures.difference(ndcg["joined"], ndcg["meaning"])),
    }


def contexts(judged: Judged, embed: Embed, tell: Tell, rerank: Rerank | None = None) -> dict[str, Any]:
    """Whole articles, cut as they are at ingest: does the answer stand in what a model would be given?"""
    articles = _articles(judged.texts)
    asked = random.Random(SEED).sample(list(judged.asked), min(IN_CONTEXT, len(judged.asked)))
    tell(f"{judged.name}: {len(articles)} whole articles, {len(asked):,} questions")
    searched = Searched(f"{judged.name}, whole articles", articles, embed)
    vectors = embed([one.question for one in asked])
    held: dict[str, list[float]] = {}
    for one, vector in zip(asked, vectors, strict=True):
        for method, scores in searched.by_each(one.question, vector, rerank).items():
            for budget in BUDGETS:
                text = " ".join(passage.text for passage in evidence_of(scores, budget))
                held.setdefault(f"{method}, {budget:,} tokens", []).append(_holds(text, one))
    for rival in RIVALS:
        held[rival.name] = _rival(rival, articles, asked, vectors, embed)
    joined = held["joined, 1,024 tokens"]
    return {
        "set": judged.name,
        "questions": len(asked),
        "held": {name: asdict(measures.mean(values)) for name, values in held.items()},
        "joined_over": {rival.name: asdict(measures.difference(joined, held[rival.name])) for rival in RIVALS},
    }


def _rival(
    rival: Rival, articles: Sequence[Text], asked: Sequence[Asked], vectors: NDArray[np.float32], embed: Embed
) -> list[float]:
    step = rival.characters - rival.overlap
    pieces = [
        article.text[start : start + rival.characters]
        for article in articles
        for start in range(0, max(1, len(article.text) - rival.overlap), step)
    ]
    scores = vectors @ embed(pieces).T
    best = np.argsort(-scores, axis=1)[:, : rival.top]
    return [_holds(" ".join(pieces[n] for n in row), one) for row, one in zip(best, asked, strict=True)]


def _articles(texts: Sequence[Text]) -> list[Text]:
    return [
        Text(title, title, "\n\n".join(text.text for text in those))
        for title, those in groupby(texts, key=lambda text: text.title)
    ]


def _holds(context: str, asked: Asked) -> float:
    plain = _plain(context)
    return float(any(_plain(answer) in plain for answer in asked.answers))


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).lower()


def _means(rows: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    return {name: asdict(measures.mean([row[name] for row in rows])) for name in rows[0]}
