"""Documents attached in a chat: taken from the composer, read like any other, and searched where they are attached."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_safe

from chat.models import Message
from chat.uploads import refuse, takes_a_file
from retrieval import adding
from retrieval.access import document_for, documents_of
from retrieval.models import Document
from workspace.accounts.models import Person
from workspace.accounts.rights import person_of

SEARCHABLE = (Document.State.LEXICAL, Document.State.READY)


@takes_a_file
def attach(request: HttpRequest, file: UploadedFile) -> JsonResponse:
    """A file becomes a document of the person's, which the next question names."""
    try:
        document = adding.attach(person_of(request), file)
    except adding.NotTaken as refused:
        return refuse(str(refused), "")
    return JsonResponse(_told(document))


@login_required
@require_safe
def state(request: HttpRequest, id: UUID) -> JsonResponse:
    """How far a document is: the composer waits until it can be searched."""
    return JsonResponse(_told(document_for(person_of(request), id)))


def kept_in(path: list[Message], person: Person) -> list[Document]:
    """The documents that the last question of a path was asked with for the whole chat, and that are still there."""
    questions = [message for message in path if message.role == Message.Role.PERSON]
    named = questions[-1].grounding.get("kept", []) if questions else []
    return list(documents_of(person).filter(pk__in=named).defer("text", "pages")) if named else []


def _told(document: Document) -> dict[str, Any]:
    failure = document.failure or {}
    return {
        "id": document.pk,
        "name": document.name,
        "url": reverse("document", args=[document.pk]),
        "searchable": document.state in SEARCHABLE,
        "failed": f"{failure.get('cause', '')} {failure.get('action', '')}".strip() if failure else "",
    }
