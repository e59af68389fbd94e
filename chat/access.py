"""The only way to a chat or a message on behalf of a person. Absent and forbidden look alike: ``Http404``."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404

from chat.models import Attachment, Blob, Chat, Message
from workspace.accounts.models import Person


def chats_of(person: Person) -> QuerySet[Chat]:
    """Every chat the person may read, most recently touched first."""
    return Chat.objects.filter(owner=person, deleted=None).order_by("-touched")


def chat_for(person: Person, id: UUID | str) -> Chat:
    return _one(chats_of(person), id)


def message_for(person: Person, chat_id: UUID | str, id: UUID | str) -> Message:
    """A message of that very chat: a child's id is never looked up without its parent's."""
    messages = Message.objects.filter(chat__in=chats_of(person), chat_id=_uuid(chat_id))
    return _one(messages.select_related("chat", "run"), id)


def run_message_for(person: Person, run_id: UUID | str) -> Message:
    """The answer that a run wrote."""
    messages = Message.objects.filter(chat__in=chats_of(person)).select_related("chat", "run")
    message = messages.filter(run_id=_uuid(run_id)).first()
    if message is None:
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
