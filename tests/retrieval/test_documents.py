"""Files of one's own: added, read, found by search, opened, read again, deleted to the last byte."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError

from retrieval import adding, files, lexical, search, tasks
from retrieval.models import Chunk, Collection, Document, Posting
from tests.retrieval.test_parsing import pdf
from workspace import egress
from workspace.accounts.models import Person, Role
from workspace.celery import app
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


def test_a_file_that_no_worker_hears_of_waits_for_one_that_starts(
    page: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue is away: nothing is lost, and whoever brought the file sees no error."""

    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("no broker")

    monkeypatch.delattr(tasks.ingest_document, "delay")  # the real one
    monkeypatch.setattr(app.amqp, "send_task_message", away)
    add(page, ("a.md", b"# Tea\n\nGreen leaves."))
    assert Document.objects.get().state == Document.State.QUEUED
    monkeypatch.setattr(tasks.ingest_document, "delay", tasks.ingest_document)
    tasks.requeue_unfinished()
    assert Document.objects.get().state == Document.State.LEXICAL


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


@pytest.mark.parametrize(
    ("state", "local", "row", "again"),
    [
        ("queued", False, {}, True),
        ("running", False, {}, True),
        ("lexical", True, {}, True),
        ("lexical", False, {"claimed": timedelta(minutes=5)}, True),
        ("lexical", False, {"claimed": timedelta(minutes=-5)}, False),
        ("lexical", False, {}, False),
        ("lexical", True, {"failure": {"cause": "No model.", "action": "Look."}}, False),
        ("ready", True, {}, False),
        ("failed", True, {"failure": {"cause": "No text.", "action": "Look."}}, False),
    ],
)
def test_pages_look_again_while_somebody_is_at_it_and_no_longer(
    page: Client, settings: Any, monkeypatch: Any, state: str, local: bool, row: dict[str, Any], again: bool
) -> None:
    add(page, ("a.txt", b"Green leaves"))
    settings.LOCAL_MODELS = local
    if "claimed" in row:
        row = {"claimed": timezone.now() + row["claimed"]}
    Document.objects.update(state=state, embedded=0, **row)
    one = reverse("document", args=[Document.objects.get().pk])
    assert ("data-reading" in page.get(reverse("documents") + "?part").content.decode()) is again
    assert ('every="1500"' in page.get(one).content.decode()) is again

    def never(text: str) -> str:
        raise AssertionError("the whole text is rendered to say how far it is")

    monkeypatch.setattr("chat.documents.render_markdown", never)
    with CaptureQueriesContext(connection) as asked:
        part = page.get(f"{one}?part").content.decode()
    assert ('every="1500"' in part) is again and "Green leaves" not in part
    assert not any('"retrieval_document"."text"' in query["sql"] for query in asked)


def test_nobody_else_is_told_how_far_a_document_is(page: Client, client: Client, bob: Person) -> None:
    add(page, ("a.txt", b"Green leaves"))
    one = reverse("document", args=[Document.objects.get().pk])
    assert page.get(f"{one}?part").status_code == 200
    client.force_login(bob)
    assert client.get(f"{one}?part").status_code == 404


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


@pytest.mark.parametrize("media_type", ["text/html", "application/xhtml+xml"])
def test_of_a_page_at_an_address_what_it_has_to_say_is_read(page: Client, media_type: str, monkeypatch: Any) -> None:
    said = "Green tea wants water of 80 degrees, and it is poured off after two minutes at most. " * 6
    about = "".join(f"<div class='menu'><a href='/{n}'>Buy kettle {n} today</a></div>" for n in range(9))
    html = f"<html><title>Tea</title><body>{about}<article><p>{said}</p></article><footer>Cookie banner</footer></body>"

    def fetch(address: str, *, most: int) -> egress.Fetched:
        return egress.Fetched(data=html.encode(), url=address, media_type=media_type, name="tea.html")

    monkeypatch.setattr(egress, "fetch", fetch)
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    document = Document.objects.get()
    assert document.title == "Tea" and document.text.count("80 degrees") == 6
    assert "Buy kettle" not in document.text and "Cookie" not in document.text
    add(page, ("saved.html", html.encode()))
    assert "Buy kettle" in Document.objects.get(name="saved.html").text, "a file is read to its last word"


def test_a_page_that_can_not_be_read_anew_stays_as_it_was(page: Client, alice: Person, monkeypatch: Any) -> None:
    pages = [b"<title>Tea</title><p>Green tea wants 80 degrees"]

    def fetch(address: str, *, most: int) -> egress.Fetched:
        if not pages:
            raise egress.Refused("The site does not answer.", "Try again later.")
        return egress.Fetched(data=pages.pop(), url=address, media_type="text/html", name="tea.html")

    monkeypatch.setattr(egress, "fetch", fetch)
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    before = Document.objects.values().get()
    chunks = list(Chunk.objects.values())
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    page.post(reverse("document-again", args=[before["id"]]))
    after = Document.objects.values().get()
    assert after.pop("failure")["cause"] == "The site does not answer." and before.pop("failure") is None
    assert after == before and list(Chunk.objects.values()) == chunks
    assert files.path_of(before["digest"]).exists()
    shown = page.get(reverse("document", args=[before["id"]])).content.decode()
    assert "The site does not answer." in shown and "What was read before stays" in shown
    assert [e.text for e in find(alice, "green tea")] == ["Green tea wants 80 degrees"]


