"""Which collections and documents a person may see: one place. Absent and forbidden look alike: ``Http404``."""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q, QuerySet
from django.http import Http404

from retrieval.models import Collection, CollectionShare, Document
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat


def collections_of(person: Person) -> list[Collection]:
    """What answers may stand on: the guide, the person's own, and what is shared with them; not their pages of the web,
    which the web's search has."""
    return list(_kept(person).select_related("owner"))


def collection_ids_of(person: Person) -> list[UUID]:
    """The same by their ids alone: every question asks for them."""
    return list(_kept(person).values_list("pk", flat=True))


def shelves_of(person: Person) -> list[Collection]:
    """All collections whose documents the person may see, their files of chats and pages of the web last."""
    kinds = (Collection.Kind.ATTACHED, Collection.Kind.WEB)
    others = Collection.objects.filter(owner=person, kind__in=kinds, documents__isnull=False).distinct()
    return [*collections_of(person), *others.order_by("kind")]


def documents_of(person: Person) -> QuerySet[Document]:
    """Every document the person may see."""
    return Document.objects.filter(collection__in=_seen(person))


def collection_to_rule(person: Person, id: UUID | str) -> Collection:
    """A collection of the person's own; whoever may see it, and not change it, is told so: ``PermissionDenied``."""
    try:
        collection = _seen(person).filter(kind=Collection.Kind.DOCUMENTS).get(pk=id)
    except (Collection.DoesNotExist, ValidationError, ValueError):
        raise Http404 from None
    if collection.owner_id != person.pk or not may_chat(person):
        raise PermissionDenied
    return collection


def document_to_change(person: Person, id: UUID | str) -> Document:
    """A document of the person's own; who may only read is told so: ``PermissionDenied``."""
    document = document_for(person, id)
    if document.collection.owner_id != person.pk or not may_chat(person):
        raise PermissionDenied
    return document


def document_for(person: Person, id: UUID | str) -> Document:
    try:
        return documents_of(person).select_related("collection").get(pk=id)
    except (Document.DoesNotExist, ValidationError, ValueError):
        raise Http404 from None


def _kept(person: Person) -> QuerySet[Collection]:
    return _seen(person).filter(kind=Collection.Kind.DOCUMENTS).order_by("-built_in", "name", "pk")


def _seen(person: Person) -> QuerySet[Collection]:
    shares = CollectionShare.objects.filter(Q(person=person) | Q(group__in=person.groups.all()))
    return Collection.objects.filter(Q(built_in=True) | Q(owner=person) | Q(pk__in=shares.values("collection")))
