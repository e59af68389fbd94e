"""Chats as immutable trees.

A message is written once and never moves: an edit or a retry is a sibling. What may change is where
people stand (``Place``) and what pointers say (``Branch``, ``Checkpoint``), each change as a ``Step`` that
can be undone. The database itself refuses a parent in another chat, a message that moves and a settled
answer that changes: see ``chat/integrity.py``.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from workspace.accounts.models import Share
from workspace.ids import new_id
from workspace.wire import LANE_LETTERS

SOMEBODY = "Somebody"  # whose name is not known, or is no more


def said_of(person: models.Model | None, name: str) -> str:
    """Whose something is, for whoever reads it; the ``name`` came in a file, of somebody who is not here."""
    return str(person or name or SOMEBODY)


class Chat(models.Model):
    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="chats")
    title = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    touched = models.DateTimeField(auto_now_add=True)
    sum = models.CharField(max_length=64, blank=True, help_text="Of the links of its messages: see chat/chain.py.")
    deleted = models.DateTimeField(null=True)
    origin = models.ForeignKey("chat.Message", null=True, on_delete=models.SET_NULL, related_name="forks")
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        indexes = [models.Index(fields=["owner", "-touched"], name="chats_of_owner")]

    def __str__(self) -> str:
        return self.title or "New chat"


class LedgerEntry(models.Model):
    """That a chat began: ``chat/ledger.py``. Rows are only ever added."""

    chat = models.UUIDField(unique=True)
    told = models.JSONField(help_text="Whose it was, where it came from, and when.")
    after = models.TextField(help_text="The digests of the entries before it that its own covers.")
    digest = models.CharField(max_length=64)


class ChatShare(Share):
    """A chat shown to somebody besides its owner: to one person, or to everybody in a group."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="shares")
    may_write = models.BooleanField(default=False)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "person"], name="one_share_a_person"),
            models.UniqueConstraint(fields=["chat", "group"], name="one_share_a_group"),
            models.CheckConstraint(condition=Share.WITH_ONE, name="share_is_with_one"),
        ]


class Imported(models.Model):
    """Where a chat came from that was not written here. ``key`` is what the same conversation of the same file would
    have again; it is brought in once for each person."""

    PENDING = "pending"  # what ``source`` begins with until the whole file is in

    chat = models.OneToOneField(Chat, on_delete=models.CASCADE, related_name="imported")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=20)
    name = models.CharField(max_length=255, blank=True)
    key = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [models.Index(fields=["person", "key"], name="imported_once")]

    def __str__(self) -> str:
        return self.source


class ShareLink(models.Model):
    """A branch as it was, for whoever has the link. ``snapshot`` is what is shown: nothing said later comes in.

    Only the digest of the link's secret is kept. ``public`` shows it to people who are not signed in, too.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    digest = models.CharField(max_length=64, unique=True)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="links")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    title = models.CharField(max_length=200)
    snapshot = models.JSONField()
    public = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)
    expires = models.DateTimeField()
    revoked = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return self.title


class Replay(models.Model):
    """Answers made again from their manifests, side by side with the old ones. ``change`` is the one thing that is not
    as it was: ``{"what": "model", "value": "fast"}``, or empty; in an imported chat versions are named in it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="replays")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    person_name = models.CharField(max_length=150, blank=True)
    change = models.JSONField(default=dict)
    stopped = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    @property
    def who(self) -> str:
        return said_of(self.person, self.person_name)


class Replayed(models.Model):
    """One answer of a replay. ``run`` is the new one; ``refused`` says why there is none."""

    replay = models.ForeignKey(Replay, on_delete=models.CASCADE, related_name="answers")
    place = models.PositiveIntegerField()
    message = models.ForeignKey("Message", on_delete=models.CASCADE, related_name="+")
    run = models.OneToOneField("router.Run", null=True, on_delete=models.PROTECT, related_name="replayed")
    refused = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["place"]
        constraints = [models.UniqueConstraint(fields=["replay", "place"], name="one_answer_a_place")]


