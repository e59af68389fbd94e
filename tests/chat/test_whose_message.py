"""Nobody's message becomes somebody else's: the database refuses it, and lets people and personas go."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, transaction

from chat.models import Chat, Message
from workspace.accounts.models import Person
from workspace.router.models import PromptTemplate
from workspace.types import canonical, sha256

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked(alice: Person, bob: Person) -> Message:
    persona = PromptTemplate.objects.create(name="teacher", title="Teacher")
    chat = Chat.objects.create(owner=alice)
    return Message.objects.create(
        chat=chat, role="person", author=bob, persona=persona, parts=[], digest=sha256(canonical([])), settled=True
    )


@pytest.mark.parametrize("name", ["author", "author_name", "persona", "persona_name"])
def test_a_message_is_not_given_to_somebody_else(asked: Message, alice: Person, name: str) -> None:
    other = PromptTemplate.objects.create(name="critic", title="Critic")
    value: dict[str, Any] = {"author": alice, "persona": other, "author_name": "carol", "persona_name": "critic"}
    with pytest.raises(DatabaseError, match="whose a message is does not change"), transaction.atomic():
        Message.objects.filter(pk=asked.pk).update(**{name: value[name]})


def test_nor_to_somebody_once_it_is_nobodys(asked: Message, bob: Person) -> None:
    bob.delete()
    PromptTemplate.objects.filter(name="teacher").delete()
    asked.refresh_from_db()
    assert (asked.author, asked.persona) == (None, None), "people go, and what they said stays"
    carol = Person.objects.create_user("carol", password="a coat in the hall")
    with pytest.raises(DatabaseError, match="whose a message is does not change"), transaction.atomic():
        Message.objects.filter(pk=asked.pk).update(author=carol)
