"""The first person of a workspace."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from workspace.accounts.models import Person, Role


def ensure_owner() -> Person:
    """The owner, made when there is none. Two processes that try at once get the same one: the database allows one."""
    owner = Person.objects.filter(role=Role.OWNER).first()
    if owner is None:
        try:
            with transaction.atomic():
                owner = Person(username="owner", role=Role.OWNER)
                owner.set_unusable_password()
                owner.save(force_insert=True)
        except IntegrityError:
            owner = Person.objects.get(role=Role.OWNER)
    return owner
