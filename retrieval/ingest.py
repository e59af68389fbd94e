"""The story of one document: text, chunks and postings in one transaction, then vectors.

Idempotent: run again after a kill at any point it ends in the same rows and vectors. A document can be
searched by words as soon as the transaction is done, and by meaning once its vectors are stored.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import PurePath
from uuid import UUID, uuid5

from django.conf import settings
from django.db import IntegrityError, transaction

from retrieval import files, lexical, presets, spaces
from retrieval.chunks import Cut, cut, halved, indexed
from retrieval.claims import Lost, keep, step
from retrieval.leaning import REACH, leaning
from retrieval.models import Chunk, Document, Embedded, Label, Posting
from retrieval.parsing.parsed import Unreadable
from retrieval.parsing.reading import read
from retrieval.spaces import Space
from workspace import egress
from workspace.hosts import link
from workspace.types import sha256

NO_VECTORS = "vectors"  # the code of a failure after which words are searched
PAGES = ("text/html", "application/xhtml+xml")  # media types
WEBPAGE = ".webpage"  # how a page of the web is named that is read for what it has to say
BATCH = 8  # texts embedded at once: a question waits for one batch at most
ROWS = 500  # of postings written at once
READ = 50  # passages read at once
# Seconds after them. A statement and a row give Python's lock up too briefly for the server's loop, which waits for it,
# to wake.
BREATH = 0.001


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file says, before any of it is kept."""

    text: str
    pages: list[int]
    title: str
    digest: str
    size: int


class NotDone(Exception):
    """Something is left to do: called again, it goes on where the last batch was stored."""


def ingest(document: Document, *, seconds: float = math.inf) -> None:
    """Bring a document to READY. Raises HostUnavailable when the hosts don't answer (words are searchable even so),
    NotDone when it has been embedded for so many seconds, and Lost."""
    if document.coming or document.state not in (Document.State.LEXICAL, Document.State.READY):
        read_words(document)
    if document.state == Document.State.FAILED:
        return
    while not write_vectors(document, seconds):  # the model was changed meanwhile
        pass
    if Document.objects.filter(pk=document.pk, state=Document.State.QUEUED).exists():  # meanwhile: it is cut anew
        raise NotDone
    told = document.failure or {}
    keep(document, state=Document.State.READY, failure=None if told.get("code") == NO_VECTORS else document.failure)


def read_words(document: Document) -> None:
    """Text and passages, new where a file is to be read. One that can't be read leaves what was read before. Raises
    Lost."""
    try:
        reading = read_file(document) if document.coming or not document.text else None
    except (Unreadable, egress.Refused) as error:
        fail(document, error)
    else:
        try:
            write_words(document, reading)
        except BaseException:
            if reading:
                files.drop(reading.digest)
            raise


def fail(document: Document, error: Exception) -> None:
    """Keep why a document can't be read, for its row to show; nothing where it is gone."""
    if isinstance(error, Unreadable | egress.Refused):
        failure = {"code": "unreadable", "cause": error.cause, "action": error.action}
    else:
        failure = {
            "code": "ingest",
            "cause": f"{type(error).__name__}: {error}"[:300],
            "action": "Add the document again, or look at the server's log.",
        }
    with contextlib.suppress(Lost, Document.DoesNotExist):
        document.refresh_from_db(fields=["state", "coming", "digest", "passages", "embedded"])  # as it was before
        keep(document, state=_state_without(document), failure=failure)
        _give_up(document)


def tell_no_vectors(id: UUID | str, error: Exception) -> None:
    """A document that is searched by words alone says why."""
    failure = {
        "code": NO_VECTORS,
        "cause": f"It has no vectors: {error}."[:300],
        "action": "It is searched by words alone. Look at the embedding model; then start the server again.",
    }
    Document.objects.filter(pk=id).update(failure=failure)


