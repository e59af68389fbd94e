"""The state of a collection, numbered: so that an old answer says what was there to be found.

Looked at beside each search. Only a state that is new is written, by the one thread that writes for the live path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.db import IntegrityError, transaction
from django.db.models import CharField, OuterRef, Subquery
from django.db.models.functions import Cast

from retrieval.models import Collection, CollectionState, Document
from workspace.types import canonical, sha256
from workspace.writes import writer

KEPT = 1_000  # digests of collections that are remembered
_digests: dict[str, str] = {}


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
        documents = held.get(str(row.pk), [])
        digest = _digest_of("".join(chain.from_iterable(documents)), documents)
        if row.kept == digest:
            told[str(row.pk)] = _told(row, row.newest, len(documents), digest)
        else:
            new[str(row.pk)] = _named(documents)
    return told, new


def _held(collections: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Ids and digests of the documents of each that a search finds, whatever is being done to them, in order. There may
    be many thousands: no UUID is made of a row that nobody looks at."""
    documents = Document.objects.filter(collection__in=collections, passages__gt=0)
    ids = (Cast(name, CharField()) for name in ("collection_id", "pk"))
    held: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for collection, document, digest in documents.values_list(*ids, "digest"):
        held[collection].append((document, digest))
    for those in held.values():
        those.sort()
    return {str(UUID(collection)): those for collection, those in held.items()}


def _digest_of(said: str, documents: Sequence[tuple[str, str]]) -> str:
    """Most searches find a collection as the last one did: then its digest is not made again."""
    digest = _digests.get(key := sha256(said))
    if digest is None:
        if len(_digests) >= KEPT:
            _digests.clear()
        digest = _digests[key] = _digest(_named(documents))
    return digest


def _named(documents: Sequence[tuple[str, str]]) -> list[list[str]]:
    return [[str(UUID(document)), digest] for document, digest in documents]


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
