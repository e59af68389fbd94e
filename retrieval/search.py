"""From a question to evidence: words and meaning searched side by side, joined, bounded by tokens.

The join is a convex combination of scores scaled to 0..1 (Bruch et al., *An Analysis of Fusion Functions*, 2023). While
the model host or the index host starts, words alone are searched, and the note says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from channels.db import database_sync_to_async

from retrieval import lexical
from retrieval.chunks import estimate
from retrieval.models import Chunk
from workspace.hosts import link
from workspace.types import Evidence, sha256

logger = logging.getLogger(__name__)

ALPHA = 0.5  # the share of meaning against words
DEPTH = 50  # candidates of each side
LEAST = 0.15  # of the best score: what fits less is noise to a reader and to a model
NEAR = 0.2  # the least cosine that says anything: below it two texts have nothing to do with each other
SAME = 0.8  # share of common words from which two passages are the same
WAIT = 1.5  # seconds the dense side may take before words alone answer


@dataclass(frozen=True, slots=True)
class Found:
    evidence: tuple[Evidence, ...]
    note: str = ""


async def search(question: str, *, collections: Sequence[str], limit_tokens: int = 1024) -> Found:
    """The passages that fit the question best, in the order of the reader's interest, numbered from 1."""
    words, (meaning, note) = await asyncio.gather(
        database_sync_to_async(lexical.bm25)(question, collections, limit=DEPTH), _dense(question, collections)
    )
    scores = join(words, meaning) if meaning else scaled(words)
    evidence = await database_sync_to_async(evidence_of)(scores, limit_tokens)
    return Found(evidence, note)


def join(words: Mapping[UUID, float], meaning: Mapping[UUID, float], *, alpha: float = ALPHA) -> dict[UUID, float]:
    """One score in 0..1 for every chunk that either side found."""
    a, b = scaled(meaning), scaled(words)
    return {id: alpha * a.get(id, 0.0) + (1 - alpha) * b.get(id, 0.0) for id in {*a, *b}}


def scaled(scores: Mapping[UUID, float]) -> dict[UUID, float]:
    """Scores divided by the best: 1 is the best of this search."""
    top = max(scores.values(), default=0.0)
    return {id: max(0.0, score / top) for id, score in scores.items()} if top > 0 else {}


async def _dense(question: str, collections: Sequence[str]) -> tuple[dict[UUID, float], str]:
    try:
        async with asyncio.timeout(WAIT):
            [vector] = await link.aembed([question])
            found = await asyncio.gather(*(link.aquery(str(c), vector, DEPTH) for c in collections))
    except (link.HostUnavailable, TimeoutError) as reason:
        logger.debug("Dense search is off: %s", reason)
        return {}, "Searched by words alone: the model host is not ready"
    return {UUID(id): score for one in found for id, score in one.items() if score >= NEAR}, ""


def evidence_of(scores: Mapping[UUID, float], limit_tokens: int) -> tuple[Evidence, ...]:
    order = sorted(scores, key=lambda id: -scores[id])
    chunks = {c.pk: c for c in Chunk.objects.filter(pk__in=order[: 2 * DEPTH]).select_related("document")}
    kept: list[Chunk] = []
    spent = 0
    for chunk in (chunks[id] for id in order if id in chunks and scores[id] >= LEAST):
        cost = estimate(chunk.text)
        if spent + cost <= limit_tokens and not any(_same(chunk, other) for other in kept):
            kept.append(chunk)
            spent += cost
    return tuple(_passage(number, chunk, scores[chunk.pk]) for number, chunk in enumerate(kept, start=1))


def _same(chunk: Chunk, other: Chunk) -> bool:
    if chunk.document_id == other.document_id and chunk.start < other.end and other.start < chunk.end:
        return True
    a, b = set(chunk.text.lower().split()), set(other.text.lower().split())
    return len(a & b) > SAME * min(len(a), len(b))


def _passage(number: int, chunk: Chunk, score: float) -> Evidence:
    return Evidence(
        number=number,
        chunk_id=str(chunk.pk),
        document_id=str(chunk.document_id),
        title=chunk.document.title,
        text=chunk.text,
        digest=sha256(chunk.text),
        score=round(min(1.0, score), 4),
        where=_below(chunk.document.title, chunk.heading),
        start=chunk.start,
        end=chunk.end,
    )


def _below(title: str, heading: str) -> str:
    """The path of headings without the title, which stands beside it."""
    return heading.removeprefix(title).removeprefix(" › ")
