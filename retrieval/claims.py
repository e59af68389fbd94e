"""One worker at a time has a document.

A task may come twice: the queue delivers it again, a start queues what is unfinished, a person asks again. Two that
read one document at once would each remove the other's passages and leave vectors of them behind. So a worker claims
the row until a time, which every step moves on. A claim of a worker that was killed runs out by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from retrieval.models import Document

LEASE = timedelta(minutes=10)  # longer than any step takes
FINAL = (Document.State.READY, Document.State.FAILED)
UNFINISHED = ~Q(state__in=FINAL) | ~Q(coming="")


class Taken(Exception):
    """Another worker has it."""


class Lost(Exception):
    """It was deleted meanwhile, or another worker has it by now: nothing of this one is kept."""


def goes_on(document: Document) -> bool:
    """Whether a worker is at the document, or will be without anybody's doing: a page that shows it looks again."""
    if document.state in FINAL:
        return bool(document.coming)
    if document.state != Document.State.LEXICAL or (document.claimed and document.claimed > timezone.now()):
        return True
    return settings.LOCAL_MODELS and not document.failure  # else its vectors come with another start, or never


@contextmanager
def claimed(id: UUID | str) -> Iterator[Document | None]:
    """The document, until the block ends; none where nothing is to be done to it. Raises Taken."""
    now = timezone.now()
    free = Q(claimed=None) | Q(claimed__lt=now)
    if not Document.objects.filter(UNFINISHED, free, pk=id).update(claimed=now + LEASE):
        if Document.objects.filter(UNFINISHED, pk=id).exists():
            raise Taken
        yield None
        return
    document = Document.objects.filter(pk=id).select_related("collection").first()
    try:
        yield document
    finally:
        if document:
            Document.objects.filter(pk=id, claimed=document.claimed).update(claimed=None)


def keep(document: Document, **fields: Any) -> None:
    """Write down what a step made. Raises Lost."""
    if not Document.objects.filter(pk=document.pk, claimed=document.claimed).update(**fields):
        raise Lost
    for name, value in fields.items():
        setattr(document, name, value)


def step(document: Document, **fields: Any) -> None:
    """The same before a step that takes time, and the claim lasts longer. In no transaction: one that is rolled back
    would leave a claim that the row does not know. Raises Lost."""
    keep(document, **fields, claimed=timezone.now() + LEASE if document.claimed else None)


def release_all() -> None:
    """Of a process that was the only one to work on this data, and is gone."""
    Document.objects.filter(claimed__isnull=False).update(claimed=None)
