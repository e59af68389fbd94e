"""Collections, documents and chunks. Vectors live in Chroma, lexical postings here, beside their chunks."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from workspace.ids import new_id


class Collection(models.Model):
    """Documents that belong together: one Chroma collection each. ``built_in`` is the guide, seen by all."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="collections")
    built_in = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class Document(models.Model):
    """One text. ``digest`` is of the file's bytes: the same file is never read twice into a collection."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        LEXICAL = "lexical", "searchable by words"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=300)
    name = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    text = models.TextField(blank=True)
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    failure = models.JSONField(null=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "name"], name="document_name")]

    def __str__(self) -> str:
        return self.title


class Chunk(models.Model):
    """A passage. ``start`` and ``end`` are character offsets into the document's text; ``length`` counts
    its lexical terms."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="chunks")
    position = models.PositiveIntegerField()
    heading = models.CharField(max_length=500, blank=True)
    text = models.TextField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    length = models.PositiveIntegerField(default=0)

    class Meta:
        ordering = ["document", "position"]
        constraints = [models.UniqueConstraint(fields=["document", "position"], name="chunk_position")]


class Posting(models.Model):
    """How often a stemmed term stands in a chunk."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+")
    chunk = models.ForeignKey(Chunk, on_delete=models.CASCADE, related_name="postings")
    term = models.CharField(max_length=60)
    count = models.PositiveIntegerField()

    class Meta:
        indexes = [models.Index(fields=["collection", "term"], name="postings_of_term")]
