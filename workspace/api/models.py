"""Personal tokens: what another program shows to act as a person."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from workspace.ids import new_id


class Token(models.Model):
    """Only the digest is kept, so the table gives nobody a key; ``prefix`` is there to be recognised by its owner.

    ``last_used`` is true to the minute.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=60)
    digest = models.CharField(max_length=64, unique=True)
    prefix = models.CharField(max_length=12)
    created = models.DateTimeField(auto_now_add=True)
    last_used = models.DateTimeField(null=True)
    expires = models.DateTimeField(null=True)
    revoked = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created", "-id"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
