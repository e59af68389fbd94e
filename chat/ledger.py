"""The ledger of chats: each has an entry from when it began, so that one that is missing as a whole shows.

Whoever deletes a chat in the product marks its row, which stays. An entry tells whose the chat was and where it came
from, and its digest covers those of the ``NEAR`` entries before it: taking one out, or altering it, breaks the others.
Not of the one before it alone, as in the audit log: all who begin a chat would have to wait for each other, as two at
once would else name the same one, and nothing cover one of them. Nothing covers the newest entry yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC
from typing import Any
from uuid import UUID

from django.db.models import Func, TextField, Value
from django.db.models.expressions import RawSQL
from django.db.models.functions import Concat

from chat import whose
from chat.chain import Fault
from chat.models import Chat, Imported, LedgerEntry
from workspace.types import canonical, sha256

NEAR = 8
NAMED = {"owner": "its owner", "origin": "what it is a copy of", "made_by": "who made the copy"}
MISSING = "the chat is missing, and nobody deleted it in the product"
UNKNOWN = "it is not in the ledger of chats: it was added past the product, or its entry was taken out"
BROKEN = "its entry in the ledger of chats was altered"
GAP = "an entry of the ledger of chats that came before its own is missing, or was altered"


def begin(**fields: Any) -> Chat:
    chat = Chat.objects.create(**fields)
    enter(chat)
    return chat


def enter(chat: Chat) -> None:
    """One statement: the database reads what was entered last, and computes the digest over it."""
    told = _told(chat)
    LedgerEntry.objects.create(
        chat=chat.pk, told=told, after=_Newest(), digest=_Digest(Concat(Value(_words(chat.pk, told)), _Newest()))
    )


def verify() -> Iterator[Fault]:
    """What does not fit of chats as a whole. Whoever begins one meanwhile is no fault: no entry and no chat
    ever goes, and chats are read after entries."""
    entries = list(LedgerEntry.objects.order_by("pk"))
    chats = {chat.pk: chat for chat in Chat.objects.only("pk", "created", *(f"{name}_id" for name in NAMED))}
    digests = {entry.digest for entry in entries}
    for entry in entries:
        if entry.digest != sha256(_words(entry.chat, entry.told) + entry.after):
            yield Fault(entry.chat, None, BROKEN)
        if not digests.issuperset(entry.after.split()):
            yield Fault(entry.chat, None, GAP)
        chat = chats.pop(entry.chat, None)
        if chat is None:
            yield Fault(entry.chat, None, MISSING)
        else:
            yield from (Fault(chat.pk, None, what) for what in _other_than_told(chat, entry))
    coming = Imported.objects.filter(source__startswith=Imported.PENDING).values_list("chat", flat=True)
    for pk in chats.keys() - set(coming):
        if not LedgerEntry.objects.filter(chat=pk).exists() and Chat.objects.filter(pk=pk).exists():
            yield Fault(pk, None, UNKNOWN)


def _told(chat: Chat) -> dict[str, str]:
    return {**whose.told(chat, NAMED), "created": chat.created.astimezone(UTC).isoformat()}


def _words(chat: UUID, told: dict[str, str]) -> str:
    return canonical({"chat": str(chat), "told": told}).decode() + "\n"


def _other_than_told(chat: Chat, entry: LedgerEntry) -> Iterator[str]:
    for name in whose.altered(chat, NAMED, entry.told):
        yield f"{NAMED[name]} was altered"
    if _told(chat)["created"] != entry.told.get("created"):
        yield "when it began was altered"


class _Newest(RawSQL):
    """The digests of the newest entries, with blanks between."""

    def __init__(self) -> None:
        table = LedgerEntry._meta.db_table
        rows = f"SELECT digest FROM {table} ORDER BY id DESC LIMIT {NEAR}"
        super().__init__(f"SELECT COALESCE(GROUP_CONCAT(digest, ' '), '') FROM ({rows}) AS newest", (), TextField())

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        sql, params = self.as_sql(compiler, connection)
        return sql.replace("GROUP_CONCAT", "STRING_AGG"), params


class _Digest(Func):
    """SHA-256 in hex; PostgreSQL's own, which needs no extension as Django's does."""

    function = "SHA256"
    output_field = TextField()

    def as_postgresql(self, compiler: Any, connection: Any) -> Any:
        template = "ENCODE(SHA256(CONVERT_TO(%(expressions)s, 'UTF8')), 'hex')"
        return self.as_sql(compiler, connection, template=template)
