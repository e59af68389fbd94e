"""The state of a collection, numbered: so that an old answer says what was there to be found.

Looked at beside each search. Only a state that is new is written, by the one thread that writes for the live path.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import IntegrityError, transaction
from django.db.models import CharField, OuterRef, Subquery, Value
from django.db.models.functions import Cast, Concat

from retrieval.aggregates import InOneText
from retrieval.models import Collection, CollectionState, Document
from workspace.types import canonical, sha256
from workspace.writes import writer

KEPT = 1_000  # digests of collections that are remembered
_known: dict[str, tuple[str, int]] = {}  # digest and number of documents, by what was said of them


async def states_of(collections: Sequence[str]) -> tuple[Mapping[str, Any], ...]:
    """For each collection what a manifest keeps of it, in the order asked; one that is gone is left out."""
    told, new = await database_sync_to_async(_look)(collections)
    if new:
        told |= await writer.submit(lambda: {id: _begin(id, documents) for id, documents in new.items()})
    return tuple(told[one] for one in collections if one in told)


def now(collection: str) -> dict[str, Any] | None:
    """A collection's state as it is, told but not kept."""
    told, new = _look([collection])
    if collection in new:
        documents = new[collection]
        return _told(Collection.objects.get(pk=collection), 0, len(documents), _digest(documents))
    return told.get(collection)


def _look(collections: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, list[list[str]]]]:
    """Of each what is kept already, and the documents of those whose state is new."""
    if not collections:
        return {}, {}
    newest = CollectionState.objects.filter(collection=OuterRef("pk")).order_by("-number")
    rows = Collection.objects.filter(pk__in=collections).annotate(
        newest=Subquery(newest.values("number")[:1]), kept=Subquery(newest.values("digest")[:1])
    )
    told, new = {}, {}
    held = _held(collections)
    for row in rows:
        said = held.get(row.pk, "")
        digest, count = _digested(said)
        if row.kept == digest:
            told[str(row.pk)] = _told(row, row.newest, count, digest)
        else:
            new[str(row.pk)] = _documents(said)
    return told, new


def _held(collections: Sequence[str]) -> dict[UUID, str]:
    """Ids and digests of the documents of each that a search finds, whatever is being done to them. There may be many
    thousands, and most searches find what the last one did: the database makes one text of them."""
    documents = Document.objects.filter(collection__in=collections, passages__gt=0)
    each = Concat(Cast("pk", CharField()), Value(":"), "digest", output_field=CharField())
    return dict(documents.values_list("collection").annotate(said=InOneText(each)))


def _documents(said: str) -> list[list[str]]:
    """Id and digest of each, in order."""
    each = (one.split(":") for one in said.split())
    return sorted([str(UUID(id)), digest] for id, digest in each)


def _digested(said: str) -> tuple[str, int]:
    """The digest of what a collection holds, and how many documents that is; made once while nothing changes."""
    found = _known.get(key := sha256(said))
    if found is None:
        if len(_known) >= KEPT:
            _known.clear()
        documents = _documents(said)
        found = _known[key] = _digest(documents), len(documents)
    return found


def _begin(collection: str, documents: list[list[str]]) -> dict[str, Any]:
    """Another process may begin the same state at once; then theirs is it."""
    row, digest = Collection.objects.get(pk=collection), _digest(documents)
    while True:
        newest = CollectionState.objects.filter(collection=row).order_by("-number").first()
        if newest is not None and newest.digest == digest:
            return _told(row, newest.number, len(documents), digest)
        number = newest.number + 1 if newest else 1
        try:
            with transaction.atomic():
                CollectionState.objects.create(collection=row, number=number, documents=documents, digest=digest)
        except IntegrityError:
            continue
        return _told(row, number, len(documents), digest)


def _told(row: Collection, number: int, documents: int, digest: str) -> dict[str, Any]:
    return {"id": str(row.pk), "name": row.name, "state": number, "documents": documents, "digest": digest}


def _digest(documents: list[list[str]]) -> str:
    return sha256(canonical(documents))
