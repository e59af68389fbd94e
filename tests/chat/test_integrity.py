"""The database refuses what would break a tree, whoever writes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import DatabaseError, transaction

from chat.models import Chat, Message
from workspace.accounts.models import Person
from workspace.router.models import Run


@pytest.fixture
def chat(alice: Person) -> Chat:
    return Chat.objects.create(owner=alice)


def question(chat: Chat, parent: Message | None = None, **fields: object) -> Message:
    depth = parent.depth + 1 if parent else 0
    return Message.objects.create(
        **{"chat": chat, "parent": parent, "role": "person", "settled": True, "depth": depth, **fields}
    )


def answer(chat: Chat, parent: Message, **fields: object) -> Message:
    return question(chat, parent, **{"role": "model", "run": Run.objects.create(), "settled": False, **fields})


def test_a_question_and_its_answer_are_written(chat: Chat) -> None:
    reply = answer(chat, question(chat))
    Message.objects.filter(pk=reply.pk).update(parts=[{"kind": "text", "text": "Yes."}], settled=True)
    reply.refresh_from_db()
    assert (reply.depth, reply.settled) == (1, True)


@pytest.mark.parametrize(
    "break_it",
    [
        pytest.param(lambda c, other, q, a: question(c, question(other)), id="a parent in another chat"),
        pytest.param(lambda c, other, q, a: question(c, q, depth=5), id="a wrong depth"),
        pytest.param(lambda c, other, q, a: question(c, depth=3), id="a root with a depth"),
        pytest.param(lambda c, other, q, a: Message.objects.filter(pk=q.pk).update(parent=a), id="a cycle"),
        pytest.param(lambda c, other, q, a: Message.objects.filter(pk=a.pk).update(parent=None, depth=0), id="a move"),
        pytest.param(lambda c, other, q, a: Message.objects.filter(pk=q.pk).update(chat=other), id="into another chat"),
        pytest.param(
            lambda c, other, q, a: Message.objects.filter(pk=q.pk).update(parts=[{"kind": "text", "text": "Other."}]),
            id="a settled question",
        ),
        pytest.param(lambda c, other, q, a: Message.objects.filter(pk=q.pk).update(settled=False), id="unsettling"),
        pytest.param(
            lambda c, other, q, a: question(c, q, run=Run.objects.create()), id="a person's message with a run"
        ),
        pytest.param(lambda c, other, q, a: question(c, q, role="model"), id="an answer without a run"),
    ],
)
def test_what_breaks_the_tree_is_refused(chat: Chat, bob: Person, break_it: Callable[..., object]) -> None:
    asked = question(chat)
    replied = answer(chat, asked)
    other = Chat.objects.create(owner=bob)
    with pytest.raises(DatabaseError), transaction.atomic():
        break_it(chat, other, asked, replied)
    assert Message.objects.filter(chat=chat).count() == 2
