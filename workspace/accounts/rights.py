"""Who asks for a page, and what a role may do, in one place."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from workspace.accounts.models import Person, Role


def person_of(request: HttpRequest) -> Person:
    """Whoever asks for a page that is for people who are signed in: ``login_required`` has seen to it."""
    assert isinstance(request.user, Person)
    return request.user


def may_chat(person: Any) -> bool:
    """Write in chats. A viewer reads."""
    return bool(person.is_authenticated and person.is_active and person.role != Role.VIEWER)


def may_administer(person: Any) -> bool:
    """Enter the admin."""
    return bool(person.is_authenticated and person.is_active and person.role in (Role.OWNER, Role.ADMIN))
