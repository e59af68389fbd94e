"""Documents attached to a question, or kept for the chat: whose they are, and what is searched."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from chat import record
from chat.frames import Refused, Send, parse
from retrieval import ingest, search, tasks
from retrieval.models import Collection, Document
from retrieval.presets import Preset
from tests.retrieval.test_selftest import no_hosts as no_hosts
from workspace.accounts.models import Person

pytestmark = pytest.mark.django_db(transaction=True)

BOATS = [f"## Boat {n}\n\nBoat {n} is moored at pier {n} and rows to isle {n}." for n in range(90)]
LONG = "# Boats\n\n" + "\n\n".join(BOATS)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.LOCAL_MODELS = False
    monkeypatch.setattr(tasks.ingest_document, "delay", tasks.ingest_document)
    monkeypatch.setattr(tasks.wipe, "delay", lambda: None)


@pytest.fixture
def browser(alice: Person) -> Client:
    client = Client()
    client.force_login(alice)
    return client


def attach(browser: Client, text: str, name: str = "prices.txt") -> dict[str, Any]:
    said: dict[str, Any] = browser.post("/documents/attach/", {"file": SimpleUploadedFile(name, text.encode())}).json()
    return said


def asked(person: Person, text: str, **fields: Any) -> record.Opened:
    return record.open_send(person.pk, Send(client_id=uuid4(), text=text, **fields))


def test_a_file_becomes_a_document_that_the_question_is_asked_with(browser: Client, alice: Person) -> None:
    said = attach(browser, "A ticket costs nine euros.")
    assert browser.get(f"/documents/{said['id']}/state/").json()["searchable"] is True
    document = Document.objects.get(pk=said["id"])
    assert document.collection.kind == Collection.Kind.ATTACHED
    opened = asked(alice, "What does it cost?", attached=(document.pk,))
    assert opened.request.grounding.attached == (str(document.pk),)
    assert opened.request.grounding.collections == ()
    assert opened.question.grounding == {"attached": [str(document.pk)]}
    page = browser.get(f"/c/{opened.chat.pk}/").content.decode()
    assert '<span class="file">prices.txt</span>' in page and 'data-ready="1"' not in page


def test_what_is_kept_comes_back_with_the_page(browser: Client, alice: Person) -> None:
    said = attach(browser, "A ticket costs nine euros.")
    opened = asked(alice, "What does it cost?", kept=(Document.objects.get(pk=said["id"]).pk,))
    page = browser.get(f"/c/{opened.chat.pk}/").content.decode()
    assert f'data-document="{said["id"]}"' in page and 'data-ready="1"' in page


def test_another_file_of_the_same_name_takes_no_others_place(browser: Client) -> None:
    first, same = attach(browser, "Nine euros."), attach(browser, "Nine euros.")
    other = attach(browser, "Ten euros.")
    assert first["id"] == same["id"] != other["id"]
    assert sorted(Document.objects.values_list("name", flat=True)) == ["prices (2).txt", "prices.txt"]


def test_a_file_that_gives_no_text_says_why(browser: Client) -> None:
    assert "is empty" in attach(browser, "")["cause"]
    said = attach(browser, "words", name="a.pdf")
    assert "the file is none" in browser.get(f"/documents/{said['id']}/state/").json()["failed"]


def test_nobody_elses_document_can_be_named(browser: Client, bob: Person) -> None:
    said = attach(browser, "A ticket costs nine euros.")
    opened = asked(bob, "What does it cost?", attached=(Document.objects.get(pk=said["id"]).pk,))
    assert opened.request.grounding.attached == ()
    other = Client()
    other.force_login(bob)
    assert other.get(f"/documents/{said['id']}/state/").status_code == 404


def test_ids_that_are_none_are_refused_by_the_frame() -> None:
    with pytest.raises(Refused, match="attached"):
        parse('{"type": "send", "client_id": "' + str(uuid4()) + '", "text": "x", "attached": ["no"]}')


@pytest.mark.usefixtures("no_hosts")
def test_a_short_file_is_given_whole_and_of_a_long_one_what_fits(alice: Person) -> None:
    shelf = Collection.objects.create(name="A", owner=alice, kind=Collection.Kind.ATTACHED)
    short = Document.objects.create(collection=shelf, title="S", name="s", digest="1", text="# S\n\nNine euros.\n")
    long = Document.objects.create(collection=shelf, title="L", name="l", digest="2", text=LONG)
    for document in (short, long):
        ingest.write_words(document)

    def found(question: str, *documents: Document) -> list[str]:
        ids = [str(document.pk) for document in documents]
        return [one.text for one in async_to_sync(search.attached)(question, ids, preset=Preset(tokens=300)).evidence]

    assert found("Sum this up", short) == ["Nine euros."]
    assert found("Where is boat 77 moored?", long)[0].startswith("Boat 77 is moored")
    beginning = found("Sum this up", long)
    assert beginning[0].startswith("Boat 0 is moored") and 1 < len(beginning) < 90


@pytest.mark.usefixtures("no_hosts")
def test_of_a_book_no_more_is_read_than_fits(alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = Collection.objects.create(name="A", owner=alice, kind=Collection.Kind.ATTACHED)
    book = Document.objects.create(collection=shelf, title="L", name="l", digest="2", text=LONG * 20)
    ingest.write_words(book)
    read: list[str] = []
    monkeypatch.setattr(search, "estimate", lambda text: read.append(text) or 100)
    async_to_sync(search.attached)("Sum this up", [str(book.pk)], preset=Preset(tokens=300))
    assert book.passages > 100 and len(read) == 4
