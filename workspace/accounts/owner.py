"""The owner of a workspace: its first person, until they hand it over."""

from __future__ import annotations

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction

from workspace.accounts import sessions
from workspace.accounts.models import Person, Role
from workspace.audit.log import record
from workspace.audit.models import Action


def ensure_owner() -> Person:
    """The owner, made when there is none. Two processes that try at once get the same one: the database allows one."""
    owner = Person.objects.filter(role=Role.OWNER).first()
    if owner is None:
        try:
            with transaction.atomic():
                owner = Person(username="owner", role=Role.OWNER)
                owner.set_unusable_password()
                owner.save(force_insert=True)
                record(Action.OWNER_MADE, about=owner, words="The first person of this workspace.")
        except IntegrityError:
            owner = Person.objects.get(role=Role.OWNER)
    return owner


@transaction.atomic
def hand_over(owner: Person, to: Person) -> None:
    """Make ``to`` the owner and the owner an admin. Raises PermissionDenied unless the one owns and the other is in.

    Both rows are locked and read again, so of two handovers at once the second finds no owner to take it from.
    """
    rows = {row.pk: row for row in Person.objects.select_for_update().filter(pk__in=(owner.pk, to.pk)).order_by("pk")}
    old, new = rows[owner.pk], rows[to.pk]
    if old.role != Role.OWNER or not new.is_active or old.pk == new.pk:
        raise PermissionDenied
    for person, role in ((old, Role.ADMIN), (new, Role.OWNER)):  # in this order: the database allows one owner
        person.role = role
        person.save(update_fields=["role"])
    record(Action.OWNER_MADE, about=new, words=f"In place of {old}, who is an admin now.")
    sessions.tell_changed([old.pk, new.pk])
