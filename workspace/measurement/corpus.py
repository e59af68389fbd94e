"""A file of texts becomes a collection that a suite asks about: JSON Lines with ``id``, ``title`` and ``text``.

It is searched for its suite alone, never for a chat. Words can be searched at once; meaning follows in the background.
"""

from __future__ import annotations

import json
from functools import partial
from uuid import UUID

from django.db import transaction

from retrieval import ingest, tasks
from retrieval.claims import FINAL
from retrieval.models import Collection, Document
from workspace.accounts.models import Person
from workspace.measurement.importing import NotTaken
from workspace.types import sha256

MOST_TEXTS = 100_000


def add(person: Person, name: str, data: bytes) -> Collection:
    """The collection of a file; the same file again is the same collection. Raises NotTaken."""
    whole = {"owner": person, "name": f"{name[:100]} {sha256(data)[:12]}", "kind": Collection.Kind.SUITE}
    if before := Collection.objects.filter(**whole).first():
        return before
    texts = _texts(name, data)
    with transaction.atomic():
        collection = Collection.objects.create(**whole)
        for id, (title, text) in texts.items():
            document = Document.objects.create(
                collection=collection, name=id, title=title, text=text, digest=sha256(text)
            )
            ingest.write_words(document)
        transaction.on_commit(partial(tasks.ingest_collection.delay, str(collection.pk)))
    return collection


def is_ready(collection_id: UUID) -> bool:
    """Whether all of it can be searched by meaning too."""
    unfinished = Document.objects.filter(collection=collection_id).exclude(state__in=FINAL)
    return not unfinished.exists()


def _texts(name: str, data: bytes) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError:
        raise NotTaken(f"{name} is not UTF-8 text. Save it as UTF-8.") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            id, title, text = str(row["id"])[:255], str(row.get("title") or ""), row["text"]
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise NotTaken(f"Line {number} of {name} is no text. Each is a JSON object with “id” and “text”.") from None
        if isinstance(text, str) and text.strip():
            found[id] = (title[:300] or id, text.replace("\x00", ""))
    if not found:
        raise NotTaken(f"{name} holds no text. Each line is a JSON object with “id” and “text”.")
    if len(found) > MOST_TEXTS:
        raise NotTaken(f"{name} holds {len(found):,} texts; {MOST_TEXTS:,} fit.")
    return found