def _state_without(document: Document) -> Document.State:
    """Of a document whose new text can't be read."""
    if not document.passages:
        return Document.State.FAILED
    return Document.State.READY if document.embedded >= document.passages else Document.State.LEXICAL


@transaction.atomic
def _give_up(document: Document) -> None:
    """The file that was coming: where nothing was read before, it is the one that is kept, else the one before."""
    coming = document.coming
    if not _came(document) or document.url:
        return
    gone = coming
    if not document.passages:
        gone = document.digest
        keep(document, digest=coming, size=files.path_of(coming).stat().st_size)
    transaction.on_commit(partial(files.drop, gone))


def _came(document: Document) -> bool:
    """Whether what was coming is done with; another one that was added meanwhile is not."""
    coming, document.coming = document.coming, ""
    return bool(coming and Document.objects.filter(pk=document.pk, coming=coming).update(coming=""))


def read_file(document: Document) -> Reading:
    """What the document's file says, or the page at its address. Raises Unreadable, egress.Refused and Lost."""
    step(document, state=Document.State.RUNNING)
    if document.url:
        fetched = egress.fetch(document.url, most=settings.MAX_DOCUMENT)
        data, name = fetched.data, f"page{WEBPAGE}" if fetched.media_type in PAGES else fetched.name
    else:
        data, name = files.path_of(document.coming or document.digest).read_bytes(), document.name
    parsed = read(data, name)
    title = (parsed.title or (document.title if document.url else titled(name)))[:300]
    return Reading(parsed.text, list(parsed.pages), title, files.keep(data), len(data))


def titled(name: str) -> str:
    """Of a file that says no title."""
    return PurePath(name).stem[:300] or name


@transaction.atomic
def write_words(
    document: Document, reading: Reading | None = None, *, pieces: Sequence[Cut] | None = None
) -> None:  # fmt: skip
    """Chunks and postings, the old ones gone, and with a new reading the old text and file too; ``pieces`` where it was
    cut already. Raises Lost."""
    keep(document, failure=None)  # who deletes it meanwhile waits for the end of this
    if reading:
        _take(document, reading)
    Posting.objects.filter(document=document).delete()
    Chunk.objects.filter(document=document).delete()
    Embedded.objects.filter(document=document).delete()
    if pieces is None:
        beside = spaces.building()
        pieces = cut(document.text, presets.size(spaces.current(), *([beside] if beside else [])))
    chunks = [_chunk(document, position, piece) for position, piece in enumerate(pieces)]
    said = [(chunk, indexed(document.title, chunk.heading, chunk.text)) for chunk in chunks]
    rows = lexical.postings(document, said)
    Chunk.objects.bulk_create(chunks, batch_size=500)
    while some := list(islice(rows, ROWS)):
        Posting.objects.bulk_create(some)
        time.sleep(BREATH)
    keep(
        document, state=Document.State.LEXICAL, failure=None, embedded=0,
        passages=len(chunks), terms=sum(chunk.length for chunk in chunks),
    )  # fmt: skip


def _take(document: Document, reading: Reading) -> None:
    before, had = document.digest if document.size else "", document.text
    keep(
        document, text=reading.text, pages=reading.pages, title=reading.title, digest=reading.digest, size=reading.size
    )
    _came(document)
    if before and before != reading.digest:
        transaction.on_commit(partial(files.drop, before))
    if had and had != reading.text:
        Label.objects.filter(document=document).delete()  # they name places in the old text


def _chunk(document: Document, position: int, piece: Cut) -> Chunk:
    """Its id says what it is: cut again as it was it is the same passage, which a citation goes on to name."""
    digest = sha256(piece.text)
    return Chunk(
        id=uuid5(document.pk, f"{piece.start} {piece.end} {digest}"),
        document=document,
        position=position,
        heading=piece.heading,
        text=piece.text,
        start=piece.start,
        end=piece.end,
        digest=digest,
    )


