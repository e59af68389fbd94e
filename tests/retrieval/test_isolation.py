"""Nobody gets a chunk, a title, a count or a citation of what they may not see: people, doors and ways to search."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from chat.models import Chat, ChatShare, Message
from retrieval import ingest
from retrieval.models import Collection, CollectionShare, Document
from tests.scripted import Scripted, add_model, say
from tests.tab import tab
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.models import Run
from workspace.types import sha256

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("live", "scripted")]

WORDS = "The cormorant keeps the key under the heather."
QUESTION = "Where does the cormorant keep the key?"
ROUTE = '{"routes": [{"condition": "default", "model": "reader", "grounding": {"documents": true}}]}'
PLAIN = '{"routes": [{"condition": "default", "model": "reader"}]}'


def shelf(owner: Person | None, name: str, **kind: Any) -> Collection:
    collection = Collection.objects.create(owner=owner, name=f"{name} shelf", **kind)
    text = f"# {name} title\n\n{WORDS} It is written by {name}.\n"
    document = Document.objects.create(
        collection=collection, title=f"{name} title", name=f"{name}.md", digest=sha256(text), text=text
    )
    ingest.write_words(document)
    return collection


@pytest.fixture
def shelves(alice: Person, bob: Person, charlie: Person) -> dict[str, Collection]:
    group = Group.objects.create(name="bridge")
    bob.groups.add(group)
    made = {
        "guide": shelf(None, "guide", built_in=True),
        "alice": shelf(alice, "alice"),
        "alice-shared": shelf(alice, "alice-shared"),
        "alice-grouped": shelf(alice, "alice-grouped"),
        "alice-web": shelf(alice, "alice-web", kind="web"),
        "alice-suite": shelf(alice, "alice-suite", kind="suite"),
        "bob": shelf(bob, "bob"),
        "charlie": shelf(charlie, "charlie"),
    }
    CollectionShare.objects.create(collection=made["alice-shared"], person=bob)
    CollectionShare.objects.create(collection=made["alice-grouped"], group=group)
    add_model("reader")
    save_version("default", PLAIN)
    catalog.forget()
    return made


SEARCHED = {  # what a search of everything reads, by person
    "alice": {"guide", "alice", "alice-shared", "alice-grouped"},
    "bob": {"guide", "alice-shared", "alice-grouped", "bob"},
    "charlie": {"guide", "charlie"},
}
SEEN = {**SEARCHED, "alice": {*SEARCHED["alice"], "alice-web", "alice-suite"}}  # what they may open


async def _send(person: Person, shelves: dict[str, Collection], **fields: Any) -> str:
    async with tab(person) as browser:
        await browser.tell("send", client_id=uuid4(), text=QUESTION, blobs=[], **fields)
        return json.dumps(await browser.hear("settled"))


async def by_all(person: Person, shelves: dict[str, Collection]) -> str:
    return await _send(person, shelves, documents=True)


async def by_naming_every_collection(person: Person, shelves: dict[str, Collection]) -> str:
    return await _send(person, shelves, documents=True, collections=[str(one.pk) for one in shelves.values()])


async def by_route(person: Person, shelves: dict[str, Collection]) -> str:
    await sync_to_async(save_version)("default", ROUTE)
    catalog.forget()
    return await _send(person, shelves)


async def by_comparison(person: Person, shelves: dict[str, Collection]) -> str:
    say("[1]")
    async with tab(person) as browser:
        lanes = [{"model": "reader"}, {"model": "reader", "parameters": {"temperature": 0.1}}]
        await browser.tell("compare", client_id=uuid4(), text=QUESTION, blobs=[], documents=True, lanes=lanes)
        return "".join([json.dumps(await browser.hear("settled")) for _ in lanes])


WAYS: dict[str, Callable[[Person, dict[str, Collection]], Awaitable[str]]] = {
    "all documents": by_all,
    "every collection named": by_naming_every_collection,
    "a route": by_route,
    "a comparison": by_comparison,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("who", SEARCHED)
async def test_every_way_to_search_reads_what_the_person_may_see(
    who: str, way: str, shelves: dict[str, Collection]
) -> None:
    person = await Person.objects.aget(username=who)
    say("[1]")
    told = await WAYS[way](person, shelves)
    sent = "".join(call.system for call in Scripted.calls)
    runs = json.dumps([run.manifest async for run in Run.objects.all()])
    assert {name for name in shelves if f"by {name}." in runs} <= SEARCHED[who], "and no more was kept of the run"
    assert {name for name in shelves if f"by {name}." in sent} == kept(who, sent), "near-duplicates are dropped"
    for name in shelves.keys() - SEARCHED[who]:
        for sign in (f"{name} title", f"by {name}.", str(shelves[name].pk)):
            assert sign not in told + sent + runs


def kept(who: str, sent: str) -> set[str]:
    """Of texts that say the same, one is read; which one is chance, but it is one of theirs."""
    found = {name for name in SEARCHED[who] if f"by {name}." in sent}
    assert found
    return found


@pytest.mark.parametrize("who", SEEN)
def test_pages_open_files_and_counts_are_of_what_the_person_may_see(
    who: str, shelves: dict[str, Collection], client: Client
) -> None:
    person = Person.objects.get(username=who)
    client.force_login(person)
    listed = client.get(reverse("documents")).content.decode()
    home = client.get(reverse("home")).content.decode()
    for name, collection in shelves.items():
        document = collection.documents.get()
        opened = client.get(reverse("document", args=[document.pk]), {"start": 0, "end": 5})
        assert (opened.status_code == 200) is (name in SEEN[who]), name
        if name not in SEEN[who]:
            assert f"{name} title" not in listed + home and f"{name} shelf" not in listed + home
            assert str(collection.pk) not in listed + home


async def test_who_retries_in_a_shared_chat_searches_their_own(
    alice: Person, bob: Person, shelves: dict[str, Collection]
) -> None:
    say("[1]")
    await by_all(alice, shelves)
    chat, answer = await Chat.objects.aget(), await Message.objects.aget(role="model")
    await ChatShare.objects.acreate(chat=chat, person=bob, may_write=True)
    say("[1]")
    async with tab(bob) as browser:
        await browser.tell("open", chat=chat.pk)
        await browser.tell("retry", chat=chat.pk, message=answer.pk, client_id=uuid4(), model="")
        await browser.hear("settled")
    sent = Scripted.calls[-1].system
    assert "by alice." not in sent and any(f"by {name}." in sent for name in SEARCHED["bob"])


async def test_what_is_unshared_is_read_no_longer(
    alice: Person, bob: Person, shelves: dict[str, Collection], client: Client
) -> None:
    await CollectionShare.objects.all().adelete()
    say("[1]")
    await by_naming_every_collection(bob, shelves)
    assert "alice" not in Scripted.calls[-1].system
    document = await Document.objects.aget(collection=shelves["alice-shared"])
    await sync_to_async(client.force_login)(bob)
    gone = await sync_to_async(client.get)(reverse("document", args=[document.pk]))
    assert gone.status_code == 404
