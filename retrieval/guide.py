"""The bundled guide as a collection that everybody sees: what a workspace answers from in its first minute."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from django.conf import settings
from django.db import transaction

from retrieval import ingest, tasks
from retrieval.models import Collection, Document
from workspace.types import sha256

FOLDER = Path(__file__).parent / "guide"
NAME = "Onepane guide"


@transaction.atomic
def ensure() -> list[Document]:
    """One document for each page, as the pages are now. The changed ones are returned, and queued on commit.

    The embedded worker, which starts later, takes up what is unfinished by itself.
    """
    collection, _ = Collection.objects.get_or_create(built_in=True, defaults={"name": NAME})
    pages = {page.name: page.read_text(encoding="utf-8") for page in sorted(FOLDER.glob("*.md"))}
    collection.documents.exclude(name__in=pages).delete()
    known = {document.name: document for document in collection.documents.all()}
    changed = []
    for name, text in pages.items():
        digest = sha256(text)
        if name in known and known[name].digest == digest:
            continue
        fields = {"title": _title(text, name), "digest": digest, "text": text, "state": Document.State.QUEUED}
        document, _ = Document.objects.update_or_create(collection=collection, name=name, defaults=fields)
        changed.append(document)
        if settings.REDIS_URL:
            transaction.on_commit(partial(tasks.ingest_document.delay, str(document.pk)))
    return changed


def ingest_words() -> None:
    """Make every page searchable by words now: it takes milliseconds, and no host."""
    for document in Document.objects.filter(collection__built_in=True, state=Document.State.QUEUED):
        ingest.write_words(document)


def _title(text: str, name: str) -> str:
    first = text.lstrip().splitlines()[0]
    return first.removeprefix("# ").strip() if first.startswith("# ") else name.removesuffix(".md")
