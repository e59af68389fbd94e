"""The rows of personal tokens: made, found, used, revoked. Synchronous; who asks over HTTP is ``bearer.py``'s."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.api.models import Token
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.types import sha256

MARK = "op_"  # what every token begins with: scanners for leaked secrets look for such marks
SHOWN = 8  # characters of a token that its row keeps
USED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose token it is, as the router wants to know them."""

    token_id: UUID
    person_id: UUID
    name: str
    groups: tuple[str, ...]
    may_ask: bool
    expires: datetime | None = None


def make(person: Person, *, name: str, days: int | None = None) -> tuple[Token, str]:
    """A new row, and the token itself, which nothing keeps."""
    token = MARK + secrets.token_urlsafe(32)
    expires = timezone.now() + timedelta(days=days) if days else None
    digest = sha256(token)
    with transaction.atomic():
        row = Token.objects.create(person=person, name=name, digest=digest, prefix=token[:SHOWN], expires=expires)
        record(Action.TOKEN_MADE, about=row, name=name, actor=person)
    return row, token


def of(person: Person) -> QuerySet[Token]:
    """The person's tokens that are not revoked, the newest first."""
    return Token.objects.filter(person=person, revoked=None)


@transaction.atomic
def revoke(person: Person, id: UUID) -> str:
    """The digest of what was revoked; empty when the person has no such token."""
    row = of(person).filter(pk=id).first()
    if row is None or not of(person).filter(pk=id).update(revoked=timezone.now()):
        return ""
    record(Action.TOKEN_REVOKED, about=row, name=row.name, actor=person)
    return row.digest


def caller_of(digest: str) -> Caller | None:
    """Who may come in with it. Nobody for a token that is unknown, revoked or expired, or whose person is off."""
    live = Q(expires=None) | Q(expires__gt=timezone.now())
    found = Token.objects.filter(live, digest=digest, revoked=None, person__is_active=True)
    row = found.select_related("person").first()
    if row is None:
        return None
    return Caller(
        token_id=row.pk,
        person_id=row.person_id,
        name=row.person.username,
        groups=tuple(row.person.groups.values_list("name", flat=True)),
        may_ask=may_chat(row.person),
        expires=row.expires,
    )


def note_use(ids: Sequence[UUID]) -> None:
    now = timezone.now()
    stale = Q(last_used=None) | Q(last_used__lte=now - USED_EVERY)
    Token.objects.filter(stale, pk__in=ids).update(last_used=now)
