"""Collections: made, named, shared, chosen for a question; nobody gets a passage, title or count that is not theirs."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Group
from django.test import Client

from chat import record
from chat.frames import Send
from retrieval import access, adding, search, tasks
from retrieval.models import Collection, CollectionShare, Document
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def here(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(texts: Any) -> Any:
        raise link.HostUnavailable("away")

    settings.LOCAL_MODELS = False
    monkeypatch.setattr(link, "aembed", away)
    monkeypatch.setattr(tasks.ingest_document, "delay", tasks.ingest_document)
    for task in (tasks.forget_document, tasks.forget_collection, tasks.wipe):
        monkeypatch.setattr(task, "delay", lambda *_: None)


def browser(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def shelf(person: Person, name: str, *texts: str) -> Collection:
    collection = Collection.objects.create(owner=person, name=name)
    for text in texts:
        adding.add_text(person, text, collection=collection)
    return collection


def asked(person: Person, question: str, *collections: Collection) -> list[str]:
    """The titles that the person's question is given, as a turn gathers them."""
    chosen = tuple(one.pk for one in collections)
    opened = record.open_send(person.pk, Send(client_id=uuid4(), text=question, documents=True, collections=chosen))
    found = async_to_sync(search.search)(question, collections=opened.request.grounding.collections)
    return [e.title for e in found.evidence]


def test_a_text_is_pasted_into_a_collection_and_found(alice: Person) -> None:
    page = browser(alice)
    page.post("/documents/collections/", {"name": "  Boats  "})
    boats = Collection.objects.get(name="Boats")
    page.post("/documents/add/", {"text": "# Ferries\n\nThe ferry leaves at dawn.", "collection": str(boats.pk)})
    document = Document.objects.get()
    assert (document.title, document.name, document.collection_id) == ("Ferries", "Ferries.md", boats.pk)
    assert asked(alice, "When does the ferry leave?") == ["Ferries"]


def test_a_question_is_answered_from_the_collections_that_it_names(alice: Person) -> None:
    boats = shelf(alice, "Boats", "# Ferries\n\nThe ferry leaves at dawn.")
    trains = shelf(alice, "Trains", "# Rails\n\nThe ferry is met by a train at dawn.")
    assert set(asked(alice, "When does the ferry leave?")) == {"Ferries", "Rails"}
    assert asked(alice, "When does the ferry leave?", trains) == ["Rails"]
    assert asked(alice, "When does the ferry leave?", boats) == ["Ferries"]


def test_nobody_gets_what_is_not_theirs_whatever_they_name(alice: Person, bob: Person) -> None:
    boats = shelf(alice, "Secret boats", "# Ferries\n\nThe ferry leaves at dawn.")
    document = Document.objects.get()
    assert asked(bob, "When does the ferry leave?") == []
    assert asked(bob, "When does the ferry leave?", boats) == []
    page = browser(bob)
    assert "Secret boats" not in page.get("/documents/").content.decode()
    assert page.get(f"/documents/{document.pk}/").status_code == 404
    assert page.post(f"/documents/collections/{boats.pk}/", {"delete": "1"}).status_code == 404
    refused = page.post("/documents/add/", {"text": "Mine", "collection": str(boats.pk)})
    assert refused.status_code == 404 and Document.objects.count() == 1


@pytest.mark.parametrize("by", ["person", "group"])
def test_who_it_is_shared_with_asks_and_reads_and_no_more_until_it_ends(alice: Person, bob: Person, by: str) -> None:
    boats = shelf(alice, "Boats", "# Ferries\n\nThe ferry leaves at dawn.")
    document = Document.objects.get()
    bob.groups.add(Group.objects.create(name="crew"))
    owner, guest = browser(alice), browser(bob)
    address = f"/documents/collections/{boats.pk}/"
    assert "Nobody here is named" in owner.post(address, {"share": "nobody"}, follow=True).content.decode()
    owner.post(address, {"share": "bob" if by == "person" else "Crew"})
    assert asked(bob, "When does the ferry leave?") == ["Ferries"]
    shown = guest.get("/documents/").content.decode()
    assert "Boats" in shown and "alice" in shown
    assert guest.get(f"/documents/{document.pk}/").status_code == 200
    assert guest.post(f"/documents/{document.pk}/delete/").status_code == 403
    assert guest.post(address, {"name": "Mine"}).status_code == 403
    assert guest.post("/documents/add/", {"text": "Mine", "collection": str(boats.pk)}).status_code == 403
    owner.post(address, {"unshare": str(CollectionShare.objects.get().pk)})
    assert asked(bob, "When does the ferry leave?") == [] and access.collections_of(bob) == []
    assert guest.get(f"/documents/{document.pk}/").status_code == 404


def test_a_collection_goes_with_its_documents(alice: Person) -> None:
    boats = shelf(alice, "Boats", "# Ferries\n\nThe ferry leaves at dawn.")
    page = browser(alice)
    assert "needs a name" in page.post("/documents/collections/", {"name": " "}, follow=True).content.decode()
    page.post(f"/documents/collections/{boats.pk}/", {"name": "Ships"})
    assert Collection.objects.get(pk=boats.pk).name == "Ships"
    told = page.post(f"/documents/collections/{boats.pk}/", {"delete": "1"}, follow=True).content.decode()
    assert "Ships is deleted" in told and not Document.objects.exists()
    assert asked(alice, "When does the ferry leave?") == []