def test_a_page_that_is_deleted_while_it_is_fetched_leaves_no_file(
    page: Client, tmp_path: Path, monkeypatch: Any
) -> None:
    fetched: list[str] = []

    def fetch(address: str, *, most: int) -> egress.Fetched:
        fetched.append(address)
        Document.objects.get().delete()
        return egress.Fetched(data=b"<p>A secret", url=address, media_type="text/html", name="tea.html")

    monkeypatch.setattr(egress, "fetch", fetch)
    page.post(reverse("documents-add"), {"url": "https://tea.example/green"})
    assert fetched and not Document.objects.exists() and not Chunk.objects.exists()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_file_that_can_not_take_anothers_place_leaves_it(page: Client, alice: Person, tmp_path: Path) -> None:
    add(page, ("tea.pdf", pdf("Green tea wants 80 degrees")))
    before = Document.objects.values().get()
    add(page, ("tea.pdf", b"no pdf"))
    document = Document.objects.get()
    assert (document.state, document.digest, document.coming) == ("lexical", before["digest"], "")
    assert document.failure and "the file is none" in document.failure["cause"]
    assert [e.text for e in find(alice, "green tea")] == ["Green tea wants 80 degrees"]
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1, "the one that was refused is gone"


def test_of_two_broken_files_the_newer_is_kept(page: Client, tmp_path: Path) -> None:
    add(page, ("tea.pdf", b"no pdf"))
    add(page, ("tea.pdf", b"no pdf either"))
    document = Document.objects.get()
    assert (document.state, document.size, document.coming) == ("failed", len(b"no pdf either"), "")
    assert [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()] == [b"no pdf either"]


def test_what_breaks_half_way_leaves_the_text_and_the_files_as_they_were(
    page: Client, tmp_path: Path, monkeypatch: Any
) -> None:
    add(page, ("a.md", b"# Tea\n\nGreen leaves."))
    before = Document.objects.values().get()

    def broken(document: Document, said: Any) -> Any:
        raise ValueError("out of ink")

    monkeypatch.setattr(lexical, "postings", broken)
    add(page, ("a.md", b"# Tea\n\nBlack leaves."))
    after = Document.objects.values().get()
    assert "out of ink" in after.pop("failure")["cause"] and before.pop("failure") is None
    assert after == before and Chunk.objects.get().text == "Green leaves."
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_page_of_the_web_is_not_read_again(page: Client, alice: Person) -> None:
    """A citation opens it as it was."""
    shelf = Collection.objects.create(owner=alice, name="Pages", kind="web")
    document = Document.objects.create(
        collection=shelf, title="Tea", name="tea", url="https://tea.example/", text="Green tea", state="ready",
        size=9, digest="d", fetched=timezone.now(),
    )  # fmt: skip
    said = page.post(reverse("document-again", args=[document.pk]), follow=True).content.decode()
    assert "stays as it was read" in said
    document.refresh_from_db()
    assert (document.state, document.coming) == ("ready", "")
    assert "Read again" not in page.get(reverse("document", args=[document.pk])).content.decode()


def test_two_files_of_one_name_that_come_together_are_two_documents(page: Client) -> None:
    for _ in range(2):
        add(page, ("README.md", b"Of the first folder"), ("README.md", b"Of the second"), ("b.md", b"Other"))
        texts = dict(Document.objects.values_list("name", "text"))
        assert texts == {
            "README.md": "Of the first folder", "README (2).md": "Of the second", "b.md": "Other",
        }, "and again the same"  # fmt: skip


def test_files_of_one_name_that_are_attached_at_once_are_all_kept(alice: Person) -> None:
    def attach(number: int) -> None:
        try:
            adding.attach(alice, adding.Pasted("note.md", f"Words of {number}".encode()))
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(attach, range(4)))
    assert sorted(Document.objects.values_list("text", flat=True)) == [f"Words of {n}" for n in range(4)]
    assert Collection.objects.filter(owner=alice).count() == 1


def test_first_documents_that_come_at_once_lie_in_one_collection(alice: Person) -> None:
    def make(number: int) -> Any:
        try:
            return adding.first_of(alice).pk
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(make, range(4)))) == 1


def test_the_same_bytes_are_kept_by_two_threads_at_once() -> None:
    data = b"x" * 4_000_000
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: files.keep(data), range(8)))) == 1
    kept = files.path_of(files.keep(data))
    assert list(kept.parent.iterdir()) == [kept]


def test_an_address_that_is_not_asked_says_why(page: Client) -> None:
    said = page.post(reverse("documents-add"), {"url": "file:///etc/passwd"}, follow=True).content.decode()
    assert "Only addresses that begin with http:// or https:// are fetched." in said
    page.post(reverse("documents-add"), {"url": "http://127.0.0.1/"})
    document = Document.objects.get()
    assert document.state == "failed"
    assert "private network" in document.failure["cause"]
