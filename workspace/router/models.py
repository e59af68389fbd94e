"""What the router stores: configurations, prompt templates, and runs with their events.

It knows people and model versions, and no chat: a comparison, a command and another program store
their runs here too.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from workspace.ids import new_id
from workspace.router.states import RunState


class RouterConfiguration(models.Model):
    """A named line of versions; the active one decides."""

    name = models.SlugField(max_length=60, unique=True)
    current = models.ForeignKey("RouterVersion", null=True, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return self.name


class RouterVersion(models.Model):
    """An immutable configuration: the file as its author wrote it, comments included, and its digest."""

    configuration = models.ForeignKey(RouterConfiguration, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    source = models.TextField(help_text="model_router.json, // comments allowed.")
    digest = models.CharField(max_length=64)
    note = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["configuration", "number"], name="router_version_number")]

    def __str__(self) -> str:
        return f"{self.configuration} v{self.number}"


class Rollout(models.Model):
    """A version that is tried on real requests before it is used: beside the one in use, or on a share of the chats.

    In the shadow it decides and nothing is called by it; in a split it decides for ``percent`` of the chats. It ends
    when somebody says so, when ``most`` answers of it were counted, or when it fails more for sure; ``why_ended`` says
    which. One at a time for each configuration.
    """

    class Mode(models.TextChoices):
        SHADOW = "shadow"
        SPLIT = "split"

    configuration = models.ForeignKey(RouterConfiguration, on_delete=models.CASCADE, related_name="rollouts")
    version = models.ForeignKey(RouterVersion, on_delete=models.PROTECT, related_name="+")
    against = models.ForeignKey(RouterVersion, on_delete=models.PROTECT, related_name="+")
    mode = models.CharField(max_length=6, choices=Mode)
    percent = models.PositiveSmallIntegerField(default=0)
    most = models.PositiveIntegerField(default=1_000)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    started = models.DateTimeField(auto_now_add=True)
    ended = models.DateTimeField(null=True)
    why_ended = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["configuration"], condition=models.Q(ended__isnull=True), name="one_rollout_at_a_time"
            ),
            models.CheckConstraint(condition=models.Q(percent__lte=99), name="rollout_leaves_some"),
        ]

    def __str__(self) -> str:
        share = f"on {self.percent} % of chats" if self.mode == self.Mode.SPLIT else "in the shadow"
        return f"version {self.version.number} {share}"


class PromptTemplate(models.Model):
    """What a model is told before a chat: the workspace's (``default``), or a persona that a person chooses for a chat.

    A persona without an ``owner`` is offered to everybody; else it is that person's alone.
    """

    name = models.SlugField(max_length=60, unique=True)
    title = models.CharField(max_length=80, blank=True, help_text="What people see where they choose it.")
    about = models.CharField(max_length=200, blank=True)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    offered = models.BooleanField(default=True, help_text="People may choose it for a chat.")
    current = models.ForeignKey("PromptTemplateVersion", null=True, on_delete=models.PROTECT, related_name="+")

    def __str__(self) -> str:
        return self.title or self.name


class PromptTemplateVersion(models.Model):
    """The system prompt as text; what may stand in braces is listed in ``workspace/router/prompts.py``, and in
    ``variables``: names with the values that they have where a chat gives none."""

    template = models.ForeignKey(PromptTemplate, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    system = models.TextField()
    variables = models.JSONField(default=dict, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["template", "number"], name="template_version_number")]

    def __str__(self) -> str:
        return f"{self.template.name} v{self.number}"


class Run(models.Model):
    """One generation, from decision to last token.

    While it runs its text lives in ``events``; when it settles or is found interrupted, the text moves
    into ``text`` and the events go. ``seq`` is the last event's number; it never goes back, also over a
    continuation. ``owner`` names the process that runs it, ``heartbeat`` when that last said so.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="runs")
    state = models.CharField(max_length=11, choices=[(s.value, s.value) for s in RunState], default=RunState.QUEUED)
    model_version = models.ForeignKey(
        "providers.LanguageModelVersion", null=True, on_delete=models.PROTECT, related_name="runs"
    )
    router_version = models.ForeignKey(RouterVersion, null=True, on_delete=models.PROTECT, related_name="runs")
    template_version = models.ForeignKey(
        PromptTemplateVersion, null=True, on_delete=models.PROTECT, related_name="runs"
    )
    text = models.TextField(blank=True)
    reasoning = models.TextField(blank=True)
    decision = models.JSONField(null=True)
    evidence = models.JSONField(default=list)
    failure = models.JSONField(null=True)
    manifest = models.JSONField(null=True)
    tokens_input = models.PositiveIntegerField(null=True)
    tokens_output = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    reserved = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    first_token_s = models.FloatField(null=True)
    total_s = models.FloatField(null=True)
    seq = models.PositiveIntegerField(default=0)
    withheld = models.BooleanField(default=False, help_text="Who wrote it is told after a vote.")
    imported = models.BooleanField(default=False, help_text="It came in a file: its manifest names no row of ours.")
    owner = models.CharField(max_length=64, blank=True)
    created = models.DateTimeField(default=timezone.now, editable=False)
    heartbeat = models.DateTimeField(null=True)
    settled = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["heartbeat"], condition=models.Q(state__in=["queued", "running"]), name="live_runs"),
            models.Index(fields=["person", "-created"], name="runs_of_person"),
            models.Index(fields=["person"], condition=models.Q(withheld=True), name="withheld_runs"),
        ]


