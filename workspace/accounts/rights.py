"""What a role may do, in one place."""

from __future__ import annotations

from typing import Any

from workspace.accounts.models import Role


def may_chat(person: Any) -> bool:
    """Write in chats. A viewer reads."""
    return bool(person.is_authenticated and person.is_active and person.role != Role.VIEWER)


def may_administer(person: Any) -> bool:
    """Enter the admin."""
    return bool(person.is_authenticated and person.is_active and person.role in (Role.OWNER, Role.ADMIN))
