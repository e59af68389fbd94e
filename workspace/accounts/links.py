"""One-time sign-in links. Only a digest is stored, and a link is spent by one UPDATE that two clicks can't both win."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from workspace.accounts.models import Person, SignInLink
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.types import sha256


class LinkRefused(Exception):
    """Why a link does not sign anybody in, in words."""


def make(person: Person, *, minutes: int = 60) -> str:
    """The token of a new link."""
    token = secrets.token_urlsafe(32)
    expires = timezone.now() + timedelta(minutes=minutes)
    with transaction.atomic():
        SignInLink.objects.create(digest=sha256(token), person=person, expires=expires)
        record(Action.LINK_MADE, about=person, words=f"It works once, for {minutes} minutes.")
    return token


def redeem(token: str) -> Person:
    """The person a link is for; the link is spent. Raises LinkRefused."""
    now = timezone.now()
    digest = sha256(token)
    # The update names its own row only: through a join it would become a subquery, which PostgreSQL does not
    # read again after waiting for the other click, and two clicks would win.
    allowed = SignInLink.objects.filter(digest=digest, person__is_active=True).exists()
    if not allowed or not SignInLink.objects.filter(digest=digest, used=None, expires__gt=now).update(used=now):
        raise LinkRefused(_why(digest))
    return SignInLink.objects.select_related("person").get(digest=digest).person


def _why(digest: str) -> str:
    link = SignInLink.objects.filter(digest=digest).first()
    if link is None:
        return "This link is not known here."
    if link.used:
        return "This link has been used. Each works once."
    if link.expires <= timezone.now():
        return "This link has expired."
    return "The person this link is for is switched off."
