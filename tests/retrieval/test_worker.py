"""The embedded worker: it takes up what waits, and ends when told."""

from __future__ import annotations

import threading

import pytest

from retrieval import ingest
from retrieval.models import Collection, Document
from workspace.celery import EmbeddedWorker


@pytest.mark.django_db(transaction=True)
def test_the_worker_takes_up_what_an_earlier_server_left(monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Collection.objects.create(name="Left")
    left = Document.objects.create(collection=collection, title="Left", name="left.md", text="Words.")
    done = threading.Event()
    seen: list[object] = []

    def take(document: Document, **_: object) -> None:
        seen.append(document.pk)
        done.set()

    monkeypatch.setattr(ingest, "ingest", take)
    worker = EmbeddedWorker()
    worker.start()
    try:
        assert done.wait(20)
        assert seen == [left.pk]
    finally:
        worker.stop(10)
    assert not any(thread.name == "celery" for thread in threading.enumerate())


def test_a_worker_that_never_started_stops() -> None:
    EmbeddedWorker().stop(1)
