"""A folder from the command line: each file a document, known ones left, what can't be read said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from retrieval import lexical
from retrieval.folder import add_folder
from retrieval.models import Collection, Document
from workspace import control, ownership
from workspace.accounts.models import Person
from workspace.management.commands import ingest as command

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    root = tmp_path / "notes"
    (root / "inner").mkdir(parents=True)
    (root / ".hidden").mkdir()
    (root / "a.md").write_text("# Tea\n\nGreen leaves.")
    (root / "inner" / "a.md").write_text("# Coffee\n\nBrown beans.")
    (root / ".hidden" / "b.md").write_text("secret")
    (root / "broken.pdf").write_text("words")
    (root / "link.md").symlink_to("/etc/hostname")
    return root


def test_a_folder_is_added_once_and_what_is_broken_is_said(folder: Path, alice: Person) -> None:
    told = add_folder(str(folder), person=alice.username, here=True)
    assert (told["taken"], told["known"]) == (3, 0)
    assert ["broken.pdf" in line for line in told["refused"]] == [True]
    documents = {d.name: d for d in Document.objects.filter(collection__owner=alice)}
    assert set(documents) == {"a.md", "inner/a.md", "broken.pdf"}
    collection = str(documents["a.md"].collection_id)
    assert lexical.bm25("beans", [collection])
    again = add_folder(str(folder), person=alice.username, here=True)
    assert (again["taken"], again["known"]) == (1, 2)  # what could not be read is tried again


def test_the_command_prints_the_count_or_why_nothing_began(
    folder: Path, alice: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(control, "call", lambda name, **fields: add_folder(**fields, here=True))
    call_command("ingest", str(folder), person=alice.username)
    printed = capsys.readouterr()
    assert "3 added, 0 known before, 1 not read." in printed.out
    assert "the file is none" in printed.err
    with pytest.raises(CommandError, match="no person named nobody"):
        call_command("ingest", str(folder), person="nobody")
    with pytest.raises(CommandError, match="is no folder"):
        call_command("ingest", str(folder / "a.md"), person=alice.username)


def test_a_folder_goes_into_the_collection_that_is_named(
    folder: Path, alice: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = Collection.objects.create(owner=bob, name="Trips")
    monkeypatch.setattr(control, "call", lambda name, **fields: add_folder(**fields, here=True))
    call_command("ingest", str(folder), person=alice.username, collection=" Trips ")
    own = Collection.objects.get(owner=alice)
    assert own.name == "Trips" and own.documents.count() == 3 and not shared.documents.exists()
    call_command("ingest", str(folder), person=alice.username, collection="Trips")
    assert Collection.objects.filter(owner=alice).count() == 1 and Document.objects.count() == 3


def test_where_no_server_runs_the_command_reads_them_itself(
    folder: Path, alice: Person, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Any
) -> None:
    settings.REDIS_URL = ""
    monkeypatch.setattr(control, "call", lambda name, **fields: None)
    monkeypatch.setattr(ownership, "take", lambda folder, about: None)
    monkeypatch.setattr(command, "prepare", lambda tell: None)
    call_command("ingest", str(folder), person=alice.username)
    assert "3 added" in capsys.readouterr().out
    assert Document.objects.filter(state="lexical").count() == 2
