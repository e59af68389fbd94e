"""From a question to evidence: words and meaning searched side by side, joined, bounded by tokens.

The join is a convex combination of scores scaled to 0..1 (Bruch et al., *An Analysis of Fusion Functions*, 2023). What
either side finds is scored by both: a passage that one side put fifty-first is not worth nothing to it. Where there is
no vector yet, and while the model host or the index host starts, words alone say how well a passage fits.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar
from uuid import UUID

from channels.db import database_sync_to_async

from retrieval import lexical, presets, spaces
from retrieval.chunks import estimate, indexed
from retrieval.lexical import Words
from retrieval.models import Chunk, Document
from retrieval.passages import Passage, evidence_of, read, told
from retrieval.presets import Preset
from retrieval.reranking import Reranker, rerank
from retrieval.spaces import Space
from retrieval.states import states_of
from workspace.hosts import link
from workspace.types import Evidence

logger = logging.getLogger(__name__)

T = TypeVar("T")
Nearest = tuple[list[float], dict[str, float]]  # the question's vector, and cosines to it by chunks' ids

DEPTH = 50  # candidates of each side
NEAR = 0.2  # the least cosine that says anything: below it two texts have nothing to do with each other
WAIT = 1.5  # seconds each step of the dense side may take before words alone answer
RERANK_WAIT = 4.0  # seconds, after which the join's own order stands
NO_HOST = "Searched by words alone: the model host is not ready"


@dataclass(frozen=True, slots=True)
class Found:
    """``searched`` tells what was searched for, where that is not the question itself, and of the web which engine was
    asked, how many pages came, what failed; ``collections`` in which state each one was searched."""

    evidence: tuple[Evidence, ...]
    note: str = ""
    searched: tuple[Mapping[str, object], ...] = ()
    collections: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What each step of a search said of each passage. ``scores`` are those that choose."""

    words: Mapping[UUID, float]
    meaning: Mapping[UUID, float] | None
    joined: Mapping[UUID, float]
    reranked: Mapping[UUID, float] | None = None
    notes: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def scores(self) -> Mapping[UUID, float]:
        return self.joined if self.reranked is None else self.reranked


@dataclass(frozen=True, slots=True)
class _Begun:
    """What each side found by itself; ``nearest`` is ``None`` when a host does not answer in time."""

    question: str
    space: Space
    words: Words
    best: dict[UUID, float]
    nearest: Nearest | None
    clock: _Clock


async def search(
    question: str, *, collections: Sequence[str], documents: Sequence[str] = (), preset: Preset | None = None,
    limit_tokens: int | None = None,
) -> Found:  # fmt: skip
    """The passages that fit the question best, numbered from 1; of ``documents`` alone, where some are named."""
    preset = preset or await database_sync_to_async(presets.current)(collections)
    begun = await _begin(question, collections, documents)
    found, states = await asyncio.gather(_end(begun, preset), states_of(collections))
    tokens = preset.tokens if limit_tokens is None else limit_tokens
    evidence = await database_sync_to_async(evidence_of)(found.scores, tokens, neighbours=preset.neighbours)
    return Found(evidence, ". ".join(found.notes), collections=states)


async def attached(question: str, documents: Sequence[str], *, preset: Preset) -> Found:
    """What documents that lie beside a question say to it: all of them where they fit, else what fits best; and where
    nothing fits, as in "sum this up", how they begin."""
    passages, fits = await database_sync_to_async(_beginning)(documents, preset.tokens)
    if not fits:
        collections = await database_sync_to_async(_homes)(documents)
        found = await search(question, collections=collections, documents=documents, preset=preset)
        if found.evidence:
            return found
    evidence = await database_sync_to_async(told)(passages, {passage.id: 1.0 for passage in passages})
    return Found(evidence)


async def stages(question: str, *, collections: Sequence[str], preset: Preset, documents: Sequence[str] = ()) -> Stages:
    """One search, step by step."""
    return await _end(await _begin(question, collections, documents), preset)


async def _begin(question: str, collections: Sequence[str], documents: Sequence[str]) -> _Begun:
    """Words and what lies nearest, side by side."""
    clock = _Clock()
    space = await database_sync_to_async(spaces.current)()
    (words, best), nearest = await asyncio.gather(
        clock.of("words", database_sync_to_async(_by_words)(question, collections, documents)),
        _nearest(space, question, collections, documents, clock),
    )
    return _Begun(question, space, words, best, nearest, clock)


async def _end(begun: _Begun, preset: Preset) -> Stages:
    """Each side scores what the other found; then they are joined."""
    clock, best = begun.clock, begun.best
    meaning = await clock.of("meaning", _meaning(begun, begun.nearest)) if begun.nearest else None
    notes: tuple[str, ...] = () if meaning is not None else (NO_HOST,)
    words = among(begun.words, best, meaning or {})
    alpha = await _alphas(preset, words, meaning or {})
    joined = join(words, meaning or {}, alpha=alpha)
    again = None
    if preset.reranker and joined:
        again, note = await clock.of("reranker", reranked(preset.reranker, begun.question, joined))
        notes += (note,) if note else ()
    return Stages(words=words, meaning=meaning, joined=joined, reranked=again, notes=notes, seconds=clock.seconds)