def write_vectors(document: Document, seconds: float = math.inf) -> bool:
    """Embed every chunk and store it; vectors of chunks that are gone are removed. After a kill it goes on where the
    last batch was stored. False when another model is searched by now: then all is to be done again. Raises
    NotDone."""
    space = spaces.current()
    if not document.embedded:
        link.delete(space.index(document.collection_id), document=str(document.pk))
    ends = math.inf
    for done in _stored(document, space, begin=document.embedded):
        step(document, embedded=done)
        ends = min(ends, time.monotonic() + seconds)  # from the first batch on: each call stores some
        if time.monotonic() > ends:
            break
    if spaces.current().id != space.id:
        document.embedded = 0
        return False
    if document.embedded < document.passages:
        raise NotDone
    return True


def write_beside(document: Document, space: Space) -> None:
    """The vectors of a document in an index that is being built."""
    link.delete(space.index(document.collection_id), document=str(document.pk))
    for _ in _stored(document, space):
        pass
    try:
        Embedded.objects.get_or_create(model_id=space.id, document=document)
    except IntegrityError:  # it was deleted meanwhile, and so is what was just stored
        link.delete(space.index(document.collection_id), document=str(document.pk))


def _stored(document: Document, space: Space, *, begin: int = 0) -> Iterator[int]:
    """How many passages have their vectors, after each batch. While one batch is stored the next is embedded. A passage
    waits for those after it, on which its vector leans."""
    index = space.index(document.collection_id)
    chunks, texts = readable(document, space)
    begin = min(begin, document.embedded)  # none, where the passages are other ones by now
    first, done = max(0, begin - REACH), begin
    rows: list[list[float]] = []  # the vectors from ``first``, those alone that are still leant on
    for batch in _embedded(space, texts[first:]):
        rows += batch
        known = first + len(rows)
        ready = known if known == len(chunks) else known - REACH
        if ready <= done:
            continue
        ids = [str(chunk.pk) for chunk in chunks[done:ready]]
        vectors = leaning(rows, done - first, ready - first).tolist()
        link.upsert(index, document=str(document.pk), ids=ids, vectors=vectors)
        done = ready
        yield done
        past = max(0, done - REACH - first)
        rows, first = rows[past:], first + past


def readable(document: Document, space: Space) -> tuple[list[Chunk], list[str]]:
    """The passages, and what is embedded of each: all of which the model reads to the end. One that is too long for it
    is cut in two, or goes without its title where that alone is too much. Raises HostUnavailable and Lost."""
    while True:
        chunks = list(_passages(document))
        texts = [indexed(document.title, c.heading, c.text, window=space.window) for c in chunks]
        long = spaces.too_long(space, texts)
        alone = {long[n] for n in spaces.too_long(space, [chunks[n].text for n in long])}
        if not alone:
            break
        pieces = [Cut(c.text, c.heading, c.start, c.end) for c in chunks]
        shorter = [halved(piece) if n in alone else [piece] for n, piece in enumerate(pieces)]
        write_words(document, pieces=[piece for some in shorter for piece in some])
    for n in long:
        texts[n] = chunks[n].text
    return chunks, texts


def _passages(document: Document) -> Iterator[Chunk]:
    """In order, and with breaths between."""
    rows = document.chunks.only("heading", "text", "start", "end").order_by("position")
    for number, chunk in enumerate(rows.iterator(chunk_size=READ), start=1):
        yield chunk
        if number % READ == 0:
            time.sleep(BREATH)


def _embedded(space: Space, texts: Sequence[str]) -> Iterator[list[list[float]]]:
    """The vectors of texts, in batches; the model is given the next one before this one is used."""
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    coming: Future[list[list[float]]] | None = None
    with ThreadPoolExecutor(1, thread_name_prefix="vectors") as ahead:
        for batch in [*batches, None]:
            following = ahead.submit(spaces.embed, space, batch) if batch else None
            if coming:
                yield coming.result()
            coming = following
