"""From a question to evidence: words and meaning searched side by side, joined, bounded by tokens.

The join is a convex combination of scores scaled to 0..1 (Bruch et al., *An Analysis of Fusion Functions*, 2023). What
either side finds is scored by both: a passage that one side put fifty-first is not worth nothing to it. While the model
host or the index host starts, words alone are searched, and the note says so.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from channels.db import database_sync_to_async

from retrieval import lexical
from retrieval.chunks import estimate
from retrieval.models import Chunk
from retrieval.states import states_of
from workspace.hosts import link
from workspace.types import Evidence, sha256

logger = logging.getLogger(__name__)

ALPHA = 0.6  # the share of meaning against words
DEPTH = 50  # candidates of each side
LEAST = 0.15  # of the best score: what fits less is noise to a reader and to a model
NEAR = 0.2  # the least cosine that says anything: below it two texts have nothing to do with each other
SAME = 0.8  # share of common words from which two passages are the same
WAIT = 1.5  # seconds the dense side may take before words alone answer


@dataclass(frozen=True, slots=True)
class Found:
    """``searched`` tells of the web: which engine was asked, how many pages came, what failed; ``collections`` in which
    state each one was searched."""

    evidence: tuple[Evidence, ...]
    note: str = ""
    searched: tuple[Mapping[str, object], ...] = ()
    collections: tuple[Mapping[str, object], ...] = ()


async def search(question: str, *, collections: Sequence[str], limit_tokens: int = 1024) -> Found:
    """The passages that fit the question best, in the order of the reader's interest, numbered from 1."""
    words, vector, states = await asyncio.gather(
        database_sync_to_async(lexical.bm25)(question, collections), _vector(question), states_of(collections)
    )
    meaning = await _dense(vector, collections, list(words)[:DEPTH]) if vector else None
    scores = join(words, meaning or {})
    note = "Searched by words alone: the model host is not ready" if meaning is None else ""
    evidence = await database_sync_to_async(evidence_of)(scores, limit_tokens)
    return Found(evidence, note, collections=states)


def join(words: Mapping[UUID, float], meaning: Mapping[UUID, float], *, alpha: float = ALPHA) -> dict[UUID, float]:
    """One score in 0..1 for every chunk of ``meaning`` and the best of ``words``, which come first in it. Without
    ``meaning``, words alone."""
    if not meaning:
        return scaled(dict(islice(words.items(), DEPTH)))
    a, b = scaled(meaning), scaled(words)
    return {id: alpha * a.get(id, 0.0) + (1 - alpha) * b.get(id, 0.0) for id in {*a, *islice(words, DEPTH)}}


def scaled(scores: Mapping[UUID, float]) -> dict[UUID, float]:
    """Scores divided by the best: 1 is the best of this search."""
    top = max(scores.values(), default=0.0)
    return {id: max(0.0, score / top) for id, score in scores.items()} if top > 0 else {}


def near(cosines: Mapping[UUID, float], also: Collection[UUID]) -> dict[UUID, float]:
    """The cosines that count: of what is near, and of ``also``; none when nothing is near."""
    if max(cosines.values(), default=0.0) < NEAR:
        return {}
    return {id: score for id, score in cosines.items() if score >= NEAR or id in also}


async def _vector(question: str) -> list[float] | None:
    try:
        async with asyncio.timeout(WAIT):
            [vector] = await link.aembed([question])
    except (link.HostUnavailable, TimeoutError) as reason:
        logger.debug("Dense search is off: %s", reason)
        return None
    return vector


async def _dense(vector: list[float], collections: Sequence[str], also: Sequence[UUID]) -> dict[UUID, float] | None:
    """``None`` when the index does not answer in time."""
    homes = await database_sync_to_async(_homes)(also)
    asked = [link.aquery(str(c), vector, DEPTH, also=homes.get(str(c), ())) for c in collections]
    try:
        async with asyncio.timeout(WAIT):
            found = await asyncio.gather(*asked)
    except (link.HostUnavailable, TimeoutError) as reason:
        logger.debug("Dense search is off: %s", reason)
        return None
    return near({UUID(id): score for one in found for id, score in one.items()}, set(also))


def _homes(ids: Sequence[UUID]) -> dict[str, list[str]]:
    """Chunks by the collection they lie in."""
    homes: dict[str, list[str]] = {}
    for id, collection in Chunk.objects.filter(pk__in=ids).values_list("pk", "document__collection"):
        homes.setdefault(str(collection), []).append(str(id))
    return homes


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
        where=_below(chunk.document.title, chunk.heading) or _page(chunk),
        start=chunk.start,
        end=chunk.end,
    )


def _page(chunk: Chunk) -> str:
    """The page that a passage begins on, where its document has pages."""
    page = bisect_right(chunk.document.pages, chunk.start)
    return f"page {page}" if page else ""


def _below(title: str, heading: str) -> str:
    """The path of headings without the title, which stands beside it."""
    return heading.removeprefix(title).removeprefix(" › ")
