"""Files of one's own: added, read, found by search, opened, read again, deleted to the last byte."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from retrieval import files, search, tasks
from retrieval.models import Chunk, Collection, Document, Posting
from tests.retrieval.test_parsing import pdf
from workspace import egress
from workspace.accounts.models import Person, Role
from workspace.hosts import link

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def here(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own; the queue carries out at once; words alone, for there is no model host."""

    async def away(texts: Any) -> Any:
        raise link.HostUnavailable("away")

    settings.LOCAL_MODELS = False
    monkeypatch.setattr(link, "aembed", away)
    monkeypatch.setattr(tasks.ingest_document, "delay", tasks.ingest_document)
    monkeypatch.setattr(tasks.forget_document, "delay", tasks.forget_document)


@pytest.fixture
def page(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def add(page: Client, *given: tuple[str, bytes]) -> str:
    body = {"files": [SimpleUploadedFile(name, data) for name, data in given]}
    return page.post(reverse("documents-add"), body, follow=True).content.decode()


def find(person: Person, question: str) -> list[Any]:
    ids = [str(c.pk) for c in Collection.objects.filter(owner=person)]
    return list(async_to_sync(search.search)(question, collections=ids).evidence)


def test_a_file_is_read_and_its_passages_are_found_on_their_page(page: Client, alice: Person) -> None:
    shown = add(page, ("tea.pdf", pdf("Green tea wants 80 degrees", "Black tea wants boiling water")))
    document = Document.objects.get()
    assert (document.title, document.state, document.size > 0) == ("Kettles", "lexical", True)
    assert "Kettles" in shown and "searchable by words" in shown
    [first, *_] = find(alice, "black boiling")
    assert first.document_id == str(document.pk)
    assert document.text[first.start : first.end] == first.text
    kept = page.get(reverse("document-file", args=[document.pk]))
    assert b"".join(kept).startswith(b"%PDF")  # type: ignore[call-overload]
    assert "attachment" in kept["Content-Disposition"]


def test_the_same_file_again_changes_nothing_and_another_takes_its_place(page: Client, alice: Person) -> None:
    add(page, ("a.md", b"# Tea\n\nGreen leaves."))
    first = Document.objects.get()
    add(page, ("a.md", b"# Tea\n\nGreen leaves."))
    assert Document.objects.get().pk == first.pk
    add(page, ("a.md", b"# Tea\n\nBlack leaves."))
    assert Document.objects.get().text.endswith("Black leaves.")
    assert not files.path_of(first.digest).exists()
    assert [e.text for e in find(alice, "leaves")] == ["Black leaves."]


def test_a_file_that_is_refused_keeps_no_other_out(page: Client, settings: Any) -> None:
    settings.MAX_DOCUMENT = 1_000
    shown = add(page, ("big.txt", b"x" * 1_001), ("none.txt", b""), ("good.txt", b"Good words"), ("odd.pdf", b"words"))
    assert "big.txt is over" in shown and "none.txt is empty" in shown
    states = dict(Document.objects.values_list("name", "state"))
    assert states == {"good.txt": "lexical", "odd.pdf": "failed"}
    assert "the file is none" in shown and "Save it again as what it is." in shown
    assert "Nothing came" in page.post(reverse("documents-add"), {}, follow=True).content.decode()


def test_a_document_is_read_again_from_its_file(page: Client) -> None:
    add(page, ("a.txt", b"Green leaves"))
    document = Document.objects.get()
    Document.objects.update(text="", state="failed")
    Chunk.objects.all().delete()
    page.post(reverse("document-again", args=[document.pk]))
    document.refresh_from_db()
    assert (document.state, document.text) == ("lexical", "Green leaves")
    assert document.chunks.count() == 1


def test_a_deleted_document_leaves_nothing(page: Client, alice: Person, tmp_path: Path) -> None:
    add(page, ("a.txt", b"A very secret kettle"), ("b.txt", b"Another one"))
    gone = Document.objects.get(name="a.txt")
    page.post(reverse("document-delete", args=[gone.pk]))
    assert set(Document.objects.values_list("name", flat=True)) == {"b.txt"}
    assert not Posting.objects.filter(term="kettl").exists()
    assert find(alice, "secret kettle") == []
    left = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert left == [b"Another one"]


def test_two_people_with_one_file_each_keep_it(page: Client, client: Client, bob: Person, alice: Person) -> None:
    add(page, ("a.txt", b"Shared words"))
    client.force_login(bob)
    add(client, ("b.txt", b"Shared words"))
    mine, theirs = Document.objects.get(name="a.txt"), Document.objects.get(name="b.txt")
    for name in ("document", "document-file"):
        assert client.get(reverse(name, args=[mine.pk])).status_code == 404
    for name in ("document-again", "document-delete"):
        assert client.post(reverse(name, args=[mine.pk])).status_code == 404
    client.post(reverse("document-delete", args=[theirs.pk]))
    assert files.path_of(mine.digest).read_bytes() == b"Shared words"


def test_a_viewer_adds_and_changes_nothing(page: Client, alice: Person) -> None:
    add(page, ("a.txt", b"Green leaves"))
    Person.objects.update(role=Role.VIEWER)
    document = Document.objects.get()
    assert page.post(reverse("documents-add"), {"files": [SimpleUploadedFile("b.txt", b"b")]}).status_code == 403
    for name in ("document-again", "document-delete"):
        assert page.post(reverse(name, args=[document.pk])).status_code == 403
    assert "Choose files" not in page.get(reverse("documents")).content.decode()
    assert Document.objects.count() == 1


def test_a_page_is_added_by_its_address_and_fetched_anew(page: Client, alice: Person, monkeypatch: Any) -> None:
    pages = iter(
        [b"<title>Tea</title><p>Green tea wants 80 degrees", b"<title>Tea</title><p>Green tea wants 75 degrees"]
    )

    def fetch(address: str, *, most: int) -> egress.Fetched:
        return egress.Fetched(data=next(pages), url=address, media_type="text/html", name="tea.html")

    monkeypatch.setattr(egress, "fetch", fetch)
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    first = Document.objects.get()
    assert (first.title, first.state, first.url) == ("Tea", "lexical", "https://tea.example/green")
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    assert [e.text for e in find(alice, "green tea")] == ["Green tea wants 75 degrees"]
    assert not files.path_of(first.digest).exists()


def test_an_address_that_is_not_asked_says_why(page: Client) -> None:
    said = page.post(reverse("documents-add"), {"url": "file:///etc/passwd"}, follow=True).content.decode()
    assert "Only addresses that begin with http:// or https:// are fetched." in said
    page.post(reverse("documents-add"), {"url": "http://127.0.0.1/"})
    document = Document.objects.get()
    assert document.state == "failed"
    assert "private network" in document.failure["cause"]
