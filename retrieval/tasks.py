"""Background work on documents: a task is one call of a function that a test can call too."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from celery import shared_task
from celery.signals import worker_ready
from django.conf import settings
from django.core.cache import cache
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.signals import post_delete
from django.dispatch import receiver

from retrieval import claims, files, ingest, rebuild, selftest, spaces
from retrieval.models import Collection, Document, EmbeddingModel, Residue, SelfTest
from workspace.hosts import link

logger = logging.getLogger(__name__)

SLICE = 20.0  # seconds that a long task works before it stands in line again, behind what came meanwhile
NIL = str(UUID(int=0))  # before every document
TAKEN = 10  # seconds until a document that another worker has is looked at again
SETTLED = 60  # seconds after a deletion: an index is written anew once for many


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def ingest_document(self: Any, document_id: str) -> None:
    """A document whose host never answers stays searchable by words, and says so; the next start tries again."""
    try:
        _ingest(document_id)
    except claims.Taken:
        raise self.retry(countdown=TAKEN) from None  # whoever has it may be dead
    except link.HostUnavailable as away:
        if _may_come(self, away):
            raise self.retry(exc=away) from None
        _tell(document_id, away)


def _may_come(task: Any, away: link.HostUnavailable) -> bool:
    """Whether a host that does not answer is asked again."""
    is_last = not settings.LOCAL_MODELS or isinstance(away, link.Declined)
    return not is_last and task.request.retries < task.max_retries


def _tell(id: UUID | str, away: link.HostUnavailable) -> None:
    logger.warning("%s is searchable by words alone: %s.", id, away)
    if settings.LOCAL_MODELS:
        ingest.tell_no_vectors(id, away)


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def ingest_collection(self: Any, collection_id: str, after: str = NIL) -> None:
    """Give many documents, which have their words, their vectors: one task, so that others wait for no thousand."""
    waiting = Document.objects.filter(claims.UNFINISHED, collection_id=UUID(collection_id))
    if settings.LOCAL_MODELS and (last := _ingest_each(self, waiting, after)):
        ingest_collection.delay(collection_id, last)


def ingest_words(document: Document) -> None:
    """Make a document searchable by words in this process; a server gives it its vectors."""
    ingest.read_words(document)


def _ingest(id: UUID | str) -> None:
    """Read one document, whatever becomes of it. Raises HostUnavailable and Taken."""
    try:
        with claims.claimed(id) as document:
            if document:
                _ingest_claimed(document)
    except ingest.NotDone:
        ingest_document.delay(str(id))


def _ingest_claimed(document: Document) -> None:
    try:
        ingest.ingest(document, seconds=SLICE)
    except claims.Lost:
        _sweep(document)
    except (link.HostUnavailable, ingest.NotDone):
        raise
    except Exception as error:
        logger.exception("%s can't be read.", document.name)
        ingest.fail(document, error)


def _sweep(document: Document) -> None:
    """Vectors of a document that was deleted may have been stored after its others were removed."""
    if not Document.objects.filter(pk=document.pk).exists():
        _leave(document)


def _ingest_each(task: Any, waiting: QuerySet[Document], after: str) -> str:
    """One after the other; what another worker has is its, and a long one stands in line by itself. The last one, where
    the time was over before all were done."""
    ends = time.monotonic() + SLICE
    for id in list(waiting.filter(pk__gt=after).order_by("pk").values_list("pk", flat=True)):
        try:
            _ingest(id)
        except claims.Taken:
            pass
        except link.HostUnavailable as away:
            if _may_come(task, away):
                raise task.retry(exc=away) from None
            _tell(id, away)
        if time.monotonic() > ends:
            return str(id)
    return ""


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def forget_document(self: Any, collection_id: str, document_id: str) -> None:
    """Remove the vectors of a document that is gone. Until then search finds them and passes over them."""
    indexes = [space.index(collection_id) for space in _spaces()]
    try:
        for index in indexes:
            link.delete(index, document=document_id)
    except link.HostUnavailable as starting:
        if settings.LOCAL_MODELS:
            raise self.retry(exc=starting) from None
        return
    for index in indexes:
        renew_index.apply_async((index,), countdown=SETTLED)


@shared_task(bind=True, max_retries=300, default_retry_delay=10)
def renew_index(self: Any, index: str) -> None:
    """Take the vectors of deleted documents off the disk: the index is written anew, once for all that were deleted
    shortly after each other."""
    if not cache.add(key := f"renewing-{index}", True, link.RENEWING):
        raise self.retry()  # then nothing may be left to do: so no second worker stands in line
    try:
        _renew(self, index)
    finally:
        cache.delete(key)


def _renew(task: Any, index: str) -> None:
    residues = list(Residue.objects.filter(index=index))
    if not residues:
        return
    try:
        for document in {residue.document for residue in residues}:
            link.delete(index, document=str(document))
        link.renew(index)
    except link.HostUnavailable as starting:
        if settings.LOCAL_MODELS:
            raise task.retry(exc=starting) from None
        return
    Residue.objects.filter(pk__in=[residue.pk for residue in residues]).delete()


@shared_task(bind=True, max_retries=20, default_retry_delay=3)
def wipe(self: Any) -> None:
    """Take deleted text off the disk. SQLite overwrites what it deletes (``secure_delete``), but its log keeps older
    pages until it is emptied, which a reader may hold up. PostgreSQL frees the room at its own VACUUM."""
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            [busy, *_] = cursor.fetchone()
        if busy:
            raise self.retry()


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def forget_collection(self: Any, collection_id: str) -> None:
    """Remove all vectors of a collection that is gone."""
    try:
        for index in [space.index(collection_id) for space in _spaces()]:
            link.drop(index)
            Residue.objects.filter(index=index).delete()
    except link.HostUnavailable as starting:
        if settings.LOCAL_MODELS:
            raise self.retry(exc=starting) from None


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def forget_index(self: Any, index: str) -> None:
    """Remove the vectors that one model made of a collection."""
    try:
        link.drop(index)
        Residue.objects.filter(index=index).delete()
    except link.HostUnavailable as starting:
        if settings.LOCAL_MODELS:
            raise self.retry(exc=starting) from None


@shared_task(bind=True, max_retries=300, default_retry_delay=5)
def build_index(self: Any, model_id: int) -> None:
    """Embed everything with another model. One that never answers, or breaks, is told on its page, and tried at each
    start."""
    building = EmbeddingModel.objects.filter(pk=model_id, state=EmbeddingModel.State.BUILDING)
    try:
        rebuild.build(model_id, seconds=SLICE)
        if building.exists():
            build_index.delay(model_id)
    except link.HostUnavailable as away:
        building.update(failure=str(away)[:300])
        if self.request.retries < self.max_retries:
            raise self.retry(exc=away) from None
    except Exception as error:
        logger.exception("The index of model %s is not built.", model_id)
        building.update(failure=f"It broke off: {error}"[:300])


@shared_task(bind=True, max_retries=300, default_retry_delay=2)
def ingest_waiting(self: Any, after: str = NIL) -> None:
    """Every document that waits, one after the other: many that were cut anew hold up nobody's new one."""
    if last := _ingest_each(self, Document.objects.filter(claims.UNFINISHED), after):
        ingest_waiting.delay(last)


