"""Chats as immutable trees.

A message is written once and never moves: an edit or a retry is a sibling. What may change is where
people stand (``Place``) and what pointers are called (``Branch``, ``Checkpoint``). The database itself
refuses a parent in another chat, a message that moves and a settled answer that changes: see
``chat/integrity.py``.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models

from workspace.ids import new_id


class Chat(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chats")
    title = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now_add=True)
    deleted = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["owner", "-touched"], name="chats_of_owner")]

    def __str__(self) -> str:
        return self.title or "New chat"


class ChatShare(models.Model):
    """A chat shown to somebody besides its owner: to one person, or to everybody in a group."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="shares")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey("auth.Group", null=True, on_delete=models.CASCADE, related_name="+")
    may_write = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "person"], name="one_share_a_person"),
            models.UniqueConstraint(fields=["chat", "group"], name="one_share_a_group"),
            models.CheckConstraint(
                condition=models.Q(person__isnull=False, group__isnull=True)
                | models.Q(person__isnull=True, group__isnull=False),
                name="share_is_with_one",
            ),
        ]

    def __str__(self) -> str:
        return str(self.person or self.group)


class Message(models.Model):
    """One node. ``parts`` is the ordered content (``workspace.types.Part`` as JSON).

    A person's message is settled from the start. A model's message settles with its run; until then its
    words are in the run. ``client_id`` is the name its browser gave it, so resending is harmless.
    ``depth`` is 0 at a root and one more than the parent's else.
    """

    class Role(models.TextChoices):
        PERSON = "person"
        MODEL = "model"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=6, choices=Role)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.OneToOneField("router.Run", null=True, on_delete=models.PROTECT, related_name="message")
    parts = models.JSONField(default=list)
    grounding = models.JSONField(default=dict)
    reasoning = models.BooleanField(default=False, help_text="The person asked for a model that reasons.")
    digest = models.CharField(max_length=64, blank=True)
    depth = models.PositiveIntegerField(default=0)
    client_id = models.UUIDField(default=new_id)
    settled = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "client_id"], name="message_client_id"),
            models.CheckConstraint(
                condition=models.Q(role="person", run__isnull=True, settled=True)
                | models.Q(role="model", run__isnull=False),
                name="message_run_is_a_models",
            ),
        ]
        indexes = [models.Index(fields=["parent", "created"], name="message_siblings")]


class Place(models.Model):
    """Where one person stands in one chat: the tip of the path they see."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="places")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    tip = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chat", "person"], name="one_place_each")]


class Branch(models.Model):
    """A named pointer that follows its tip."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="branches")
    name = models.CharField(max_length=80)
    tip = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chat", "name"], name="branch_name")]


class Checkpoint(models.Model):
    """A named pointer that never moves."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="checkpoints")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)


class Blob(models.Model):
    """A file somebody attached, stored once by the digest of its bytes under ``DATA_DIR/blobs``."""

    digest = models.CharField(max_length=64, primary_key=True)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    width = models.PositiveIntegerField(default=0)
    height = models.PositiveIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)


class Attachment(models.Model):
    """Who put a blob into the workspace: the right to see it before it stands in a chat."""

    blob = models.ForeignKey(Blob, on_delete=models.CASCADE, related_name="attachments")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["blob", "person"], name="one_attachment_each")]


class MessageBlob(models.Model):
    """A blob stands in a message: what a reader of the chat may therefore see."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="attached")
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["message", "blob"], name="one_blob_each")]
