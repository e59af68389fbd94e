"""Who may do what a frame asks, and of what: each looked up once, and refused in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import Http404

from chat import access
from chat.frames import Refused
from chat.models import Chat, Message
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.router.models import PromptTemplate, Run
from workspace.router.personas import offered_to
from workspace.router.states import LIVE

READS_ONLY = "Your role may read chats, not write in them.", "Ask the owner for the role of member."


def author(person_id: UUID) -> Person:
    person = person_now(person_id)
    if not may_chat(person):
        raise Refused("viewer", *READS_ONLY)
    return person


def person_now(person_id: UUID) -> Person:
    """The person as the database has them now: a socket may be older than a demotion."""
    person = Person.objects.filter(pk=person_id, is_active=True).first()
    if person is None:
        raise Refused("signed_out", "You are signed out.", "Sign in again.")
    return person


def writable_chat(person: Person, id: UUID) -> Chat:
    chat: Chat = found(lambda: access.chat_to_write(person, id), "That chat is not here.", "Start a new chat.")
    return chat


def writable(person: Person, chat_id: UUID, id: UUID) -> Message:
    """A message of that very chat, in which the person may write."""
    message: Message = found(
        lambda: access.message_to_write(person, chat_id, id), "That answer is not here.", "Reload the page."
    )
    return message


def parent_of(chat: Chat, id: UUID | None) -> Message | None:
    """The answer that a question follows."""
    if id is None:
        return None
    parent = Message.objects.filter(chat=chat, pk=id).select_related("run").first()
    if parent is None or parent.role != Message.Role.MODEL:
        raise Refused("wrong_parent", "The message follows one that is not in this chat.", "Reload the page.")
    if parent.run and parent.run.state in LIVE and not in_background(parent.run):
        raise Refused("still_writing", "The answer before it is still being written.", "Wait for it, or stop it.")
    refuse_withheld(parent)
    return parent


def persona_of(person: Person, id: int | None) -> PromptTemplate | None:
    """A persona that the person may choose; ``None`` is the workspace's own prompt."""
    if id is None:
        return None
    found = offered_to(person).filter(pk=min(id, 2**62)).first()
    if found is None:
        raise Refused("no_persona", "That persona is not here any more.", "Choose another one.")
    return found


def refuse_withheld(answer: Message | None) -> None:
    """Nobody goes on with a lane of a blind comparison before the vote."""
    if answer and answer.run and answer.run.withheld:
        raise Refused("withheld", "This comparison is blind, and open.", "Vote first, or reveal it without a vote.")


def in_background(run: Run) -> bool:
    """Whether nobody waits for it: the chat goes on meanwhile."""
    return (run.decision or {}).get("mode") == "background"


def found(look: Callable[[], Any], cause: str, action: str) -> Any:
    try:
        return look()
    except Http404:
        raise Refused("not_found", cause, action) from None
    except PermissionDenied:
        cause, action = "This chat is shared with you for reading.", "Ask its owner to let you write."
        raise Refused("read_only", cause, action) from None