class Judgement(models.Model):
    """What a judge said of the sentences of a settled answer, beside the lexical check in its manifest. ``verdicts``
    are triples: from which character to which, and supported, weak or unsupported."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="judgement")
    model = models.CharField(max_length=80, help_text="The name it had.")
    model_version = models.ForeignKey(
        "providers.LanguageModelVersion", null=True, on_delete=models.SET_NULL, related_name="+"
    )
    verdicts = models.JSONField()
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    created = models.DateTimeField(default=timezone.now, editable=False)


class RunEvent(models.Model):
    """Append-only. ``kind`` is one of ``workspace.wire.RunEventKind``; ``data`` is JSON, for deltas a list of texts
    whose last is numbered ``seq`` (``workspace/router/journal.py`` reads and writes it)."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=16)
    data = models.TextField()

    class Meta:
        ordering = ["seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="run_event_seq")]


class LoggedDecision(models.Model):
    """What the router decided and what came of it, one row for each run that settled; written behind its back.

    Rows hold facts and no words, know their run by its id alone and go after ``RETENTION_DAYS``. ``model`` is the name
    it had; ``routed``, where a person chose, is the model that the routes would have called: the label of an override.
    ``rollout`` is what was being tried; ``shadow_model`` what it would have called, empty where nothing could be.
    Figures are of the run's last part where it was continued.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created = models.DateTimeField(default=timezone.now)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )
    run = models.UUIDField(unique=True)
    router_version = models.ForeignKey(RouterVersion, null=True, on_delete=models.PROTECT, related_name="+")
    route = models.CharField(max_length=60, blank=True)
    model = models.CharField(max_length=80)
    chosen_by = models.CharField(max_length=8)
    mode = models.CharField(max_length=11)
    facts = models.JSONField(default=dict)
    routed = models.CharField(max_length=80, blank=True)
    rollout = models.ForeignKey(Rollout, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False)
    shadow_route = models.CharField(max_length=60, blank=True)
    shadow_model = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=11, choices=[(s.value, s.value) for s in RunState])
    tokens_input = models.PositiveIntegerField(null=True)
    tokens_output = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    first_token_s = models.FloatField(null=True)
    total_s = models.FloatField(null=True)

    class Meta:
        # Ids sort by time, so each of these serves a filtered page from its newest row on.
        indexes = [
            models.Index(fields=[field, "-id"], name=f"decisions_by_{field}")
            for field in ("person", "model", "route", "chosen_by", "state", "rollout")
        ]


class Budget(models.Model):
    """So many US dollars a day or a month: of a person, of a group together, or of the whole workspace."""

    class Period(models.TextChoices):
        DAY = "day"
        MONTH = "month"

    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.CASCADE, related_name="budgets"
    )
    group = models.ForeignKey("auth.Group", null=True, blank=True, on_delete=models.CASCADE, related_name="budgets")
    period = models.CharField(max_length=5, choices=Period, default=Period.MONTH)
    usd = models.DecimalField("US dollars", max_digits=12, decimal_places=4)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(person__isnull=True) | models.Q(group__isnull=True), name="budget_of_one"
            ),
            models.CheckConstraint(condition=models.Q(usd__gte=0), name="budget_not_negative"),
        ]

    def __str__(self) -> str:
        return f"{self.person or self.group or 'everybody'}: ${self.usd.normalize():f} a {self.period}"


class DailyUsage(models.Model):
    """A day's sums for one person, model and route, kept up as runs settle. Days are the server's time zone's.

    ``model`` is the name it had; empty when nothing could be called. ``unpriced`` counts calls whose price is not
    known: ``cost`` leaves them out.
    """

    day = models.DateField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    model = models.CharField(max_length=80, blank=True)
    route = models.CharField(max_length=60, blank=True)
    runs = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    tokens_input = models.PositiveBigIntegerField(default=0)
    tokens_output = models.PositiveBigIntegerField(default=0)
    cost = models.DecimalField(max_digits=16, decimal_places=8, default=0)
    unpriced = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = verbose_name_plural = "usage"
        constraints = [models.UniqueConstraint(fields=["day", "person", "model", "route"], name="usage_of_a_day")]
        indexes = [models.Index(fields=["person", "day"], name="usage_of_person")]


class RouterLabel(models.Model):
    """How one model did on one prompt, 0 to 1: what the learned score learns from.

    It keeps no word of the prompt and knows no chat: ``prompt`` is a keyed digest, ``vector`` its embedding as
    little-endian half floats, ``characters`` its length and ``subject`` the first rule it fell under.
    """

    class Source(models.TextChoices):
        VOTE = "vote"
        CHECKLIST = "checklist"
        OVERRIDE = "override"

    model = models.ForeignKey("providers.LanguageModel", on_delete=models.CASCADE, related_name="+")
    outcome = models.FloatField()
    source = models.CharField(max_length=9, choices=Source.choices)
    prompt = models.CharField(max_length=64)
    vector = models.BinaryField()
    characters = models.PositiveIntegerField()
    subject = models.CharField(max_length=40)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(outcome__gte=0, outcome__lte=1), name="label_outcome_0_to_1")
        ]


class RouterVerdict(models.Model):
    """Whether the learned score earned its place on prompts held out; the newest counts. ``figures`` says by what."""

    passed = models.BooleanField()
    reason = models.CharField(max_length=200)
    labels = models.PositiveIntegerField()
    figures = models.JSONField(default=dict)
    created = models.DateTimeField(auto_now_add=True)
