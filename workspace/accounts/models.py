"""People and how they get in. Who may see a chat or use a model is decided beside those things, not here."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models

from workspace.ids import new_id


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Person(AbstractUser):
    """Somebody who signs in. ``role`` says what they may do in the workspace."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    role = models.CharField(max_length=8, choices=Role, default=Role.MEMBER)

    class Meta:
        verbose_name_plural = "people"
        constraints = [
            # The first-owner race is closed by the database: one owner row can exist.
            models.UniqueConstraint(fields=["role"], condition=models.Q(role="owner"), name="one_owner"),
        ]

    def __str__(self) -> str:
        return self.get_full_name() or self.username

    def has_perm(self, perm: str, obj: object | None = None) -> bool:
        """Who may enter the admin may do there what it offers; no other permission is asked for."""
        return self.is_active and self.role in (Role.OWNER, Role.ADMIN)

    def has_module_perms(self, app_label: str) -> bool:
        return self.has_perm(app_label)


class SignInLink(models.Model):
    """A one-time way in. Only the digest of its token is kept, so the table gives nobody a key."""

    digest = models.CharField(max_length=64, primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)
