"""Another embedding model: its index is built beside the one that is searched, then both change places.

It goes on after a kill, document by document. What is added meanwhile is added to both; what is deleted, from both.
"""

from __future__ import annotations

import contextlib
import math
import time

from django.db import transaction
from django.db.models import F

from retrieval import ingest, spaces
from retrieval.chunks import ROOM, estimate
from retrieval.claims import Lost
from retrieval.models import Collection, Document, Embedded, EmbeddingModel, SearchSettings
from retrieval.spaces import BUILT_IN, Space
from workspace.hosts import link

State = EmbeddingModel.State
PAUSE = 1.0  # seconds until a document that a worker has is looked at again
READABLE = (Document.State.LEXICAL, Document.State.READY)


class NotFitting(Exception):
    """A model that can't read passages as they are cut; why, and what to do."""


def check(tokens: int, window: int) -> None:
    """A passage with its title must fit what a model reads at once: it cuts the rest without a word. Raises
    NotFitting."""
    if tokens + ROOM > window:
        raise NotFitting(
            f"Passages of {tokens} tokens and {ROOM} of title do not fit a model that reads {window}. "
            f"Take a model with a longer window, or passages of {max(0, window - ROOM)} tokens at most."
        )


def look_at(row: EmbeddingModel) -> None:
    """Ask the model for a vector, and set what it is: ``dimensions``, and on this machine the window it has at most.
    Raises HostUnavailable, and NotFitting."""
    if row.kind == EmbeddingModel.Kind.BUILT_IN:
        row.window = BUILT_IN.window
    elif row.kind == EmbeddingModel.Kind.LOCAL:
        row.window = min(row.window, link.embedding_model(row.model)["window"])
    settings = SearchSettings.objects.first() or SearchSettings()
    check(settings.chunk_tokens, row.window)
    row.dimensions = len(spaces.embed(spaces.space_of(row), ["Onepane"])[0])


def begin(row: EmbeddingModel) -> None:
    """Build the index of this model; one that was being built for another is given up."""
    with transaction.atomic():
        for other in EmbeddingModel.objects.select_for_update().filter(state=State.BUILDING).exclude(pk=row.pk):
            give_up(other)
        Embedded.objects.filter(model=row).delete()
        row.state, row.failure = State.BUILDING, ""
        row.save(update_fields=["state", "failure"])


def give_up(row: EmbeddingModel) -> None:
    EmbeddingModel.objects.filter(pk=row.pk).update(state=State.DRAFT)
    Embedded.objects.filter(model=row).delete()
    _drop_later(spaces.space_of(row))


def progress(row: EmbeddingModel) -> tuple[int, int]:
    """Documents whose vectors are there, of all."""
    return row.embedded.count(), Document.objects.filter(state__in=READABLE).count()


def build(model_id: int, *, seconds: float = math.inf) -> bool:
    """Embed what is not embedded yet, then switch; False when nothing is to be built, or the time is over. Raises
    HostUnavailable."""
    ends = time.monotonic() + seconds
    while row := EmbeddingModel.objects.filter(pk=model_id, state=State.BUILDING).first():
        space = spaces.space_of(row)
        done = Embedded.objects.filter(model=row).values("document")
        waiting = Document.objects.filter(state__in=READABLE).exclude(pk__in=done)
        for document in waiting.defer("text", "pages").iterator(chunk_size=100):
            if not EmbeddingModel.objects.filter(pk=model_id, state=State.BUILDING).exists():
                return False
            try:
                _write(document, space)
            except (Lost, ingest.NotDone):  # deleted, with a worker, or to be cut anew: it is looked at again
                time.sleep(PAUSE)
            if time.monotonic() > ends:
                return False
        if _switch(row):
            return True
    return False


def _write(document: Document, space: Space) -> None:
    """A document with a passage that is too long for the new model is cut anew, for both; where the present one does
    not answer, it is searched by words until the switch."""
    embedded = document.embedded
    longest = max((estimate(text) for text in document.chunks.values_list("text", flat=True)), default=0)
    if longest > space.window - 2:
        ingest.write_words(document)
    ingest.readable(document, space)
    if embedded and not document.embedded:
        with contextlib.suppress(link.HostUnavailable):
            ingest.ingest(document)
    ingest.write_beside(document, space)


@transaction.atomic
def _switch(row: EmbeddingModel) -> bool:
    """Search in the new index from now on; False when a document came meanwhile."""
    EmbeddingModel.objects.select_for_update().filter(pk=row.pk).first()
    done = Embedded.objects.filter(model=row).values("document")
    if Document.objects.filter(state__in=READABLE).exclude(pk__in=done).exists():
        return False
    before = spaces.current()
    EmbeddingModel.objects.filter(state=State.CURRENT).update(state=State.DRAFT)
    EmbeddingModel.objects.filter(pk=row.pk).update(state=State.CURRENT)
    Document.objects.filter(state__in=READABLE).update(embedded=F("passages"), state=Document.State.READY)
    Embedded.objects.filter(model=row).delete()
    _drop_later(before)
    return True


def _drop_later(space: Space) -> None:
    """The vectors of a model that is not searched any more."""
    from retrieval import tasks

    indexes = [space.index(pk) for pk in Collection.objects.values_list("pk", flat=True)]
    transaction.on_commit(lambda: [tasks.forget_index.delay(index) for index in indexes])
