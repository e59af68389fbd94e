"""The story of one document: text, chunks and postings in one transaction, then vectors.

Idempotent: run again after a kill at any point it ends in the same rows and vectors. A document can be
searched by words as soon as the transaction is done, and by meaning once its vectors are stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from django.conf import settings
from django.db import IntegrityError, transaction

from retrieval import files, lexical, presets, spaces
from retrieval.chunks import cut, indexed
from retrieval.leaning import REACH, leaning
from retrieval.models import Chunk, Document, Embedded, Posting
from retrieval.parsing.parsed import Unreadable
from retrieval.parsing.reading import read
from retrieval.spaces import Space
from workspace import egress
from workspace.hosts import link
from workspace.types import sha256

BATCH = 8  # texts embedded at once: a question waits for one batch at most


def ingest(document: Document) -> None:
    """Bring a document to READY. Raises HostUnavailable when the hosts don't answer; words are searchable even so."""
    if document.state not in (Document.State.LEXICAL, Document.State.READY):
        if not document.text:
            read_file(document)
        write_words(document)
    while not write_vectors(document):  # the model was changed meanwhile
        pass
    document.state = Document.State.READY
    document.save(update_fields=["state"])


def fail(document: Document, error: Exception) -> None:
    """Keep why a document can't be read, for its row to show."""
    document.state = Document.State.FAILED
    if isinstance(error, Unreadable | egress.Refused):
        document.failure = {"code": "unreadable", "cause": error.cause, "action": error.action}
    else:
        document.failure = {
            "code": "ingest",
            "cause": f"{type(error).__name__}: {error}"[:300],
            "action": "Add the document again, or look at the server's log.",
        }
    document.save(update_fields=["state", "failure"])


def read_file(document: Document) -> None:
    """Text, pages and title out of the document's file. Raises Unreadable."""
    document.state = Document.State.RUNNING
    document.save(update_fields=["state"])
    name = fetch_file(document) if document.url else document.name
    parsed = read(files.path_of(document.digest).read_bytes(), name)
    document.text, document.pages = parsed.text, list(parsed.pages)
    document.title = (parsed.title or document.title)[:300]
    document.save(update_fields=["text", "pages", "title"])


def fetch_file(document: Document) -> str:
    """The page at the document's address becomes its file; its name. Raises egress.Refused."""
    fetched = egress.fetch(document.url, most=settings.MAX_DOCUMENT)
    before, document.digest = document.digest, files.keep(fetched.data)
    document.size = len(fetched.data)
    document.save(update_fields=["digest", "size"])
    if before and before != document.digest:
        files.drop(before)
    return fetched.name


@transaction.atomic
def write_words(document: Document) -> None:
    """Chunks and postings, the old ones gone."""
    Posting.objects.filter(document=document).delete()
    Chunk.objects.filter(document=document).delete()
    Embedded.objects.filter(document=document).delete()
    beside = spaces.building()
    size = presets.size(spaces.current(), *([beside] if beside else []))
    chunks = [
        Chunk(
            document=document,
            position=position,
            heading=piece.heading,
            text=piece.text,
            start=piece.start,
            end=piece.end,
            digest=sha256(piece.text),
        )
        for position, piece in enumerate(cut(document.text, size))
    ]
    said = [(chunk, indexed(document.title, chunk.heading, chunk.text)) for chunk in chunks]
    rows = lexical.postings(document, said)
    Chunk.objects.bulk_create(chunks, batch_size=500)
    Posting.objects.bulk_create(rows, batch_size=500)
    document.state = Document.State.LEXICAL
    document.failure = None
    document.passages, document.terms = len(chunks), sum(chunk.length for chunk in chunks)
    document.embedded = 0
    document.save(update_fields=["state", "failure", "passages", "terms", "embedded"])


def write_vectors(document: Document) -> bool:
    """Embed every chunk and store it; vectors of chunks that are gone are removed. After a kill it goes on where the
    last batch was stored. False when another model is searched by now: then all is to be done again."""
    space = spaces.current()
    if not document.embedded:
        link.delete(space.index(document.collection_id), document=str(document.pk))
    for done in _stored(document, space, begin=document.embedded):
        document.embedded = done
        document.save(update_fields=["embedded"])
    if spaces.current().id == space.id:
        return True
    document.embedded = 0
    return False


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
    chunks = list(document.chunks.only("heading", "text").order_by("position"))
    texts = [indexed(document.title, c.heading, c.text, window=space.window) for c in chunks]
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