@shared_task
def self_test(test_id: int) -> None:
    """Ask a collection its questions."""
    _test(test_id, selftest.run)


@shared_task
def tune_collection(test_id: int) -> None:
    """Look for a collection's best share of meaning, and keep it where it is surely better."""
    _test(test_id, selftest.keep_tuned)


def _test(id: int, work: Callable[[SelfTest], None]) -> None:
    if test := SelfTest.objects.filter(pk=id, done=False).first():
        try:
            selftest.make(test.collection)
            work(test)
        except Exception as error:
            logger.exception("The self-test of %s broke off.", test.collection)
            SelfTest.objects.filter(pk=id).update(done=True, failure=f"It broke off: {error}"[:300])


def requeue_unfinished() -> int:
    """Queue again what a stopped server left: the queue lives in memory, the states do not."""
    waiting = list(Document.objects.filter(claims.UNFINISHED).values_list("pk", flat=True))
    for id in waiting:
        ingest_document.delay(str(id))
    if beside := spaces.building():
        build_index.delay(beside.id)
    for index in Residue.objects.values_list("index", flat=True).distinct():
        renew_index.delay(index)
    return len(waiting)


def _spaces() -> list[spaces.Space]:
    """Every index that a document's vectors may lie in."""
    beside = spaces.building()
    return [spaces.current(), *([beside] if beside else [])]


@receiver(post_delete, sender=Document)
def _forget(instance: Document, **kwargs: object) -> None:
    """The files too, unless another document has them. A document that failed before its first vector has none; of any
    other a worker may be storing some at this moment."""
    if instance.size:
        transaction.on_commit(partial(files.drop, instance.digest))
    if instance.coming and not instance.url:
        transaction.on_commit(partial(files.drop, instance.coming))
    if instance.state != Document.State.FAILED or instance.embedded or spaces.building():
        _leave(instance)
    transaction.on_commit(wipe.delay)


def _leave(document: Document) -> None:
    for space in _spaces():
        Residue.objects.create(index=space.index(document.collection_id), document=document.pk)
    transaction.on_commit(partial(forget_document.delay, str(document.collection_id), str(document.pk)))


@receiver(post_delete, sender=Collection)
def _forget_all(instance: Collection, **kwargs: object) -> None:
    transaction.on_commit(partial(forget_collection.delay, str(instance.pk)))


@worker_ready.connect
def _resume(**kwargs: object) -> None:
    """Without Redis no other process works on this data: what is claimed was claimed by one that is gone."""
    if not settings.REDIS_URL:
        claims.release_all()
    requeue_unfinished()
    for test in SelfTest.objects.filter(done=False):
        (tune_collection if test.settings.get("tunes") else self_test).delay(test.pk)
