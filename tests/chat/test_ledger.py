"""The ledger of chats: one that is missing as a whole shows, and none that somebody deleted in the product does."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from chat import copies, ledger, record
from chat.exchange import links
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Conversation, Node, Unreadable
from chat.frames import Send
from chat.ledger import BROKEN, GAP, MISSING, UNKNOWN
from chat.models import Chat, Imported, LedgerEntry, Message
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.types import canonical, sha256

pytestmark = pytest.mark.django_db


def faults() -> list[tuple[UUID, str]]:
    return [(one.chat, one.what) for one in ledger.verify()]


def asked(person: Person) -> Chat:
    return record.open_send(person.pk, Send(client_id=uuid4(), text="Tea?", model="none")).chat


def told(title: str) -> Conversation:
    nodes = (Node(id="q", parent=None, side="person", text="Tea?"), Node(id="a", parent="q", side="model", text="Yes."))
    return Conversation(title=title, nodes=nodes, source="ChatGPT", key=title)


class Shelf:
    """Four chats, each begun in another way, and one more than an entry covers."""

    def __init__(self, alice: Person, bob: Person) -> None:
        self.alice, self.bob = alice, bob
        self.asked = asked(alice)
        [self.imported] = bring_in(alice, [told("Tea")]).chats
        self.question = Message.objects.get(chat=self.imported, role="person")
        answers = list(Message.objects.filter(chat=self.imported).order_by("depth"))
        self.fork = copies.fork(self.imported, alice, answers[-1], bob)
        made = links.make(alice, self.imported, answers, days=1, public=False)
        assert made
        self.linked = links.fork(made[0], bob)
        self.later = [asked(bob) for _ in range(ledger.NEAR)]

    def entry(self, chat: Chat) -> Any:
        return LedgerEntry.objects.filter(chat=chat.pk)


@pytest.fixture
def shelf(alice: Person, bob: Person) -> Shelf:
    found = Shelf(alice, bob)
    assert LedgerEntry.objects.count() == Chat.objects.count() == 4 + ledger.NEAR
    assert faults() == [], "the premise: whichever way a chat began, it is entered"
    return found


def test_a_chat_that_somebody_deletes_is_no_fault(shelf: Shelf) -> None:
    client = Client()
    client.force_login(shelf.alice)
    for wanted in (True, False):
        address = f"/c/{shelf.asked.pk}/delete/"
        client.post(address, {} if wanted else {"undo": "1"})
        assert bool(Chat.objects.get(pk=shelf.asked.pk).deleted) == wanted, "the premise"
        assert faults() == []


def test_to_begin_a_chat_costs_one_statement_more(alice: Person) -> None:
    with CaptureQueriesContext(connection) as stated:
        ledger.begin(owner=alice)
    assert len([one for one in stated if one["sql"].startswith("INSERT")]) == len(stated) == 2


def test_what_an_import_never_finished_is_no_fault(shelf: Shelf) -> None:
    def broken() -> Any:
        yield told("Milk")
        assert Imported.objects.filter(source__startswith=Imported.PENDING).count() == 1
        assert faults() == [], "while it comes in, too"
        raise Unreadable("The rest is no file.", "")

    with pytest.raises(Unreadable):
        bring_in(shelf.alice, broken())
    assert faults() == []


def take_out(chat: Chat) -> None:
    """As SQL would, with all that hangs on it."""
    Message.objects.filter(origin__chat=chat).update(origin=None)
    Chat.objects.filter(origin__chat=chat).update(origin=None)
    Chat.objects.filter(pk=chat.pk).delete()


def _removed(shelf: Shelf) -> None:
    shelf.entry(shelf.imported).delete()


def _both(shelf: Shelf) -> None:
    _removed(shelf)
    take_out(shelf.imported)


def _entry(**fields: Any) -> Callable[[Shelf], object]:
    return lambda shelf: shelf.entry(shelf.asked).update(**fields)


def _forged(shelf: Shelf) -> None:
    """With a digest that fits."""
    [entry] = shelf.entry(shelf.asked)
    told = {**entry.told, "owner": str(shelf.bob.pk)}
    words = canonical({"chat": str(entry.chat), "told": told}).decode() + "\n"
    shelf.entry(shelf.asked).update(told=told, digest=sha256(words + entry.after))


def _chat(which: str, **named: Any) -> Callable[[Shelf], object]:
    def forge(shelf: Shelf) -> object:
        fields = {name: getattr(shelf, one) if isinstance(one, str) else one for name, one in named.items()}
        return Chat.objects.filter(pk=getattr(shelf, which).pk).update(**fields)

    return forge


NEXT = ["imported", "fork", "linked", *range(ledger.NEAR - 3)]  # whose entries cover that of the chat begun first
FORGED: dict[str, tuple[Callable[[Shelf], object], list[tuple[Any, str]]]] = {
    "a chat": (lambda shelf: take_out(shelf.asked), [("asked", MISSING)]),
    "the newest chat": (lambda shelf: take_out(shelf.later[-1]), [(-1, MISSING)]),
    "its entry": (_removed, [*((one, GAP) for one in [*NEXT[1:], ledger.NEAR - 3]), ("imported", UNKNOWN)]),
    "both": (_both, [(one, GAP) for one in [*NEXT[1:], ledger.NEAR - 3]]),
    "what an entry tells": (_entry(told={}), [("asked", BROKEN), ("asked", "its owner was altered"),
                                              ("asked", "when it began was altered")]),
    "what it covers": (_entry(after="0" * 64), [("asked", BROKEN), ("asked", GAP)]),
    "its digest": (_entry(digest="0" * 64), [("asked", BROKEN), *((one, GAP) for one in NEXT)]),
    "whose entry it is": (_entry(chat=new_id()), [(None, BROKEN), (None, MISSING), ("asked", UNKNOWN)]),
    "an entry, with its digest": (_forged, [("asked", "its owner was altered"), *((one, GAP) for one in NEXT)]),
    "whose a chat is": (_chat("asked", owner="bob"), [("asked", "its owner was altered")]),
    "where it came from": (_chat("fork", origin="question"), [("fork", "what it is a copy of was altered")]),
    "that it came from there": (_chat("fork", origin=None), [("fork", "what it is a copy of was altered")]),
    "that it came from anywhere": (_chat("asked", origin="question"), [("asked", "what it is a copy of was altered")]),
    "who made the copy": (_chat("linked", made_by="alice"), [("linked", "who made the copy was altered")]),
    "when it began": (_chat("asked", created=F("created") - timedelta(days=1)),
                      [("asked", "when it began was altered")]),
    "a chat put in": (lambda shelf: Chat.objects.create(pk=UUID(int=7), owner=shelf.bob), [(UUID(int=7), UNKNOWN)]),
}  # fmt: skip


@pytest.mark.parametrize("what", FORGED)
def test_what_was_forged_or_taken_out_is_found(shelf: Shelf, what: str) -> None:
    forge, expected = FORGED[what]
    lift()
    forge(shelf)
    named: dict[Any, UUID] = {one: getattr(shelf, one).pk for one in ("asked", "imported", "fork", "linked")}
    named |= {at: chat.pk for at, chat in enumerate(shelf.later)} | {-1: shelf.later[-1].pk}
    named[None] = next(iter(set(LedgerEntry.objects.values_list("chat", flat=True)) - set(named.values())), UUID(int=0))
    assert faults() == [(named.get(one, one), what) for one, what in expected]


def lift() -> None:
    """Undone with the test's transaction."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP TRIGGER ledger_guard ON chat_ledgerentry")
        else:
            cursor.execute("DROP TRIGGER ledger_update")
            cursor.execute("DROP TRIGGER ledger_delete")


