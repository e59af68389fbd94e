"""One row for each thing done to the workspace that somebody may have to answer for.

Rows are only ever added: the database refuses to change or delete one (``guard.py``), and each carries the digest of
the one before it (``chain.py``). They name people and things by text, so nothing that is deleted changes them.
"""

from __future__ import annotations

from django.db import models


class Action(models.TextChoices):
    CREATED = "created", "created"
    CHANGED = "changed", "changed"
    DELETED = "deleted", "deleted"
    SIGNED_IN = "signed_in", "signed in"
    SIGN_IN_FAILED = "sign_in_failed", "failed to sign in as"
    SIGNED_OUT = "signed_out", "signed out"
    SESSIONS_ENDED = "sessions_ended", "ended sessions of"
    PASSWORD_CHANGED = "password_changed", "changed the password of"
    SECOND_STEP_ADDED = "second_step_added", "added a second step for"
    SECOND_STEP_REMOVED = "second_step_removed", "removed a second step of"
    IDENTITY_CONNECTED = "identity_connected", "connected a sign-in of"
    IDENTITY_DISCONNECTED = "identity_disconnected", "disconnected a sign-in of"
    OWNER_MADE = "owner_made", "made the owner:"
    LINK_MADE = "link_made", "made a sign-in link for"
    JOINED = "joined", "joined by the invitation"
    TOKEN_MADE = "token_made", "made a token for"
    TOKEN_REVOKED = "token_revoked", "revoked the token for"
    SHARED = "shared", "shared a chat"
    UNSHARED = "unshared", "stopped sharing a chat"
    EXPORTED = "exported", "exported"


class AuditEntry(models.Model):
    """``number`` runs from 1 without a gap. ``changes`` is ``{field: [old, new]}``, both as text or lists of text, a
    secret as "set" or "removed" alone. ``about`` is a table (``app.model``), ``about_id`` and ``about_name`` a row of
    it; ``actor`` is the name somebody signs in with, empty for the server itself."""

    number = models.PositiveBigIntegerField(primary_key=True)
    when = models.DateTimeField()
    actor = models.CharField(max_length=150, blank=True)
    actor_id = models.CharField(max_length=36, blank=True)
    address = models.CharField(max_length=64, blank=True)
    action = models.CharField(max_length=24, choices=Action)
    about = models.CharField(max_length=80, blank=True)
    about_id = models.CharField(max_length=64, blank=True)
    about_name = models.CharField(max_length=200, blank=True)
    words = models.CharField(max_length=500, blank=True)
    changes = models.JSONField(default=dict)
    previous = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)

    class Meta:
        verbose_name = "audit entry"
        verbose_name_plural = "audit log"
        # Each serves one filter of the page, from its newest row on.
        indexes = [
            models.Index(fields=[field, "-number"], name=f"audit_by_{field}")
            for field in ("actor", "action", "about", "when")
        ]

    def __str__(self) -> str:
        return f"{self.number}: {self.actor or 'the server'} {self.get_action_display()} {self.about_name}".strip()

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Each changed field with its old and its new value to read."""
        return [(field.replace("_", " "), _text(old), _text(new)) for field, (old, new) in self.changes.items()]


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else ", ".join(value)
