"""Collections, documents and chunks. Vectors live in Chroma, lexical postings here, beside their chunks."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from workspace.accounts.models import Share
from workspace.ids import new_id


class Collection(models.Model):
    """Documents that belong together: one Chroma collection each. ``built_in`` is the guide, seen by all; of the kind
    ``web`` are a person's pages of the web, searched when they ask the web; ``attached`` are files of their chats,
    searched where they are attached; those of a suite are searched for it alone."""

    class Kind(models.TextChoices):
        DOCUMENTS = "documents"
        ATTACHED = "attached", "attached to chats"
        WEB = "web", "pages of the web"
        SUITE = "suite", "of a suite"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=120)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.CASCADE, related_name="collections")
    built_in = models.BooleanField(default=False)
    kind = models.CharField(max_length=9, choices=Kind, default=Kind.DOCUMENTS)
    alpha = models.FloatField(null=True, help_text="Its own share of meaning against words, tuned on labels.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(kind="web"), name="one_collection_of_pages_each"
            ),
            models.UniqueConstraint(
                fields=["owner"], condition=models.Q(kind="attached"), name="one_collection_of_attached_files_each"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class CollectionShare(Share):
    """A collection that others may ask about and read: one person, or everybody in a group."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="shares")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["collection", "person"], name="one_collection_share_a_person"),
            models.UniqueConstraint(fields=["collection", "group"], name="one_collection_share_a_group"),
            models.CheckConstraint(condition=Share.WITH_ONE, name="collection_share_is_with_one"),
        ]


class Document(models.Model):
    """One text. ``digest`` is of the file's bytes, which ``retrieval/files.py`` keeps: the same file is never read
    twice into a collection. A page of the guide has its text from the start, and no file. ``passages`` and ``terms``
    are kept with its chunks, so that a search need not count; ``embedded`` of its passages have vectors. While another
    file is ``coming`` it is searched as it was, and stays so where that can't be read."""

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
    coming = models.CharField(
        max_length=64, blank=True, help_text="Digest of the file that is to be read in place of this one's."
    )
    claimed = models.DateTimeField(null=True, help_text="Until when a worker has it for itself.")
    passages = models.PositiveIntegerField(default=0)
    terms = models.PositiveIntegerField(default=0, help_text="Lexical terms of all its passages.")
    embedded = models.PositiveIntegerField(default=0, help_text="Passages whose vectors are stored.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["collection", "name"], name="document_name")]
        # What a search asks of many documents stands in an index: their rows are read past the whole text.
        indexes = [
            models.Index(fields=["collection", "passages", "terms", "id", "digest"], name="searchable_documents")
        ]

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
        indexes = [models.Index(fields=["collection", "number", "digest"], name="digest_of_collection_state")]


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
    """Where a stemmed term stands in a document: one entry for each passage, so many to a row
    (``retrieval/lexical.py``)."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="+", db_index=False)
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="postings")
    term = models.CharField(max_length=60)
    entries = models.BinaryField()

    class Meta:
        # A frequent term has a row in every document: read from the index alone they lie side by side.
        indexes = [models.Index(fields=["collection", "term", "document", "entries"], name="postings_by_term")]


class SearchSettings(models.Model):
    """How documents are cut and searched: one row, or none while all is as it comes."""

    alpha = models.FloatField("share of meaning", default=0.6)
    tokens = models.PositiveIntegerField("tokens of evidence", default=1024)
    neighbours = models.BooleanField("join neighbouring passages", default=True)
    follow_up = models.BooleanField("complete follow-up questions", default=True)
    chunk_tokens = models.PositiveIntegerField("tokens of a passage", default=128)
    chunk_overlap = models.PositiveIntegerField("tokens that neighbours share", default=32)
    reranker = models.CharField(max_length=8, blank=True)
    reranker_model = models.CharField("model", max_length=300, blank=True)
    reranker_url = models.URLField("address", max_length=500, blank=True)
    encrypted_reranker_key = models.BinaryField(default=b"", editable=False)
    rerank_depth = models.PositiveIntegerField("passages reranked", default=30)

    class Meta:
        verbose_name = verbose_name_plural = "search settings"

    def __str__(self) -> str:
        return "Search settings"


class EmbeddingModel(models.Model):
    """What makes vectors of passages and questions. Without a current one, MiniLM does. Each has an index of its own:
    while one is built, the current one goes on being searched."""

    class Kind(models.TextChoices):
        BUILT_IN = "built-in", "MiniLM, which is installed"
        LOCAL = "local", "A model of this machine"
        REMOTE = "remote", "An address that speaks /v1/embeddings"

    class State(models.TextChoices):
        DRAFT = "draft", "not used"
        BUILDING = "building", "being built"
        CURRENT = "current", "searched"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.LOCAL)
    model = models.CharField(max_length=300, blank=True)
    base_url = models.URLField("address", max_length=500, blank=True)
    encrypted_key = models.BinaryField(default=b"", editable=False)
    question_prefix = models.CharField(max_length=200, blank=True)
    passage_prefix = models.CharField(max_length=200, blank=True)
    window = models.PositiveIntegerField(default=256, help_text="Tokens it reads; what is longer is cut silently.")
    dimensions = models.PositiveIntegerField(default=0)
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    failure = models.CharField(max_length=300, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["state"], condition=models.Q(state__in=["building", "current"]), name="one_model_a_state"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Embedded(models.Model):
    """A document whose vectors an index that is being built has already."""

    model = models.ForeignKey(EmbeddingModel, on_delete=models.CASCADE, related_name="embedded")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "document"], name="embedded_once")]


class Residue(models.Model):
    """A deleted document whose vectors an index has, or still has in its files, until that is written anew. The row is
    written with the deletion: a kill in between loses nothing."""

    index = models.CharField(max_length=80, db_index=True)
    document = models.UUIDField()


class Label(models.Model):
    """A question and the passage that answers it: said by a person, or made from the passage itself."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="labels")
    document = models.ForeignKey(Document, on_delete=models.CASCADE, related_name="+")
    question = models.TextField()
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    made = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["document", "question", "start"], name="one_label_a_question_and_place")
        ]


class SelfTest(models.Model):
    """How well a collection was found in, with which settings: hits among the first few, question by question."""

    collection = models.ForeignKey(Collection, on_delete=models.CASCADE, related_name="tests")
    settings = models.JSONField()
    places = models.JSONField(
        default=dict, help_text="By label, the place of its passage; null where it was not found."
    )
    failure = models.CharField(max_length=300, blank=True)
    done = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]


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
