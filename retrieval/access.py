"""Which collections and documents a person may see: one place. Absent and forbidden look alike: ``Http404``."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404

from retrieval.models import Collection, Document
from workspace.accounts.models import Person


def collections_of(person: Person) -> list[Collection]:
    """The built-in collection and the person's own."""
    return list(Collection.objects.filter(Q(built_in=True) | Q(owner=person)).order_by("-built_in", "name"))


def documents_of(person: Person) -> QuerySet[Document]:
    """Every document the person may see."""
    return Document.objects.filter(Q(collection__built_in=True) | Q(collection__owner=person))


def document_for(person: Person, id: UUID | str) -> Document:
    try:
        return documents_of(person).select_related("collection").get(pk=id)
    except (Document.DoesNotExist, ValidationError, ValueError):
        raise Http404 from None