class Message(models.Model):
    """One node. ``parts`` is the ordered content (``workspace.types.Part`` as JSON).

    A person's message is settled from the start. A model's message settles with its run; until then its
    words are in the run. ``client_id`` is the name its browser gave it, so resending is harmless.
    ``depth`` is 0 at a root and one more than the parent's else. ``origin`` is what a message was copied from, in this
    chat or in another. In an imported chat ``author_name`` is of somebody not here, who asked or had it answered, and
    ``persona_name`` of a persona that is not offered here.
    """

    class Role(models.TextChoices):
        PERSON = "person"
        MODEL = "model"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", null=True, on_delete=models.CASCADE, related_name="children")
    role = models.CharField(max_length=6, choices=Role)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150, blank=True, help_text="In an imported chat: of somebody not here.")
    run = models.OneToOneField("router.Run", null=True, on_delete=models.PROTECT, related_name="message")
    parts = models.JSONField(default=list)
    grounding = models.JSONField(default=dict)
    reasoning = models.BooleanField(default=False, help_text="The person asked for a model that reasons.")
    persona = models.ForeignKey("router.PromptTemplate", null=True, on_delete=models.SET_NULL, related_name="+")
    persona_name = models.CharField(max_length=60, blank=True)
    variables = models.JSONField(default=dict, blank=True, help_text="What its names stand for in this chat.")
    digest = models.CharField(max_length=64, blank=True)
    chain = models.CharField(max_length=64, blank=True, help_text="Its link, once it is settled: see chat/chain.py.")
    whose = models.JSONField(null=True, help_text="The ids of what it names and may go, as its link covers them.")
    depth = models.PositiveIntegerField(default=0)
    client_id = models.UUIDField(default=new_id)
    settled = models.BooleanField(default=False)
    origin = models.ForeignKey("self", null=True, on_delete=models.SET_NULL, related_name="copies")
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "client_id"], name="message_client_id"),
            models.CheckConstraint(
                condition=models.Q(role="person", run__isnull=True, settled=True)
                | models.Q(role="model", run__isnull=False),
                name="message_run_is_a_models",
            ),
        ]
        indexes = [
            models.Index(fields=["parent", "created"], name="message_siblings"),
            models.Index(fields=["chat", "-id"], name="messages_of_chat"),
            models.Index(fields=["chat"], condition=models.Q(depth=0), name="roots_of_chat"),
        ]

    @property
    def who(self) -> str:
        """Who asked; of an answer, who had it written."""
        return said_of(self.run.person if self.run else self.author, self.author_name)


class Place(models.Model):
    """Where one person stands in one chat: the tip of the path they see."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="places")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    tip = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="+")
    exact = models.BooleanField(default=False, help_text="They went back to this very message.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["chat", "person"], name="one_place_each")]


class Branch(models.Model):
    """What people say of the branch that begins at a message: its name, a star, and whether they still want to see it.
    A branch without a row has none of these. Pruning hides and deletes nothing."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="branches")
    start = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="branch")
    name = models.CharField(max_length=80, blank=True)
    starred = models.BooleanField(default=False)
    pruned = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["chat", "name"], condition=~models.Q(name=""), name="branch_name"),
        ]


class Checkpoint(models.Model):
    """A named pointer that never moves. One that was ``removed`` is kept for undo."""

    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="checkpoints")
    name = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, related_name="checkpoints")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    author_name = models.CharField(max_length=150, blank=True, help_text="In an imported chat: of somebody not here.")
    removed = models.BooleanField(default=False)
    created = models.DateTimeField(default=timezone.now, editable=False)

    @property
    def who(self) -> str:
        return said_of(self.author, self.author_name)


