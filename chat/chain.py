"""Messages as a chain: each link is the digest of its parent's link, its own content and the manifest of its run.

Whoever alters a settled message, its run's manifest or their order breaks every link below. A chat keeps the sum of its
links (modulo 2^256: in whatever order they came), so a message that is missing shows too. What was changed together
with every link and every sum does not show: for that, note a chat's sum outside this machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction

from chat.models import Chat, Message
from workspace.types import canonical, sha256

_ROOM = 2**256


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit, and where."""

    chat: UUID
    message: UUID | None
    what: str


def link(message: Message, above: str) -> str:
    manifest = (message.run.manifest or {}).get("digest", "") if message.run else ""
    return sha256("\n".join((above, str(message.pk), message.digest, manifest)))


def above(parent: Message | None) -> str:
    """What a link hangs on: the parent's own link; the id of one that is not settled, for it has none yet."""
    if parent is None:
        return ""
    return parent.chain or f"open {parent.pk}"


def settle(message_id: UUID) -> None:
    """Give a message that has just settled its link, in the transaction that settles it where there is one."""
    message = Message.objects.select_related("parent", "run").get(pk=message_id)
    if not message.settled or message.chain:
        return
    chain = link(message, above(message.parent))
    with transaction.atomic():
        Message.objects.filter(pk=message_id).update(chain=chain)
        chat = Chat.objects.select_for_update().only("sum").get(pk=message.chat_id)
        Chat.objects.filter(pk=chat.pk).update(sum=add(chat.sum, chain))


def add(total: str, chain: str) -> str:
    return f"{(int(total or '0', 16) + int(chain, 16)) % _ROOM:064x}"


def verify() -> Iterator[Fault]:
    """Everything that does not fit, chat by chat."""
    for chat in Chat.objects.order_by("created").only("pk", "sum").iterator():
        yield from _verify(chat)


def _verify(chat: Chat) -> Iterator[Fault]:
    rows = Message.objects.filter(chat=chat).select_related("run").order_by("depth", "pk")
    seen: dict[UUID, Message] = {}
    total = ""
    for message in rows.iterator(chunk_size=500):
        seen[message.pk] = message
        parent = seen.get(message.parent_id) if message.parent_id else None
        if message.chain:
            total = add(total, message.chain)
        if message.settled:
            yield from _faults(chat, message, parent)
    if (total or "0").lstrip("0") != (chat.sum or "0").lstrip("0"):
        yield Fault(chat.pk, None, "messages are missing, or were added past the product")


def _faults(chat: Chat, message: Message, parent: Message | None) -> Iterator[Fault]:
    if message.digest != sha256(canonical(message.parts)):
        yield Fault(chat.pk, message.pk, "its content was altered")
    run = message.run
    if run and run.manifest:
        plain = {name: value for name, value in run.manifest.items() if name != "digest"}
        if run.manifest.get("digest") != sha256(canonical(plain)):
            yield Fault(chat.pk, message.pk, "its manifest was altered")
        if message.parts and run.manifest.get("text_digest") != sha256(run.text):
            yield Fault(chat.pk, message.pk, "the text of its run was altered")
    hangs = {above(parent), f"open {parent.pk}" if parent else ""}
    if message.chain not in {link(message, one) for one in hangs}:
        yield Fault(chat.pk, message.pk, "its link does not fit what is above it")
