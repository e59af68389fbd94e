"""From scores to evidence: what is too far, said twice or over the budget is left out; neighbours become one passage.

Passages stand by document, the best document first, and within a document in its own order: what is read together
was written together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Substr

from retrieval.chunks import estimate
from retrieval.models import Chunk, Document
from workspace.types import Evidence, sha256

MOST = 100  # passages that are looked at
LEAST = 0.15  # of the best score: what fits less is noise to a reader and to a model
SAME = 0.8  # share of common words from which two passages are the same

TOO_FAR = "too far from the best"
SAID = "said already"
NO_ROOM = "no room left"


@dataclass(frozen=True, slots=True)
class Chosen:
    """``chunks`` in the order of their scores; ``left_out`` says of each other one why."""

    chunks: tuple[Chunk, ...]
    left_out: Mapping[UUID, str]


def choose(scores: Mapping[UUID, float], tokens: int, *, neighbours: bool = True) -> Chosen:
    """The passages that are given, the best first, while they fit so many tokens."""
    order = sorted(scores, key=lambda id: -scores[id])[:MOST]
    chunks = {chunk.pk: chunk for chunk in slim(Chunk.objects.filter(pk__in=order))}
    kept: list[Chunk] = []
    left_out: dict[UUID, str] = {}
    for chunk in (chunks[id] for id in order if id in chunks):
        if scores[chunk.pk] < LEAST:
            left_out[chunk.pk] = TOO_FAR
            continue
        new = _new(chunk, kept) if neighbours else chunk.text
        if not new:
            left_out[chunk.pk] = SAID
        elif (cost := estimate(new)) > tokens:
            left_out[chunk.pk] = NO_ROOM
        elif any(_same(chunk, other, neighbours=neighbours) for other in kept):
            left_out[chunk.pk] = SAID
        else:
            kept.append(chunk)
            tokens -= cost
    return Chosen(tuple(kept), left_out)


def evidence_of(scores: Mapping[UUID, float], tokens: int, *, neighbours: bool = True) -> tuple[Evidence, ...]:
    """The passages that are given, numbered from 1."""
    return told(choose(scores, tokens, neighbours=neighbours).chunks, scores, neighbours=neighbours)


def told(chunks: Sequence[Chunk], scores: Mapping[UUID, float], *, neighbours: bool = True) -> tuple[Evidence, ...]:
    documents = list(dict.fromkeys(chunk.document_id for chunk in chunks))  # by their best passage
    ordered = sorted(chunks, key=lambda chunk: (documents.index(chunk.document_id), chunk.start))
    runs = list(_runs(ordered)) if neighbours else [[chunk] for chunk in ordered]
    best = [max(run, key=lambda chunk: scores[chunk.pk]) for run in runs]
    pages = _pages_of({chunk.document_id for chunk in best if not _below(chunk.document.title, chunk.heading)})
    return tuple(
        _passage(number, run, chunk, scores[chunk.pk], pages)
        for number, (run, chunk) in enumerate(zip(runs, best, strict=True), start=1)
    )


def slim(chunks: QuerySet[Chunk]) -> QuerySet[Chunk]:
    """Chunks with what a passage is made of alone: what stands in a document's row behind its text is read past all of
    that."""
    kept = ("document", "position", "heading", "text", "start", "end", "document__title")
    return chunks.select_related("document").only(*kept)


def _runs(ordered: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Chunks that follow each other in one section of a document."""
    run: list[Chunk] = []
    for chunk in ordered:
        if run and not _follows(run[-1], chunk):
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def _follows(chunk: Chunk, later: Chunk) -> bool:
    same = chunk.document_id == later.document_id and chunk.heading == later.heading
    return same and (later.position == chunk.position + 1 or later.start <= chunk.end)


def _new(chunk: Chunk, kept: Sequence[Chunk]) -> str:
    """What a chunk says that those before it of its document do not."""
    start, end = chunk.start, chunk.end
    for other in kept:
        if other.document_id == chunk.document_id:
            start = max(start, other.end) if other.start <= start < other.end else start
            end = min(end, other.start) if other.start < end <= other.end else end
    return chunk.text[max(0, start - chunk.start) : max(0, end - chunk.start)].strip()


def _same(chunk: Chunk, other: Chunk, *, neighbours: bool) -> bool:
    if chunk.document_id == other.document_id and chunk.start < other.end and other.start < chunk.end:
        return not neighbours
    a, b = _words(chunk.text), _words(other.text)
    return len(a & b) > SAME * min(len(a), len(b)) and _numbers(a) == _numbers(b)


@lru_cache(maxsize=2 * MOST)
def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _numbers(words: frozenset[str]) -> set[str]:
    """Rows of a table and paragraphs of a law may differ in nothing else."""
    return {word.strip(".,;:()[]") for word in words if any(sign.isdigit() for sign in word)}


def _passage(
    number: int, run: Sequence[Chunk], best: Chunk, score: float, pages: Mapping[UUID, Sequence[int]]
) -> Evidence:
    start, end, text = run[0].start, run[-1].end, _text(run)
    title = best.document.title
    return Evidence(
        number=number,
        chunk_id=str(best.pk),
        document_id=str(best.document_id),
        title=title,
        text=text,
        digest=sha256(text),
        score=round(min(1.0, score), 4),
        where=_below(title, best.heading) or _pages(pages.get(best.document_id, ()), start, end),
        start=start,
        end=end,
    )


def _text(run: Sequence[Chunk]) -> str:
    """The document's own characters; where two neighbours leave some out between them, the document is asked."""
    text, end = run[0].text, run[0].end
    for chunk in run[1:]:
        if chunk.start > end:
            return _cut_out(run[0].document_id, run[0].start, run[-1].end)
        text += chunk.text[end - chunk.start :]
        end = max(end, chunk.end)
    return text


def _cut_out(document: UUID, start: int, end: int) -> str:
    rows = Document.objects.filter(pk=document).values_list(Substr("text", start + 1, end - start), flat=True)
    return str(rows.get())


def _pages_of(documents: Collection[UUID]) -> dict[UUID, Sequence[int]]:
    """Where the pages of documents begin."""
    return dict(Document.objects.filter(pk__in=documents).values_list("pk", "pages")) if documents else {}


def _pages(pages: Sequence[int], start: int, end: int) -> str:
    """The page or pages that a passage stands on, where its document has pages."""
    first, last = bisect_right(pages, start), bisect_right(pages, max(start, end - 1))
    if not first:
        return ""
    return f"page {first}" if first == last else f"pages {first} to {last}"


def _below(title: str, heading: str) -> str:
    """The path of headings without the title, which stands beside it."""
    return heading.removeprefix(title).removeprefix(" › ")
