"""Invitations: a link that makes a person, for so many people and so long. Joining is one transaction."""

from __future__ import annotations

import secrets

from django.db import transaction
from django.utils import timezone

from workspace.accounts.models import Invitation, Person
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.types import sha256

UNKNOWN = "This invitation is not known here."


class InvitationRefused(Exception):
    """Why nobody can join by an invitation, in words."""


def new_token() -> tuple[str, str]:
    """A token, shown once, and its digest, which is kept."""
    token = secrets.token_urlsafe(32)
    return token, sha256(token)


def find(token: str) -> Invitation:
    """The open invitation of a link. Raises InvitationRefused."""
    invitation = Invitation.objects.select_related("author").filter(digest=sha256(token)).first()
    if invitation is None:
        raise InvitationRefused(UNKNOWN)
    if invitation.closed:
        raise InvitationRefused(invitation.closed)
    return invitation


def addressed_to(email: str) -> Invitation | None:
    """The newest open invitation that names this address, which somebody has verified."""
    found = Invitation.objects.select_related("author").filter(email__iexact=email).order_by("-created")
    return next((invitation for invitation in found if not invitation.closed), None)


@transaction.atomic
def accept(invitation: Invitation, person: Person) -> None:
    """Save ``person`` with what the invitation gives. Raises InvitationRefused, and then nothing is saved.

    The row is locked and read again, so two people who join at once by its last use are not both let in.
    """
    locked = Invitation.objects.select_for_update().get(pk=invitation.pk)
    if locked.closed:
        raise InvitationRefused(locked.closed)
    locked.used += 1
    locked.save(update_fields=["used"])
    person.role = locked.role
    person.email = person.email or locked.email
    person.invitation = locked
    person.save()
    person.groups.set(locked.groups.all())
    record(Action.JOINED, about=locked, actor=person, words=f"As {locked.get_role_display().lower()}.")


def revoke(invitation: Invitation) -> None:
    invitation.revoked = timezone.now()
    invitation.save(update_fields=["revoked"])
