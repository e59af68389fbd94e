"""Collections, documents and chunks. Vectors live in Chroma, lexical postings here, beside their chunks."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from workspace.ids import new_id


class Collection(models.Model):
    """Documents that belong together: one Chroma collection each. ``built_in`` is the guide, seen by all; of the kind
    ``web`` are a person's pages of the web, searched when they ask the web; those of a suite are searched for it
    alone."""

    class Kind(models.TextChoices):
        DOCUMENTS = "documents"
        WEB = "web", "pages of the web"
        SUITE = "suite", "of a suite"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="collections")
    built_in = models.BooleanField(default=False)
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.DOCUMENTS)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(kind="web"), name="one_collection_of_pages_each"
            )
        ]

    def __str__(self) -> str:
        return self.name


class CollectionShare(models.Model):
    """A collection that others may ask about and read: one person, or everybody in a group."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="shares")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="+")
    group = models.ForeignKey("auth.Group", null=True, on_delete=models.CASCADE, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "person"], name="one_collection_share_a_person"),
            models.UniqueConstraint(fields=["collection", "group"], name="one_collection_share_a_group"),
            models.CheckConstraint(
                condition=models.Q(person__isnull=False, group__isnull=True)
                | models.Q(person__isnull=True, group__isnull=False),
                name="collection_share_is_with_one",
            ),
        ]

    def __str__(self) -> str:
        return str(self.person or self.group)


class Document(models.Model):
    """One text. ``digest`` is of the file's bytes, which ``retrieval/files.py`` keeps: the same file is never read
    twice into a collection. A page of the guide has its text from the start, and no file."""

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
    url = models.URLField(
        max_length=2_000, blank=True, help_text="Where the file is fetched from; empty where it came itself."
    )
    size = models.PositiveBigIntegerField(default=0, help_text="Bytes of the file; 0 where there is none.")
    text = models.TextField(blank=True)
    pages = models.JSONField(default=list, help_text="Offsets in the text at which its pages begin.")
    state = models.CharField(max_length=8, choices=State, default=State.QUEUED)
    failure = models.JSONField(null=True)
    fetched = models.DateTimeField(null=True, help_text="When a page of the web was last seen to be so.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "name"], name="document_name")]

    def __str__(self) -> str:
        return self.title


class CollectionState(models.Model):
    """What a collection held when it was searched: ids and digests of its searchable documents, no word of them. A row
    is never changed; a search that finds the collection otherwise begins the next one."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="states")
    number = models.PositiveIntegerField()
    documents = models.JSONField()
    digest = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "number"], name="collection_state_number")]


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


class SearchEngine(models.Model):
    """Where the web is searched. They are asked in order until one gives results."""

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=16)
    base_url = models.URLField("address", max_length=500, blank=True, help_text="Empty takes the engine's own.")
    encrypted_key = models.BinaryField(default=b"", editable=False)
    position = models.PositiveSmallIntegerField(default=0, help_text="The lowest is asked first.")
    enabled = models.BooleanField(default=True)

    class Meta:
        ordering = ["position", "pk"]

    def __str__(self) -> str:
        return self.name