def join(
    words: Mapping[UUID, float], meaning: Mapping[UUID, float], *, alpha: float | Mapping[UUID, float] = presets.ALPHA
) -> dict[UUID, float]:
    """One score in 0..1 for every chunk of ``meaning`` and the best of ``words``, which come first in it. ``alpha`` may
    be each chunk's own. What meaning did not score has no vector yet, so words alone say how well it fits: a document
    is found as well before its vectors are made as while the model host starts."""
    best = list(islice(words, DEPTH))
    top = words[best[0]] if best else 0.0
    if not meaning:
        return {id: words[id] / top for id in best}
    a = scaled(meaning)
    ids = {*a, *best}
    shares = dict.fromkeys(ids, alpha) if isinstance(alpha, float) else alpha
    by_words = {id: words.get(id, 0.0) / top if top else 0.0 for id in ids}
    return {id: shares[id] * a[id] + (1 - shares[id]) * by_words[id] if id in a else by_words[id] for id in ids}


def among(words: Words, best: Mapping[UUID, float], meaning: Mapping[UUID, float]) -> dict[UUID, float]:
    """What a join needs of the scores by words: the best, which come first, and those of what meaning found."""
    return {**best, **words.of(meaning)}


def scaled(scores: Mapping[UUID, float]) -> dict[UUID, float]:
    """Scores divided by the best: 1 is the best of this search."""
    top = max(scores.values(), default=0.0)
    return {id: max(0.0, score / top) for id, score in scores.items()} if top > 0 else {}


def near(cosines: Mapping[UUID, float], also: Collection[UUID]) -> dict[UUID, float]:
    """The cosines that count: of what is near, and of ``also``; none when nothing is near."""
    if max(cosines.values(), default=0.0) < NEAR:
        return {}
    return {id: score for id, score in cosines.items() if score >= NEAR or id in also}


def _by_words(question: str, collections: Sequence[str], documents: Sequence[str]) -> tuple[Words, dict[UUID, float]]:
    """The scores, and the best of them."""
    words = lexical.bm25(question, collections, documents)
    return words, words.best(DEPTH)


async def _nearest(
    space: Space, question: str, collections: Sequence[str], documents: Sequence[str], clock: _Clock
) -> Nearest | None:
    """The question's vector and what lies nearest to it, while words are searched; ``None`` when a host does not answer
    in time."""
    vector = await clock.of("question", _in_time(spaces.question(space, question)))
    if vector is None:
        return None
    asked = {space.index(collection): () for collection in collections}
    found = await clock.of("meaning", _in_time(link.aquery(asked, vector, DEPTH, documents=documents)))
    return None if found is None else (vector, found)


async def _meaning(begun: _Begun, nearest: Nearest) -> dict[UUID, float] | None:
    """The cosines that count, also of what words found and does not lie nearest."""
    vector, found = nearest
    further = begun.words.homes(id for id in begun.best if str(id) not in found)
    if further:
        asked = {begun.space.index(home): list(map(str, ids)) for home, ids in further.items()}
        others = await _in_time(link.aquery(asked, vector, 0))
        if others is None:
            return None
        found = {**found, **others}
    return near({UUID(id): score for id, score in found.items()}, begun.best)


async def _in_time(work: Awaitable[T]) -> T | None:
    try:
        async with asyncio.timeout(WAIT):
            return await work
    except (link.HostUnavailable, TimeoutError) as reason:
        logger.debug("Dense search is off: %s", reason)
        return None


async def _alphas(
    preset: Preset, words: Mapping[UUID, float], meaning: Mapping[UUID, float]
) -> float | Mapping[UUID, float]:
    """The share of meaning: one for all, unless a collection was tuned."""
    if not preset.alphas:
        return preset.alpha
    ids = {*meaning, *words}

    def look() -> dict[UUID, float]:
        rows = Chunk.objects.filter(pk__in=ids).values_list("pk", "document__collection")
        return {id: preset.alphas.get(str(collection), preset.alpha) for id, collection in rows}

    known = await database_sync_to_async(look)()
    return {id: known.get(id, preset.alpha) for id in ids}


async def reranked(
    reranker: Reranker, question: str, joined: Mapping[UUID, float]
) -> tuple[dict[UUID, float] | None, str]:
    """The best of the join, read again; nothing, with the reason, when the reranker does not answer."""
    ids = sorted(joined, key=lambda id: -joined[id])[: reranker.depth]
    texts = await database_sync_to_async(_texts)(ids)
    kept = [id for id in ids if id in texts]
    try:
        async with asyncio.timeout(RERANK_WAIT):
            scores = await rerank(reranker, question, [texts[id] for id in kept])
    except (link.HostUnavailable, TimeoutError) as reason:
        logger.warning("Passages are not reranked: %s", reason or "it took too long")
        return None, "Not reranked: the reranker did not answer"
    return scaled(dict(zip(kept, scores, strict=True))), ""


def _texts(ids: Sequence[UUID]) -> dict[UUID, str]:
    return {one.id: indexed(one.title, one.heading, one.text) for one in read(Chunk.objects.filter(pk__in=ids))}


def _beginning(documents: Sequence[str], tokens: int) -> tuple[list[Passage], bool]:
    """As many of their passages as fit, and whether that is all: of a book no more is read."""
    kept: list[Passage] = []
    chunks = Chunk.objects.filter(document__in=documents).order_by("document", "position")
    for passage in read(chunks, at_once=50):
        tokens -= estimate(passage.text)
        if tokens < 0:
            return kept, False
        kept.append(passage)
    return kept, True


def _homes(documents: Sequence[str]) -> list[str]:
    return [
        str(one) for one in Document.objects.filter(pk__in=documents).values_list("collection", flat=True).distinct()
    ]


class _Clock:
    """Seconds of each step; steps side by side each have their own."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    async def of(self, name: str, work: Awaitable[T]) -> T:
        self.seconds.setdefault(name, 0.0)  # told in the order in which they begin, whichever ends first
        began = time.monotonic()
        try:
            return await work
        finally:
            self.seconds[name] += time.monotonic() - began
