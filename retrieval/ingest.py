"""The story of one document: text, chunks and postings in one transaction, then vectors.

Idempotent: run again after a kill at any point it ends in the same rows and vectors. A document can be
searched by words as soon as the transaction is done, and by meaning once its vectors are stored.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction

from retrieval import files, lexical
from retrieval.chunks import cut, indexed
from retrieval.models import Chunk, Document, Posting
from retrieval.parsing.parsed import Unreadable
from retrieval.parsing.reading import read
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
    write_vectors(document)
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
    Chunk.objects.filter(document=document).delete()
    chunks, rows = [], list[Posting]()
    for position, piece in enumerate(cut(document.text)):
        chunk = Chunk(
            document=document,
            position=position,
            heading=piece.heading,
            text=piece.text,
            start=piece.start,
            end=piece.end,
            digest=sha256(piece.text),
        )
        rows += lexical.postings(chunk, document.collection_id, indexed(document.title, piece.heading, piece.text))
        chunks.append(chunk)
    Chunk.objects.bulk_create(chunks)
    Posting.objects.bulk_create(rows, batch_size=500)
    document.state = Document.State.LEXICAL
    document.failure = None
    document.save(update_fields=["state", "failure"])


def write_vectors(document: Document) -> None:
    """Embed every chunk and store it; vectors of chunks that are gone are removed."""
    collection = str(document.collection_id)
    link.delete(collection, document=str(document.pk))
    chunks = list(document.chunks.all())
    for start in range(0, len(chunks), BATCH):
        batch = chunks[start : start + BATCH]
        vectors = link.embed([indexed(document.title, c.heading, c.text) for c in batch])
        link.upsert(collection, document=str(document.pk), ids=[str(c.pk) for c in batch], vectors=vectors)
