"""From a question to passages of the web: an engine names pages, they are read side by side, and their passages ranked.

An engine or a page that fails costs nothing but a line in the trace. All of it stands under one deadline: engines have
the first half of it, pages the next quarter and ranking the rest, and what has not come in its part is left out.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import connection

from retrieval import lexical, search, spaces
from retrieval.chunks import indexed
from retrieval.models import Chunk, Collection, Document
from retrieval.passages import Passage, evidence_of, read
from retrieval.presets import Preset
from retrieval.web import engines, pages
from retrieval.web.results import Result
from workspace.hosts import link
from workspace.types import Evidence

logger = logging.getLogger(__name__)

T = TypeVar("T")

PAGES = 4  # read for one question
RANKED = 32  # passages that are compared by meaning too

_readers = ThreadPoolExecutor(8, thread_name_prefix="web")


@dataclass(frozen=True, slots=True)
class Looked:
    """``searched`` tells what was asked and what came of it, for the manifest and the page that explains an answer."""

    evidence: tuple[Evidence, ...] = ()
    note: str = ""
    searched: tuple[dict[str, object], ...] = ()


async def look(question: str, *, person_id: str, preset: Preset) -> Looked:
    """What the web says to a question. Never raises for a network: the note says what went wrong."""
    began, whole = asyncio.get_running_loop().time(), settings.WEB_DEADLINE
    found, asked = await _fetching(engines.search, question, whole / 2)
    if not asked:
        return Looked(note="No search engine is set up; an admin adds one under Search engines")
    if not found:
        failed = next((str(one["failed"]) for one in asked if one["failed"]), "")
        return Looked(note=failed or "The web search found no page", searched=tuple(asked))
    collection = await _kept(pages.collection_of, person_id)
    documents, missed = await _read_all(found[:PAGES], collection, began + whole * 3 / 4)
    evidence: tuple[Evidence, ...] = ()
    try:
        async with asyncio.timeout_at(began + whole):
            evidence = await _ranked(question, collection, documents, preset) if documents else ()
    except TimeoutError:
        missed.append({"failed": "the pages were not ranked in time"})
    note = f"{len(missed)} of {len(found[:PAGES])} pages could not be read" if missed else ""
    return Looked(evidence, note, (*asked, *missed))


async def _read_all(
    found: Sequence[Result], collection: Collection, ends: float
) -> tuple[list[Document], list[dict[str, object]]]:
    """Every page that came in time, and of each other one why it did not."""
    left = max(0.0, ends - asyncio.get_running_loop().time())
    reading = {asyncio.ensure_future(_fetching(pages.page, one.url, collection, left)): one for one in found}
    await asyncio.wait(reading, timeout=left)
    documents: list[Document] = []
    missed: list[dict[str, object]] = []
    for task, one in reading.items():
        if not task.done():
            task.cancel()
            missed.append({"page": one.url, "failed": "it did not come in time"})
        elif error := task.exception():
            if not isinstance(error, pages.NotRead):
                logger.error("A page of the web could not be read.", exc_info=error)
            missed.append({"page": one.url, "failed": str(error) if isinstance(error, pages.NotRead) else "it broke"})
        else:
            documents.append(task.result())
    return documents, missed


async def _ranked(
    question: str, collection: Collection, documents: Sequence[Document], preset: Preset
) -> tuple[Evidence, ...]:
    """The passages that fit best: by words, and the best of those by meaning too, joined as those of documents are."""
    passages = await _kept(_passages, [document.pk for document in documents])
    words = (await _kept(lexical.bm25, question, [str(collection.pk)])).of(passages)
    best = [*words, *(id for id in passages if id not in words)][:RANKED]
    near = await _meaning(question, [passages[id] for id in best])
    meaning = {**dict.fromkeys(words, 0.0), **near} if near else {}  # what was not compared stays behind what was
    scores = search.join(words, meaning, alpha=preset.alpha) if words or meaning else {}
    evidence = await database_sync_to_async(evidence_of)(scores, preset.tokens, neighbours=preset.neighbours)
    read = {str(document.pk): document for document in documents}
    return tuple(
        replace(one, url=document.url, where=_where(document, one.where))
        for one in evidence
        if (document := read.get(one.document_id))
    )


async def _meaning(question: str, passages: Sequence[Passage]) -> dict[UUID, float]:
    """Cosines to the question; none while the model host starts, or when nothing is near."""
    texts = [indexed(one.title, one.heading, one.text) for one in passages]
    try:
        async with asyncio.timeout(settings.WEB_DEADLINE / 6):
            space = await _kept(spaces.current)
            asked, vectors = await asyncio.gather(
                spaces.question(space, question),
                spaces.aembed(space, [space.passage_prefix + text for text in texts]),
            )
    except (link.HostUnavailable, TimeoutError):
        return {}
    cosines = {one.id: _cosine(asked, vector) for one, vector in zip(passages, vectors, strict=True)}
    return search.near(cosines, ())


def _passages(documents: Sequence[UUID]) -> dict[UUID, Passage]:
    return {one.id: one for one in read(Chunk.objects.filter(document__in=documents))}


def _where(document: Document, where: str) -> str:
    site = document.url.split("/")[2]
    read = f"read {document.fetched:%-d %b %Y}" if document.fetched else ""
    return ", ".join(part for part in (where, site, read) if part)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    norm = math.hypot(*a) * math.hypot(*b)
    return sum(x * y for x, y in zip(a, b, strict=True)) / norm if norm else 0.0


async def _kept(work: Callable[..., T], *args: object) -> T:
    """What the database holds."""
    return await database_sync_to_async(work, thread_sensitive=False)(*args)


async def _fetching(work: Callable[..., T], *args: object) -> T:
    """In a pool of its own: a slow site must not hold the threads that everybody's database work runs in."""
    return await asyncio.get_running_loop().run_in_executor(_readers, _closing(work), *args)


def _closing(work: Callable[..., T]) -> Callable[..., T]:
    def done(*args: object) -> T:
        try:
            return work(*args)
        finally:
            connection.close()

    return done
