"""Rows, vectors, postings and files that differ are listed, and mended both ways."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from retrieval import files, ingest, tasks, verify
from retrieval.models import Collection, Document, Posting
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = pytest.mark.django_db

TEXT = "# Ferry\n\nThe ferry leaves the harbour at dawn.\n"


class Index:
    """What an index host would answer."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, str]] = {}

    def delete_ids(self, collection: str, ids: Any) -> None:
        for id in ids:
            del self.held[collection][id]

    def drop(self, collection: str) -> None:
        del self.held[collection]


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Index:
    index = Index()
    monkeypatch.setattr(link, "collections", lambda: list(index.held))
    monkeypatch.setattr(link, "half_renewed", list)
    monkeypatch.setattr(link, "ids_of", lambda id: index.held.get(id, {}))
    monkeypatch.setattr(link, "delete_ids", index.delete_ids)
    monkeypatch.setattr(link, "drop", index.drop)
    for task in (tasks.ingest_document, tasks.forget_document, tasks.forget_collection, tasks.wipe):
        monkeypatch.setattr(task, "delay", lambda *_: None)
    return index


@pytest.fixture
def document(index: Index, alice: Person) -> Document:
    collection = Collection.objects.create(name="Travel", owner=alice)
    document = Document.objects.create(
        collection=collection, title="Ferry", name="f.md", digest=files.keep(TEXT.encode()), size=len(TEXT), text=TEXT
    )
    ingest.write_words(document)
    Document.objects.filter(pk=document.pk).update(state="ready")
    index.held[str(collection.pk)] = {str(chunk.pk): str(document.pk) for chunk in document.chunks.all()}
    return document


def found() -> list[str]:
    return [one.kind for one in verify.differences()]


def test_what_agrees_is_told_to_agree(document: Document) -> None:
    assert found() == []


def test_missing_vectors_are_made_again(document: Document, index: Index) -> None:
    index.held[str(document.collection_id)].clear()
    [one] = verify.differences()
    assert (one.kind, one.count, one.document) == ("missing vectors", 1, document.pk)
    assert verify.repair(one) is False
    document.refresh_from_db()
    assert document.state == "lexical", "the worker goes on from there"


def test_what_nobody_knows_is_removed(document: Document, index: Index, tmp_path: Path) -> None:
    index.held[str(document.collection_id)]["ghost"] = "gone"
    index.held["no-such-collection"] = {"x": "y"}
    stray = files.path_of(files.keep(b"nobody's"))
    assert "stray file" not in found(), "its row may come yet"
    os.utime(stray, (0, 0))
    differences = list(verify.differences())
    assert sorted(one.kind for one in differences) == ["stray collection", "stray file", "stray vectors"]
    assert all(verify.repair(one) for one in differences)
    assert found() == [] and not stray.exists() and len(index.held[str(document.collection_id)]) == 1


def test_a_file_that_is_coming_is_no_stray(document: Document) -> None:
    Document.objects.update(coming=files.keep(b"newer"))
    os.utime(files.path_of(files.keep(b"newer")), (0, 0))
    assert found() == []


def test_a_posting_that_is_lost_among_others_is_missed(document: Document) -> None:
    Posting.objects.filter(term="harbour").delete()
    [one] = verify.differences()
    assert one.kind == "missing postings"
    verify.repair(one)
    document.refresh_from_db()
    ingest.write_words(document)
    Document.objects.update(state="ready")
    assert found() == []


def test_a_collection_that_is_made_meanwhile_is_no_stray(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch, alice: Person
) -> None:
    def collections() -> list[str]:
        late = Collection.objects.create(name="Late", owner=alice)
        return [*index.held, str(late.pk)]

    monkeypatch.setattr(link, "collections", collections)
    assert found() == []


def test_missing_postings_and_files_are_told(document: Document) -> None:
    Posting.objects.all().delete()
    files.path_of(document.digest).unlink()
    assert sorted(found()) == ["missing file", "missing postings"]


def test_the_command_lists_repairs_and_ends_with_what_is_left(
    document: Document, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workspace import control
    from workspace.management.commands import verify_index

    asked: list[str] = []
    monkeypatch.setattr(verify_index.control, "socket_path", lambda: Path(__file__))
    monkeypatch.setattr(control, "call", lambda name, **_: asked.append(name))
    index.held["no-such-collection"] = {"x": "y"}
    out = io.StringIO()
    with pytest.raises(SystemExit):
        call_command("verify_index", "--json", stdout=out)
    assert [one["kind"] for one in json.loads(out.getvalue())["differences"]] == ["stray collection"]
    call_command("verify_index", "--repair", stdout=out)
    assert "1 differences, 1 mended." in out.getvalue() and asked == ["requeue"]
    call_command("verify_index", stdout=out)
    assert "All agree." in out.getvalue()

    files.path_of(document.digest).unlink()
    with pytest.raises(SystemExit):
        call_command("verify_index", "--repair", stdout=out)
    assert "1 missing file: Ferry (its text is searched still; add the file again)" in out.getvalue()
