"""Chats are private unless shared. Alice owns, Bob is invited, Charlie must see nothing."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse

from chat import access, tree
from chat.models import Chat, ChatShare
from tests.chat.test_pages import answer, question, text
from workspace.accounts.models import Person, Role

pytestmark = pytest.mark.django_db


@pytest.fixture
def chat(alice: Person) -> Chat:
    chat = Chat.objects.create(owner=alice, title="Bridges")
    asked = question(chat, "Which bridge?")
    answer(asked, "The old one.")
    answer(asked, "The new one.")
    return chat


def give(chat: Chat, name: str, rights: str = "read", *, by: Person | None = None) -> Any:
    client = Client()
    client.force_login(by or chat.owner)
    return client.post(reverse("chat-share", args=[chat.pk]), {"name": name, "rights": rights})


def of(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def test_a_shared_chat_is_read_by_the_invited_and_nobody_else(chat: Chat, bob: Person, charlie: Person) -> None:
    address = reverse("chat", args=[chat.pk])
    assert of(bob).get(address).status_code == 404
    assert give(chat, "Bob").status_code == 200
    html = text(of(bob).get(address))
    assert "The new one." in html and "alice shares this chat with you for reading" in html
    assert "Shared with me" in html and "<small>alice</small>" in html
    assert of(charlie).get(address).status_code == 404
    assert "Shared with me" not in text(of(charlie).get("/"))


def test_the_head_tells_with_whom_a_chat_is_shared(chat: Chat, bob: Person) -> None:
    give(chat, "bob", "write")
    assert "Shared with bob" in text(of(chat.owner).get(reverse("chat", args=[chat.pk])))
    assert "<b>alice</b>, shared with bob" in text(of(bob).get(reverse("chat", args=[chat.pk])))


def test_a_group_reads_while_it_has_the_person(chat: Chat, bob: Person) -> None:
    bridge = Group.objects.create(name="bob")  # of the same name: the list tells them apart
    assert give(chat, "bob (group)", "write").status_code == 200
    assert ChatShare.objects.get(chat=chat).group == bridge
    assert not access.chats_of(bob).exists()
    bob.groups.add(bridge)
    assert access.chats_of(bob).get() == chat and access.may_write(bob, chat)
    bob.groups.remove(bridge)
    assert not access.chats_of(bob).exists()


def test_rights_are_changed_and_taken_back(chat: Chat, bob: Person) -> None:
    give(chat, "bob", "write")
    assert access.may_write(bob, chat)
    give(chat, "bob", "read")
    assert access.chats_of(bob).exists() and not access.may_write(bob, chat)
    share = ChatShare.objects.get(chat=chat)
    page = of(chat.owner)
    address = reverse("chat-share", args=[chat.pk])
    page.post(address, {"share": share.pk, "rights": "write"})
    assert access.may_write(bob, chat)
    page.post(address, {"share": share.pk, "rights": "none"})
    assert not access.chats_of(bob).exists()


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ({"name": "nobody", "rights": "read"}, "Nobody here is named"),
        ({"name": "alice", "rights": "read"}, "yours already"),
        ({"name": "gone", "rights": "read"}, "Nobody here is named"),
        ({"name": "bob", "rights": "everything"}, "Choose to read or to write"),
        ({"name": "bob"}, "Choose to read or to write"),
        ({"share": "7", "rights": "none"}, "not shared with them any more"),
        ({"share": "x", "rights": "read"}, "not shared with them any more"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(chat: Chat, bob: Person, said: dict[str, str], cause: str) -> None:
    Person.objects.create_user("gone", is_active=False)
    refused = of(chat.owner).post(reverse("chat-share", args=[chat.pk]), said)
    assert refused.status_code == 400 and cause in text(refused)
    assert not ChatShare.objects.exists()


def test_a_share_of_another_chat_is_not_changed_through_this_one(chat: Chat, bob: Person, charlie: Person) -> None:
    theirs = Chat.objects.create(owner=charlie)
    share = ChatShare.objects.create(chat=theirs, person=bob)
    address = reverse("chat-share", args=[chat.pk])
    assert of(chat.owner).post(address, {"share": share.pk, "rights": "none"}).status_code == 400
    assert ChatShare.objects.filter(pk=share.pk).exists()


def test_the_database_holds_one_share_for_one(chat: Chat, bob: Person) -> None:
    group = Group.objects.create(name="bridge")
    ChatShare.objects.create(chat=chat, person=bob)
    ChatShare.objects.create(chat=chat, group=group)
    for wrong in ({"person": bob}, {"group": group}, {}, {"person": chat.owner, "group": group}):
        with pytest.raises(IntegrityError), transaction.atomic():
            ChatShare.objects.create(chat=chat, **wrong)


def test_everybody_stands_where_they_went(chat: Chat, bob: Person) -> None:
    give(chat, "bob")
    old, new = chat.messages.filter(role="model").order_by("id")
    of(bob).post(reverse("chat-place", args=[chat.pk]), {"message": old.pk})
    assert tree.place_of(chat, bob) == old
    assert tree.place_of(chat, chat.owner) == new
    more = answer(question(chat, "And then?", parent=old), "Then the other.")
    assert tree.place_of(chat, bob) == more, "what the owner writes below is on the reader's path"


def test_every_question_names_who_asked(chat: Chat, bob: Person) -> None:
    question(chat, "And by night?", parent=chat.messages.filter(role="model").last(), author=bob)
    html = text(of(chat.owner).get(reverse("chat", args=[chat.pk])))
    assert ">alice</span> ·" in html and ">bob</span> ·" in html


def test_a_viewer_who_is_given_to_write_still_reads(chat: Chat, bob: Person) -> None:
    Person.objects.filter(pk=bob.pk).update(role=Role.VIEWER)
    give(chat, "bob", "write")
    assert "Your role may read chats" in text(of(bob).get(reverse("chat", args=[chat.pk])))


def test_a_deleted_chat_is_gone_for_the_invited_too(chat: Chat, bob: Person) -> None:
    give(chat, "bob", "write")
    of(chat.owner).post(reverse("chat-delete", args=[chat.pk]))
    assert of(bob).get(reverse("chat", args=[chat.pk])).status_code == 404
    assert access.rights_in([chat.pk], [bob.pk, chat.owner_id]) == {}


def test_both_ways_of_asking_for_rights_agree(chat: Chat, bob: Person, charlie: Person) -> None:
    """``chats_of`` for one person and ``rights_in`` for many are two statements of one rule."""
    group = Group.objects.create(name="bridge")
    charlie.groups.add(group)
    people = [chat.owner, bob, charlie]
    chats = [Chat.objects.create(owner=owner) for owner in people] + [chat]
    ChatShare.objects.create(chat=chats[0], person=bob)
    ChatShare.objects.create(chat=chats[0], group=group, may_write=True)
    ChatShare.objects.create(chat=chats[1], person=charlie)
    ChatShare.objects.create(chat=chats[1], group=group, may_write=True)
    rights = access.rights_in([one.pk for one in chats], [one.pk for one in people])
    readable = {(one.pk, person.pk) for person in people for one in access.chats_of(person)}
    assert rights.keys() == readable and len(readable) == 7
    assert rights[chats[1].pk, charlie.pk] and not rights[chats[0].pk, bob.pk]
