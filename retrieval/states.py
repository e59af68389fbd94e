"""The state of a collection, numbered: so that an old answer says what was there to be found.

Looked at beside each search. Only a state that is new is written, by the one thread that writes for the live path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from channels.db import database_sync_to_async
from django.db import IntegrityError, transaction

from retrieval.models import Collection, CollectionState, Document
from workspace.types import canonical, sha256
from workspace.writes import writer

SEARCHABLE = (Document.State.LEXICAL, Document.State.READY)


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
        return _told(Collection.objects.get(pk=collection), 0, new[collection])
    return told.get(collection)


def _look(collections: Sequence[str]) -> tuple[dict[str, dict[str, Any]], dict[str, list[list[str]]]]:
    """Of each what is kept already, and the documents of those whose state is new."""
    rows = {str(one.pk): one for one in Collection.objects.filter(pk__in=collections)}
    held: dict[str, list[list[str]]] = defaultdict(list)
    documents = Document.objects.filter(collection__in=list(rows), state__in=SEARCHABLE).order_by("pk")
    for collection, document, digest in documents.values_list("collection_id", "pk", "digest"):
        held[str(collection)].append([str(document), digest])
    newest: dict[str, CollectionState] = {}
    for state in CollectionState.objects.filter(collection__in=list(rows)).defer("documents").order_by("number"):
        newest[str(state.collection_id)] = state
    told, new = {}, {}
    for key, row in rows.items():
        one = newest.get(key)
        if one is not None and one.digest == _digest(held[key]):
            told[key] = _told(row, one.number, held[key])
        else:
            new[key] = held[key]
    return told, new


def _begin(collection: str, documents: list[list[str]]) -> dict[str, Any]:
    """Another process may begin the same state at once; then theirs is it."""
    row = Collection.objects.get(pk=collection)
    while True:
        newest = CollectionState.objects.filter(collection=row).order_by("-number").first()
        if newest is not None and newest.digest == _digest(documents):
            return _told(row, newest.number, documents)
        number = newest.number + 1 if newest else 1
        try:
            with transaction.atomic():
                CollectionState.objects.create(
                    collection=row, number=number, documents=documents, digest=_digest(documents)
                )
        except IntegrityError:
            continue
        return _told(row, number, documents)


def _told(row: Collection, number: int, documents: list[list[str]]) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "name": row.name,
        "state": number,
        "documents": len(documents),
        "digest": _digest(documents),
    }


def _digest(documents: list[list[str]]) -> str:
    return sha256(canonical(documents))
