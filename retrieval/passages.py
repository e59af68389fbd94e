"""From scores to evidence: what is too far, said twice or over the budget is left out; neighbours become one passage.

Passages stand by document, the best document first, and within a document in its own order: what is read together
was written together.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import starmap
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
class Passage:
    """What evidence is made of: a chunk, with the title of its document."""

    id: UUID
    document_id: UUID
    title: str
    position: int
    heading: str
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """``passages`` in the order of their scores; ``left_out`` says of each other one why."""

    passages: tuple[Passage, ...]
    left_out: Mapping[UUID, str]


def choose(scores: Mapping[UUID, float], tokens: int, *, neighbours: bool = True) -> Chosen:
    """The passages that are given, the best first, while they fit so many tokens."""
    order = sorted(scores, key=lambda id: -scores[id])[:MOST]
    passages = {passage.id: passage for passage in read(Chunk.objects.filter(pk__in=order))}
    kept: list[Passage] = []
    left_out: dict[UUID, str] = {}
    for passage in (passages[id] for id in order if id in passages):
        if scores[passage.id] < LEAST:
            left_out[passage.id] = TOO_FAR
            continue
        new = _new(passage, kept) if neighbours else passage.text
        if not new:
            left_out[passage.id] = SAID
        elif len(new.split()) > tokens or (cost := estimate(new)) > tokens:  # a word is one piece at least
            left_out[passage.id] = NO_ROOM
        elif any(_same(passage, other, neighbours=neighbours) for other in kept):
            left_out[passage.id] = SAID
        else:
            kept.append(passage)
            tokens -= cost
    return Chosen(tuple(kept), left_out)


def evidence_of(scores: Mapping[UUID, float], tokens: int, *, neighbours: bool = True) -> tuple[Evidence, ...]:
    """The passages that are given, numbered from 1."""
    return told(choose(scores, tokens, neighbours=neighbours).passages, scores, neighbours=neighbours)


def told(passages: Sequence[Passage], scores: Mapping[UUID, float], *, neighbours: bool = True) -> tuple[Evidence, ...]:
    documents = list(dict.fromkeys(passage.document_id for passage in passages))  # by their best passage
    ordered = sorted(passages, key=lambda passage: (documents.index(passage.document_id), passage.start))
    runs = list(_runs(ordered)) if neighbours else [[passage] for passage in ordered]
    best = [max(run, key=lambda passage: scores[passage.id]) for run in runs]
    pages = _pages_of({passage.document_id for passage in best if not _below(passage.title, passage.heading)})
    return tuple(
        _evidence(number, run, passage, scores[passage.id], pages)
        for number, (run, passage) in enumerate(zip(runs, best, strict=True), start=1)
    )


def read(chunks: QuerySet[Chunk], *, at_once: int | None = None) -> Iterator[Passage]:
    """Chunks as passages, so many of them at once where not all may be needed. No model of each is made, of which a
    search would make a hundred, and the text of their documents is not read."""
    rows = chunks.values_list("pk", "document", "document__title", "position", "heading", "text", "start", "end")
    return starmap(Passage, rows.iterator(chunk_size=at_once) if at_once else rows)


def _runs(ordered: Sequence[Passage]) -> Iterator[list[Passage]]:
    """Passages that follow each other in one section of a document."""
    run: list[Passage] = []
    for passage in ordered:
        if run and not _follows(run[-1], passage):
            yield run
            run = []
        run.append(passage)
    if run:
        yield run


def _follows(passage: Passage, later: Passage) -> bool:
    same = passage.document_id == later.document_id and passage.heading == later.heading
    return same and (later.position == passage.position + 1 or later.start <= passage.end)


def _new(passage: Passage, kept: Sequence[Passage]) -> str:
    """What a passage says that those before it of its document do not."""
    start, end = passage.start, passage.end
    for other in kept:
        if other.document_id == passage.document_id:
            start = max(start, other.end) if other.start <= start < other.end else start
            end = min(end, other.start) if other.start < end <= other.end else end
    return passage.text[max(0, start - passage.start) : max(0, end - passage.start)].strip()


def _same(passage: Passage, other: Passage, *, neighbours: bool) -> bool:
    if passage.document_id == other.document_id and passage.start < other.end and other.start < passage.end:
        return not neighbours
    a, b = _words(passage.text), _words(other.text)
    return len(a & b) > SAME * min(len(a), len(b)) and _numbers(a) == _numbers(b)


@lru_cache(maxsize=2 * MOST)
def _words(text: str) -> frozenset[str]:
    return frozenset(text.lower().split())


def _numbers(words: frozenset[str]) -> set[str]:
    """Rows of a table and paragraphs of a law may differ in nothing else."""
    return {word.strip(".,;:()[]") for word in words if any(sign.isdigit() for sign in word)}


def _evidence(
    number: int, run: Sequence[Passage], best: Passage, score: float, pages: Mapping[UUID, Sequence[int]]
) -> Evidence:
    start, end, text = run[0].start, run[-1].end, _text(run)
    title = best.title
    return Evidence(
        number=number,
        chunk_id=str(best.id),
        document_id=str(best.document_id),
        title=title,
        text=text,
        digest=sha256(text),
        score=round(min(1.0, score), 4),
        where=_below(title, best.heading) or _pages(pages.get(best.document_id, ()), start, end),
        start=start,
        end=end,
    )


def _text(run: Sequence[Passage]) -> str:
    """The document's own characters; where two neighbours leave some out between them, the document is asked."""
    text, end = run[0].text, run[0].end
    for passage in run[1:]:
        if passage.start > end:
            return _cut_out(run[0].document_id, run[0].start, run[-1].end)
        text += passage.text[end - passage.start :]
        end = max(end, passage.end)
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
