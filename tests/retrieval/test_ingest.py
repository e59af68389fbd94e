"""Ingest, its task and the guide: the same rows however often and wherever it is cut off; and who may see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from celery.exceptions import Retry
from django.db import connection
from django.http import Http404
from django.utils import timezone

from retrieval import access, claims, guide, ingest, leaning, lexical, tasks
from retrieval.chunks import estimate
from retrieval.models import Chunk, Collection, Document, Posting, Residue, SearchSettings
from workspace.accounts.models import Person
from workspace.hosts import link

State = Document.State


class Index:
    """The hosts' side of the link, in memory; ``away`` makes them unavailable after so many calls."""

    def __init__(self) -> None:
        self.vectors: dict[str, str] = {}
        self.rows: dict[str, list[float]] = {}
        self.embedded = 0
        self.away: int | None = None

    def embed(self, texts: Sequence[str], *, model: str = link.EMBEDDING) -> list[list[float]]:
        if self.away is not None:
            if not self.away:
                raise link.HostUnavailable("the model host does not answer")
            self.away -= 1
        self.embedded += len(texts)
        return [[float(len(text) % 7), float(len(text) % 11), 1.0] for text in texts]

    def lengths(self, texts: Sequence[str], *, model: str = link.EMBEDDING) -> list[int]:
        return [estimate(text) + 2 for text in texts]

    def upsert(self, collection: str, *, document: str, ids: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
        self.vectors |= dict.fromkeys(ids, document)
        self.rows |= {id: [round(value, 5) for value in row] for id, row in zip(ids, vectors, strict=True)}

    def delete(self, collection: str, *, document: str) -> None:
        self.vectors = {id: of for id, of in self.vectors.items() if of != document}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index()
    for name in ("embed", "lengths", "upsert", "delete"):
        monkeypatch.setattr(link, name, getattr(made, name))
    return made


@pytest.fixture
def document(alice: Person) -> Document:
    text = "# Long\n\n" + "\n\n".join(f"Paragraph {n} tells of boat {n}. " * 12 for n in range(20))
    collection = Collection.objects.create(name="Notes", owner=alice)
    return Document.objects.create(collection=collection, title="Long", name="long.md", digest="0", text=text)


def test_a_document_becomes_ready_with_a_vector_for_each_chunk(document: Document, index: Index) -> None:
    ingest.ingest(document)
    document.refresh_from_db()
    chunks = list(document.chunks.all())
    assert document.state == State.READY
    assert len(chunks) > ingest.BATCH
    assert index.vectors.keys() == {str(chunk.pk) for chunk in chunks}
    entries = [np.frombuffer(bytes(p.entries), lexical.ENTRY) for p in Posting.objects.all()]
    assert sum(chunk.length for chunk in chunks) == sum(int(one["count"].sum()) for one in entries) == document.terms
    assert (document.passages, document.embedded) == (len(chunks), len(chunks))


def test_ingest_cut_off_and_run_again_ends_in_the_same_rows(document: Document, index: Index) -> None:
    index.away = 1
    with pytest.raises(link.HostUnavailable):
        ingest.ingest(document)
    document.refresh_from_db()
    assert document.state == State.LEXICAL
    assert lexical.bm25("boat", [str(document.collection_id)])
    before = set(document.chunks.values_list("pk", flat=True))
    index.away = None
    ingest.ingest(document)
    assert set(document.chunks.values_list("pk", flat=True)) == before
    assert index.vectors.keys() == {str(pk) for pk in before}


def test_ingest_goes_on_where_the_last_batch_was_stored(document: Document, index: Index) -> None:
    document.text *= 3
    index.away = 3
    with pytest.raises(link.HostUnavailable):
        ingest.ingest(document)
    document.refresh_from_db()
    stored = document.embedded
    assert 0 < stored < document.passages and len(index.vectors) >= stored
    before = dict(index.rows)
    index.away, index.embedded = None, 0
    ingest.ingest(document)
    assert index.embedded == document.passages - stored + leaning.REACH, "but for the neighbours nothing is done twice"
    once = dict(index.rows)
    Document.objects.filter(pk=document.pk).update(state=State.LEXICAL, embedded=0)
    document.refresh_from_db()
    ingest.ingest(document)
    assert index.rows == once and before.items() <= once.items(), "cut off or not, the vectors are the same"


def test_passages_that_the_model_counts_longer_are_cut_in_two(
    document: Document, index: Index, monkeypatch: Any
) -> None:
    """And one that its heading alone makes too long goes without that."""
    document.text = "# " + "Q" * 300 + "\n\nShort.\n\n# Usual\n\n" + "abcdef0123456789 " * 60 + "\n\nEnd."
    seen: list[str] = []

    def embed(texts: Sequence[str], **said: Any) -> list[list[float]]:
        seen.extend(texts)
        return [[1.0, 0.0] for _ in texts]

    monkeypatch.setattr(link, "lengths", lambda texts, **_: [len(text) for text in texts])  # a token for each sign
    monkeypatch.setattr(link, "embed", embed)
    ingest.ingest(document)
    assert len(seen) == document.passages == document.embedded == len(index.vectors)
    assert all(len(text) <= 256 for text in seen)
    assert "Short." in seen and any(text.startswith("Long\nUsual\n") for text in seen)
    chunks = list(document.chunks.order_by("position"))
    covered = {n for chunk in chunks for n in range(chunk.start, chunk.end)}
    assert all(document.text[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert all(n in covered or sign.isspace() for n, sign in enumerate(document.text) if n > 330)


def test_words_written_again_replace_the_old(document: Document) -> None:
    ingest.write_words(document)
    document.text = "# Short\n\nOne paragraph about trains."
    ingest.write_words(document)
    assert document.chunks.count() == 1
    assert not lexical.bm25("boat", [str(document.collection_id)])
    assert lexical.bm25("train", [str(document.collection_id)])


def test_the_task_leaves_a_document_searchable_by_words_when_no_host_runs(
    document: Document, index: Index, settings: Any
) -> None:
    settings.LOCAL_MODELS = False
    index.away = 0
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert document.state == State.LEXICAL


@pytest.mark.parametrize(
    ("away", "tries"), [(link.HostUnavailable("away"), 300), (link.Declined("the model answered 401"), 0)]
)
def test_a_document_that_gets_no_vectors_says_so_until_it_has_some(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, away: Exception, tries: int
) -> None:
    def refuse(*args: Any, **said: Any) -> Any:
        raise away

    with monkeypatch.context() as broken:
        broken.setattr(link, "embed", refuse)
        for number in (tries - 1, tries):
            tasks.ingest_document.push_request(retries=number, called_directly=False, is_eager=True)
            try:
                tasks.ingest_document.run(str(document.pk))
            except Retry:
                assert number < tries
            finally:
                tasks.ingest_document.pop_request()
    document.refresh_from_db()
    assert document.state == State.LEXICAL and document.failure
    assert str(away) in document.failure["cause"]
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert (document.state, document.failure) == (State.READY, None)


def test_many_documents_stand_in_line_again_after_a_while(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    again: list[str] = []
    monkeypatch.setattr(tasks, "SLICE", -1.0)
    monkeypatch.setattr(tasks.ingest_waiting, "delay", again.append)
    Document.objects.update(text="Early words.")
    late = Document.objects.create(collection=document.collection, title="Late", name="late.md", text="Late words.")
    tasks.ingest_waiting()
    assert again == [str(document.pk)]
    assert [one.state for one in Document.objects.order_by("pk")] == [State.READY, State.QUEUED]
    Document.objects.update(state=State.QUEUED)
    monkeypatch.setattr(tasks, "SLICE", 60.0)
    tasks.ingest_waiting(*again)
    late.refresh_from_db()
    document.refresh_from_db()
    assert (late.state, document.state) == (State.READY, State.QUEUED), "what stands before it had its turn"
    assert len(again) == 1


def test_a_long_document_stands_in_line_again_behind_a_short_one(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    line: list[str] = []
    monkeypatch.setattr(tasks, "SLICE", 0.0)
    monkeypatch.setattr(tasks.ingest_document, "delay", line.append)
    late = Document.objects.create(collection=document.collection, title="Late", name="late.md", text="Late words.")
    line += [str(document.pk), str(late.pk)]
    turns = []
    while line:
        tasks.ingest_document(turn := line.pop(0))
        turns.append(turn)
        waiting = Document.objects.get(pk=turn)
        assert waiting.claimed is None and claims.goes_on(waiting) == (waiting.state == State.LEXICAL)
    document.refresh_from_db()
    assert turns[:2] == [str(document.pk), str(late.pk)] and len(turns) > 3
    assert (document.state, document.embedded) == (State.READY, document.passages)
    in_turns = dict(index.rows)
    Document.objects.update(state=State.LEXICAL, embedded=0)
    document.refresh_from_db()
    ingest.ingest(document)
    assert index.rows == in_turns, "in turns or at once, the vectors are the same"


def test_a_document_that_is_to_be_cut_anew_while_it_is_embedded_is_cut_anew(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    line: list[str] = [str(document.pk)]
    monkeypatch.setattr(tasks.ingest_document, "delay", line.append)
    upsert, cut = index.upsert, []

    def meanwhile(*args: Any, **said: Any) -> None:
        if not cut:  # an admin sets shorter passages
            cut.append(Document.objects.get().passages)
            SearchSettings.objects.create(chunk_tokens=48, chunk_overlap=0)
            Document.objects.update(state=State.QUEUED)
            tasks.ingest_waiting()
        upsert(*args, **said)

    monkeypatch.setattr(link, "upsert", meanwhile)
    while line:
        tasks.ingest_document(line.pop(0))
    document.refresh_from_db()
    assert document.passages > cut[0]
    assert (document.state, document.embedded) == (State.READY, document.passages)
    assert index.vectors.keys() == {str(chunk.pk) for chunk in document.chunks.all()}


def test_the_task_keeps_why_a_document_failed(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(text: str, size: Any) -> list[Any]:
        raise ValueError("no text in it")

    monkeypatch.setattr(ingest, "cut", broken)
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert document.state == State.FAILED
    assert document.failure is not None
    assert "no text in it" in document.failure["cause"]
    tasks.ingest_document("00000000-0000-0000-0000-000000000000")  # removed meanwhile: nothing to do


def test_unfinished_documents_are_queued_again(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    queued: list[str] = []
    monkeypatch.setattr(tasks.ingest_document, "delay", queued.append)
    Document.objects.create(collection=document.collection, title="Done", name="done.md", state=State.READY)
    assert tasks.requeue_unfinished() == 1
    assert queued == [str(document.pk)]


def test_vectors_go_with_their_document(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(tasks.forget_document, "delay", tasks.forget_document)
    ingest.ingest(document)
    assert index.vectors
    with django_capture_on_commit_callbacks(execute=True):
        document.delete()
    assert index.vectors == {}


def test_what_deleted_documents_leave_in_files_is_written_over_once_whatever_is_killed(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, settings: Any,
    django_capture_on_commit_callbacks: Any,
) -> None:  # fmt: skip
    renewed: list[str] = []
    queued: list[str] = []
    monkeypatch.setattr(link, "renew", renewed.append)
    monkeypatch.setattr(tasks.renew_index, "delay", queued.append)
    ingest.ingest(document)
    name = str(document.collection_id)
    document.delete()  # and the server is killed: no task of it is ever begun
    assert index.vectors and not renewed
    tasks.requeue_unfinished()
    assert queued == [name]

    settings.LOCAL_MODELS = False
    with monkeypatch.context() as away:
        away.setattr(link, "renew", _away)
        tasks.renew_index(name)
    assert index.vectors == {} and Residue.objects.count() == 1, "it is tried again"
    for _ in range(2):
        tasks.renew_index(name)
    assert renewed == [name] and not Residue.objects.exists()


def test_a_document_that_one_worker_has_is_left_by_another(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    write = ingest.write_words

    def writing(*args: Any) -> None:
        write(*args)
        with pytest.raises(Retry):
            tasks.ingest_document(str(document.pk))
        tasks.ingest_waiting()
        seen.append(Document.objects.get(pk=document.pk).state)

    monkeypatch.setattr(ingest, "write_words", writing)
    tasks.ingest_document(str(document.pk))
    tasks.ingest_document(str(document.pk))
    document.refresh_from_db()
    assert seen == ["lexical"], "it was written once, and nobody went on beside"
    assert (document.state, document.claimed) == (State.READY, None)
    assert len(index.vectors) == document.passages


def test_a_claim_of_a_dead_worker_runs_out_or_ends_with_its_server(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    monkeypatch.setattr(tasks.ingest_document, "delay", lambda id: None)
    id = str(document.pk)
    Document.objects.update(claimed=timezone.now() + timedelta(minutes=5))
    with pytest.raises(Retry):
        tasks.ingest_document(id)
    settings.REDIS_URL = "redis://localhost"  # others may work on it still
    tasks._resume()
    with pytest.raises(Retry):
        tasks.ingest_document(id)
    settings.REDIS_URL = ""
    tasks._resume()
    tasks.ingest_document(id)
    assert Document.objects.get().state == State.READY
    Document.objects.update(state=State.QUEUED, claimed=timezone.now() - timedelta(seconds=1))
    tasks.ingest_document(id)
    assert Document.objects.get().state == State.READY


def test_a_worker_that_lost_its_document_writes_nothing_more(document: Document, index: Index) -> None:
    with claims.claimed(document.pk) as mine:
        assert mine
        Document.objects.update(claimed=timezone.now() + timedelta(minutes=9))  # another's, after this one slept
        with pytest.raises(claims.Lost):
            ingest.ingest(mine)
    assert not Chunk.objects.exists() and Document.objects.get().claimed


def test_a_passage_that_is_cut_again_as_it_was_is_the_same_one(document: Document) -> None:
    ingest.write_words(document)
    before = list(document.chunks.values_list("pk", "text"))
    ingest.write_words(document)
    assert list(document.chunks.values_list("pk", "text")) == before
    document.text = document.text.replace("boat 19", "ship 19")
    ingest.write_words(document)
    now = list(document.chunks.values_list("pk", "text"))
    assert now[:-2] == before[:-2] and now[-1][0] != before[-1][0]


def test_vectors_that_come_after_the_deletion_are_removed_as_well(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    monkeypatch.setattr(tasks.forget_document, "delay", tasks.forget_document)
    upsert = link.upsert
    deleted: list[bool] = []

    def late(*args: Any, **said: Any) -> None:
        """The deletion, and what removes the vectors, come in between."""
        if not deleted:
            deleted.append(True)
            Document.objects.get().delete()
            connection.run_on_commit.clear()  # what that begins is over before the vectors come
        upsert(*args, **said)

    monkeypatch.setattr(link, "upsert", late)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.ingest_document(str(document.pk))
    assert deleted and index.vectors == {}
    assert Residue.objects.filter(document=document.pk).exists()


def test_an_index_that_is_being_renewed_is_not_renewed_beside_that(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    renewed: list[str] = []

    def renew(name: str) -> None:
        renewed.append(name)
        with pytest.raises(Retry):
            tasks.renew_index(name)

    monkeypatch.setattr(link, "renew", renew)
    name = str(document.collection_id)
    Residue.objects.create(index=name, document=document.pk)
    tasks.renew_index(name)
    assert renewed == [name]
    tasks.renew_index(name)
    assert renewed == [name] and not Residue.objects.exists()


def _away(index: str) -> None:
    raise link.HostUnavailable("the index host does not answer")


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(guide, "FOLDER", tmp_path)
    (tmp_path / "boats.md").write_text("# All about boats\n\nBoats float.\n")
    (tmp_path / "trains.md").write_text("Trains roll.\n")
    return tmp_path


@pytest.mark.django_db
def test_the_guide_follows_its_pages(pages: Path) -> None:
    assert {d.title for d in guide.ensure()} == {"All about boats", "trains"}
    assert guide.ensure() == []
    guide.ingest_words()
    assert set(Document.objects.values_list("state", flat=True)) == {State.LEXICAL}
    (pages / "boats.md").write_text("# All about boats\n\nBoats sink.\n")
    (pages / "trains.md").unlink()
    assert [d.name for d in guide.ensure()] == ["boats.md"]
    guide.ingest_words()
    assert [c.text for c in Chunk.objects.all()] == ["Boats sink."]
    assert Collection.objects.count() == 1


@pytest.mark.django_db
def test_changed_pages_are_queued_for_workers_that_already_run(
    pages: Path, settings: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    settings.REDIS_URL = "redis://localhost"
    queued: list[str] = []
    monkeypatch.setattr(tasks.ingest_document, "delay", queued.append)
    with django_capture_on_commit_callbacks(execute=True):
        changed = guide.ensure()
    assert sorted(queued) == sorted(str(d.pk) for d in changed)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("question", "page"),
    [
        ("How do I retry an answer?", "Versions: retry and edit"),
        ("On which port is LM Studio found?", "Adding a model"),
        ("How do I back up a workspace?", "Running Onepane"),
        ("How do I continue an interrupted answer?", "Stopping, reloading, going on"),
        ("What is a fallback of a route?", "The router"),
    ],
)
def test_the_bundled_guide_answers_by_words(question: str, page: str) -> None:
    guide.ensure()
    guide.ingest_words()
    collection = Collection.objects.get(built_in=True)
    [best] = lexical.bm25(question, [str(collection.pk)]).best(1)
    assert Chunk.objects.get(pk=best).document.title == page
    assert all(estimate(text) <= 240 for text in Chunk.objects.values_list("text", flat=True))


def test_people_see_the_guide_and_their_own(alice: Person, bob: Person, document: Document) -> None:
    built_in = Collection.objects.create(name="Guide", built_in=True)
    page = Document.objects.create(collection=built_in, title="Page", name="page.md")
    assert access.collections_of(alice) == [built_in, document.collection]
    assert access.collections_of(bob) == [built_in]
    assert access.document_for(bob, page.pk) == page
    assert access.document_for(alice, str(document.pk)) == document
    assert set(access.documents_of(bob)) == {page}
    for id in (document.pk, "no-id", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(Http404):
            access.document_for(bob, id)