def test_every_column_is_in_the_matrix_or_may_change() -> None:
    assert {field.name for field in LedgerEntry._meta.concrete_fields} == {"id", "chat", "told", "after", "digest"}
    sealed, moving = {"id", "owner", "origin", "made_by", "created"}, {"title", "touched", "sum", "deleted"}
    assert {field.name for field in Chat._meta.concrete_fields} == sealed | moving


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda: LedgerEntry.objects.update(told={}), id="changed"),
        pytest.param(lambda: LedgerEntry.objects.update(digest="0" * 64), id="given another digest"),
        pytest.param(lambda: LedgerEntry.objects.all().delete(), id="taken out"),
    ],
)
def test_the_database_lets_no_entry_be(alice: Person, change: Callable[[], object]) -> None:
    ledger.begin(owner=alice)
    with pytest.raises(DatabaseError, match="an entry of the ledger stays as it is"), transaction.atomic():
        change()
    assert LedgerEntry.objects.count() == 1


def test_chats_of_before_are_entered_by_the_migration(shelf: Shelf) -> None:
    lift()
    LedgerEntry.objects.all().delete()
    assert {what for _, what in faults()} == {UNKNOWN}, "the premise"
    import_module("chat.migrations.0015_ledger").enter_all(apps, None)
    assert faults() == [] and LedgerEntry.objects.count() == Chat.objects.count()
    asked(shelf.alice)
    assert faults() == [], "and it goes on from there"
