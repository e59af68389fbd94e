"""Whether rows, vectors, postings and files say the same, and what to do where they do not.

A server that is killed between the database and the index leaves one ahead of the other. What is missing is made again;
what nobody knows any more is removed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
from django.conf import settings
from django.db.models import Count, F, Q

from retrieval import files, spaces
from retrieval.lexical import ENTRY
from retrieval.models import Chunk, Collection, Document, Posting
from workspace.hosts import link

SETTLED = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Difference:
    """``kind`` is one of missing vectors, stray vectors, stray collection, half renewal, missing postings, wrong count,
    missing file, stray file."""

    kind: str
    what: str
    count: int = 1
    collection: str = ""
    document: UUID | None = None
    ids: tuple[str, ...] = ()


def differences() -> Iterator[Difference]:
    """Everything that does not agree. Raises HostUnavailable."""
    yield from _vectors()
    yield from _postings()
    yield from _files()


def repair(difference: Difference) -> bool:
    """Mend one; False where a document must be read again, which the server does at its next start or at once."""
    match difference.kind:
        case "stray vectors":
            link.delete_ids(difference.collection, difference.ids)
        case "stray collection":
            link.drop(difference.collection)
        case "half renewal":
            link.settle(difference.collection)
        case "stray file":
            Path(difference.what).unlink(missing_ok=True)
        case "missing vectors":
            Document.objects.filter(pk__in=[difference.document]).update(state=Document.State.LEXICAL, embedded=0)
            return False
        case "missing postings" | "wrong count":
            Document.objects.filter(pk__in=[difference.document]).update(state=Document.State.QUEUED)
            return False
        case _:  # a file that is gone can't be made again: its text is still there and is searched
            return False
    return True


def _vectors() -> Iterator[Difference]:
    """The searched index against the rows; of an index that is being built only what nobody knows any more."""
    there = link.collections()  # first: what is made after this is in no list of what is there
    half = link.half_renewed()
    known = {str(one.pk): one for one in Collection.objects.all()}
    space, beside = spaces.current(), spaces.building()
    wanted = {one.index(id): known[id] for one in (space, beside) if one for id in known}
    for id in dict.fromkeys([*there, *half]):
        if id not in wanted:
            yield Difference("stray collection", f"collection {id} is in the index alone", collection=id)
        elif id in half:
            yield Difference("half renewal", wanted[id].name, collection=id)
    for id, collection in known.items():
        index = space.index(id)
        moved = index in half and index not in there  # its vectors are there, under another name
        yield from _of_collection(collection, index, look_for=not moved)
        if beside:
            yield from _of_collection(collection, beside.index(id), look_for=False)


def _of_collection(collection: Collection, index: str, *, look_for: bool) -> Iterator[Difference]:
    indexed = link.ids_of(index)
    rows = Chunk.objects.filter(document__collection=collection)
    wanted: dict[UUID, set[str]] = {}
    for chunk, document in rows.filter(document__state=Document.State.READY).values_list("pk", "document"):
        wanted.setdefault(document, set()).add(str(chunk))
    for document, chunks in wanted.items() if look_for else ():
        if lacking := chunks - indexed.keys():
            name = Document.objects.values_list("title", flat=True).get(pk=document)
            yield Difference("missing vectors", name, len(lacking), index, document)
    here = {str(pk) for pk in rows.values_list("pk", flat=True)}
    if stray := [one for one in indexed if one not in here]:
        yield Difference("stray vectors", collection.name, len(stray), index, ids=tuple(stray))


def _postings() -> Iterator[Difference]:
    """Documents whose postings hold fewer words than they have, or more: they can't be found by all of them."""
    for document in Document.objects.filter(terms__gt=0).defer("text", "pages").iterator(chunk_size=100):
        held = Posting.objects.filter(document=document).values_list("entries", flat=True)
        if sum(int(np.frombuffer(bytes(one), ENTRY)["count"].sum()) for one in held) != document.terms:
            yield Difference("missing postings", document.title, document.passages, document=document.pk)
    for document in Document.objects.annotate(counted=Count("chunks")).exclude(counted=F("passages")).defer("text"):
        yield Difference("wrong count", document.title, abs(document.counted - document.passages), document=document.pk)


def _files() -> Iterator[Difference]:
    for document in Document.objects.filter(size__gt=0).only("pk", "title", "digest"):
        if not files.path_of(document.digest).exists():
            yield Difference("missing file", document.title, document=document.pk)
    old = time.time() - SETTLED  # the row of a younger one may not be committed yet
    paths = [path for path in sorted(Path(settings.DOCUMENT_DIR).glob("*/*")) if path.stat().st_mtime < old]
    rows = Document.objects.filter(Q(size__gt=0) | ~Q(coming=""))
    digests = {digest for both in rows.values_list("digest", "coming") for digest in both}
    for path in paths:
        if path.parent.name + path.name not in digests:
            yield Difference("stray file", str(path))