class Step(models.Model):
    """Something somebody did to pointers, as what they said ``before`` and ``after`` (``chat/steps.py`` reads both).

    What adds messages needs no row: the messages tell it. In an imported chat ``person_name`` is of somebody not here,
    and a ``forked`` step tells of a copy that is not here either."""

    class Kind(models.TextChoices):
        SWITCHED = "switched"
        PRUNED = "pruned"
        RESTORED = "restored"
        NAMED = "named"
        STARRED = "starred"
        FLAGGED = "flagged"
        CHANGED = "changed"
        UNFLAGGED = "unflagged"
        MERGED = "merged"
        KEPT = "kept"
        FORKED = "forked"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="steps")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    person_name = models.CharField(max_length=150, blank=True)
    kind = models.CharField(max_length=9, choices=Kind)
    message = models.ForeignKey(Message, null=True, on_delete=models.CASCADE, related_name="+")
    about = models.CharField(max_length=200, blank=True)
    before = models.JSONField(default=dict)
    after = models.JSONField(default=dict)
    undone = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["chat", "-id"], name="steps_of_chat")]

    @property
    def who(self) -> str:
        return said_of(self.person, self.person_name)


class Comparison(models.Model):
    """One question put to several lanes at once, which all read the same evidence.

    Of a blind one the server withholds who wrote what (``Run.withheld``) until ``revealed``: by the vote of whoever
    asked, or by giving that up.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    chat = models.ForeignKey(Chat, on_delete=models.CASCADE, related_name="comparisons")
    question = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="comparison")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    blind = models.BooleanField(default=False)
    revealed = models.DateTimeField(null=True)
    created = models.DateTimeField(default=timezone.now, editable=False)

    @property
    def is_withheld(self) -> bool:
        return self.blind and self.revealed is None

    @property
    def standing(self) -> models.QuerySet[Lane]:
        """The lane that stands in each place."""
        return self.lanes.filter(replaced=False)


class Lane(models.Model):
    """One run of a comparison. ``asked`` is what makes it differ: ``model``, ``parameters``, ``system``,
    ``configuration`` (of the router) and ``persona``, each where it was given; the last two are names in an imported
    chat, of nothing here. One that failed and was asked again is ``replaced``: a newer lane stands in its place."""

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="lanes")
    place = models.PositiveSmallIntegerField(help_text="0 is lane A. Random where the comparison is blind.")
    answer = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="lane")
    asked = models.JSONField(default=dict)
    replaced = models.BooleanField(default=False)

    class Meta:
        ordering = ["place", "pk"]
        constraints = [
            models.UniqueConstraint(
                fields=["comparison", "place"], condition=models.Q(replaced=False), name="one_lane_a_place"
            )
        ]

    @property
    def letter(self) -> str:
        return LANE_LETTERS[self.place]


class Vote(models.Model):
    """What one person thought of a comparison: a best lane, a tie, or all bad. ``blind`` says what they knew;
    ``digests`` are of the answers they saw, by lane. In an imported chat ``person_name`` is of somebody not here, if it
    came along."""

    class Choice(models.TextChoices):
        BEST = "best"
        TIE = "tie"
        BAD = "bad", "All bad"

    comparison = models.ForeignKey(Comparison, on_delete=models.CASCADE, related_name="votes")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    person_name = models.CharField(max_length=150, blank=True)
    choice = models.CharField(max_length=4, choices=Choice)
    lane = models.ForeignKey(Lane, null=True, on_delete=models.CASCADE, related_name="+")
    reasons = models.JSONField(default=list)
    blind = models.BooleanField()
    digests = models.JSONField()
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["comparison", "person"], name="one_vote_each"),
            models.CheckConstraint(
                condition=models.Q(choice="best", lane__isnull=False) | ~models.Q(choice="best") & models.Q(lane=None),
                name="vote_for_one_lane",
            ),
        ]


class Thumb(models.Model):
    """One lane, liked or not, and why."""

    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="thumbs")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    person_name = models.CharField(max_length=150, blank=True)
    up = models.BooleanField()
    reasons = models.JSONField(default=list)
    blind = models.BooleanField()
    created = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["lane", "person"], name="one_thumb_each")]


class Fusion(models.Model):
    """An answer that a model made of several lanes; they are kept, and stay its parents."""

    answer = models.OneToOneField(Message, on_delete=models.CASCADE, related_name="fusion")
    instruction = models.TextField()
    lanes = models.ManyToManyField(Lane, related_name="+")


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
