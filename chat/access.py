"""The only way to a chat or a message on behalf of a person. Absent and forbidden look alike: ``Http404``.

A chat is its owner's alone until it is shared with a person or a group, to read or to write. Who may read a
chat and may not write in it, or not rule over it, is told so: ``PermissionDenied``.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet, Value
from django.http import Http404

from chat.models import Attachment, Blob, Chat, ChatShare, Message
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat


def chats_of(person: Person) -> QuerySet[Chat]:
    """Every chat the person may read, most recently touched first."""
    shares = ChatShare.objects.filter(Q(person=person) | Q(group__in=person.groups.all()))
    return Chat.objects.filter(Q(owner=person) | Q(pk__in=shares.values("chat")), deleted=None).order_by("-touched")


def chat_for(person: Person, id: UUID | str) -> Chat:
    return _one(chats_of(person).select_related("owner"), id)


def chat_to_write(person: Person, id: UUID | str) -> Chat:
    """A chat the person may ask in."""
    chat = chat_for(person, id)
    if not may_write(person, chat):
        raise PermissionDenied
    return chat


def chat_to_rule(person: Person, id: UUID | str) -> Chat:
    """A chat the person may rename, delete and share: their own."""
    chat = chat_for(person, id)
    if chat.owner_id != person.pk or not may_chat(person):
        raise PermissionDenied
    return chat


def deleted_chat(person: Person, id: UUID | str) -> Chat:
    """A chat of the person's own that they deleted."""
    chat: Chat = _one(Chat.objects.filter(owner=person).exclude(deleted=None), id)
    return chat


def may_write(person: Person, chat: Chat) -> bool:
    """One's own chat needs no further look: this is on the path of every question."""
    if not may_chat(person) or chat.deleted:
        return False
    return chat.owner_id == person.pk or rights_in([chat.pk], [person.pk]).get((chat.pk, person.pk), False)


def rights_in(chats: Collection[UUID], people: Collection[UUID]) -> dict[tuple[UUID, UUID], bool]:
    """Whether each of these people may write in each of these chats; where they may not even read, there is no entry.

    One query, however many there are. What a role forbids is not looked at.
    """
    shares = ChatShare.objects.filter(chat__in=chats, chat__deleted=None)
    own = Chat.objects.filter(pk__in=chats, owner__in=people, deleted=None).values_list("pk", "owner", Value(True))
    theirs = shares.filter(person__in=people).values_list("chat", "person", "may_write")
    groups = shares.filter(group__user__in=people).values_list("chat", "group__user", "may_write")
    rights: dict[tuple[UUID, UUID], bool] = {}
    for chat, person, writes in own.union(theirs, groups):
        rights[chat, person] = bool(writes) or rights.get((chat, person), False)
    return rights


def message_for(person: Person, chat_id: UUID | str, id: UUID | str) -> Message:
    """A message of that very chat: a child's id is never looked up without its parent's."""
    messages = Message.objects.filter(chat__in=chats_of(person), chat_id=_uuid(chat_id))
    return _one(messages.select_related("chat__owner", "run", "parent"), id)


def message_to_write(person: Person, chat_id: UUID | str, id: UUID | str) -> Message:
    """A message of that very chat, in which the person may ask."""
    message: Message = message_for(person, chat_id, id)
    if not may_write(person, message.chat):
        raise PermissionDenied
    return message


def run_message_for(person: Person, run_id: UUID | str) -> Message:
    """The answer that a run wrote; nobody's, while a blind comparison withholds who did."""
    messages = Message.objects.filter(chat__in=chats_of(person)).select_related("chat", "run")
    message = messages.filter(run_id=_uuid(run_id)).first()
    if message is None or (message.run and message.run.withheld):
        raise Http404
    return message


def blob_for(person: Person, digest: str) -> Blob:
    """A blob the person attached, or that stands in a chat they may read."""
    blob = Blob.objects.filter(digest=digest).first()
    if blob is None:
        raise Http404
    mine = Attachment.objects.filter(blob=blob, person=person).exists()
    if not mine and not Message.objects.filter(chat__in=chats_of(person), attached__blob=blob).exists():
        raise Http404
    return blob


def attached_blobs(person: Person, digests: list[str]) -> list[Blob]:
    """The person's own attachments with these digests, in the order asked."""
    if not digests:
        return []
    found = {b.digest: b for b in Blob.objects.filter(digest__in=digests, attachments__person=person)}
    if missing := [digest for digest in digests if digest not in found]:
        raise Http404(f"No attachment {missing[0][:12]}.")
    return [found[digest] for digest in digests]


def _one(rows: QuerySet[Any], id: UUID | str) -> Any:
    row = rows.filter(pk=_uuid(id)).first()
    if row is None:
        raise Http404
    return row


def _uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(str(value))
    except ValueError:
        raise Http404 from None
