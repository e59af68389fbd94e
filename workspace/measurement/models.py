"""Suites of questions, and what models made of them. The items of a suite never change: another file is another
suite."""

from __future__ import annotations

import json

from django.conf import settings
from django.db import models

from workspace.accounts.models import Share
from workspace.ids import new_id
from workspace.measurement.metrics import Cell


class Suite(models.Model):
    """Questions with what somebody holds to be their answers. ``digest`` is of all items; ``collection`` is what they
    are asked about, where they bring no passages of their own."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="suites")
    name = models.CharField(max_length=120)
    digest = models.CharField(max_length=64)
    collection = models.ForeignKey("retrieval.Collection", null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]

    def __str__(self) -> str:
        return self.name


class SuiteShare(Share):
    """A suite that others may measure, and read the reports of: one person, or everybody in a group."""

    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="shares")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["suite", "person"], name="one_suite_share_a_person"),
            models.UniqueConstraint(fields=["suite", "group"], name="one_suite_share_a_group"),
            models.CheckConstraint(condition=Share.WITH_ONE, name="suite_share_is_with_one"),
        ]


class Item(models.Model):
    """One question. An empty list of ``answers`` says that it has none, ``None`` that nobody wrote one: it is open.
    ``evidence`` are passages that come with it; ``cluster`` is what several items have in common, such as the article
    they ask about. ``before`` is what was said before it, ``reference`` an answer once given, ``rubric`` what a judge
    is told to look for."""

    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=120)
    question = models.TextField()
    answers = models.JSONField(default=list, null=True)
    evidence = models.JSONField(null=True)
    before = models.JSONField(default=list)
    reference = models.TextField(blank=True)
    rubric = models.TextField(blank=True)
    cluster = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["suite", "key"], name="item_key")]

    @property
    def group(self) -> str:
        """What is drawn as one in an interval over clusters: itself alone, where it has nothing in common."""
        return self.cluster or self.key


class Judge(models.Model):
    """A model, how it is set, and the words it is asked with. Another version of any of them is another judge."""

    model = models.CharField(max_length=200)
    model_version = models.PositiveBigIntegerField(null=True)
    provider_version = models.PositiveBigIntegerField(null=True)
    parameters = models.JSONField(default=dict)
    asks = models.CharField(max_length=9)
    prompt = models.TextField()
    digest = models.CharField(max_length=64, unique=True)
    created = models.DateTimeField(auto_now_add=True)

    def system(self, order: int = 0) -> str:
        """The system prompt, with its choices in one of two orders."""
        words, choices = json.loads(self.prompt)
        named: str = words.format(choices=f"Write {'; write '.join(choices[:: -1 if order else 1])}.")
        return named


class Schedule(models.Model):
    """A measurement begun again every so many hours, to be told when models drift. ``options`` are those of
    ``starting.begin``."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="schedules")
    lanes = models.JSONField()
    options = models.JSONField(default=dict)
    hours = models.PositiveIntegerField()
    due = models.DateTimeField()
    why = models.CharField(max_length=300, blank=True, help_text="Why the last one was not begun.")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]


class Measurement(models.Model):
    """One run of a suite over several lanes: ``lanes`` is a list of ``label``, ``model`` and, where given,
    ``parameters``, ``system`` and ``closed``: asked without passages. From the first answer on a lane names the
    ``version`` of its model, the ``provider_version`` and the ``template`` (0 is the built-in one) that it keeps, and
    ``judges`` are whom the measurement keeps, one for each thing that is asked. What was held equal stands in ``held``;
    ``drift`` says how it differs from the one that its schedule began before."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"

    class Cache(models.TextChoices):
        """Of the prefixes of prompts, where a provider keeps any."""

        TEMPLATE = "template", "The template is warm, an item's own passages are cold"
        WARM = "warm", "Every prompt is sent once before it is measured"
        COLD = "cold", "Every prompt begins with a number of its own"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="measurements")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=7, choices=State, default=State.QUEUED)
    lanes = models.JSONField()
    repeats = models.PositiveSmallIntegerField(default=1)
    warmups = models.PositiveSmallIntegerField(default=3)
    grounded = models.BooleanField(default=True, help_text="Every lane reads the same passages; else none reads any.")
    seed = models.PositiveIntegerField(default=0)
    budget = models.DecimalField(max_digits=10, decimal_places=4, null=True, help_text="US dollars, at most.")
    aside = models.DecimalField(
        max_digits=14, decimal_places=8, default=0, help_text="US dollars spent on calls that count for nothing."
    )
    cache = models.CharField(max_length=8, choices=Cache, default=Cache.TEMPLATE)
    per_minute = models.PositiveIntegerField(null=True, help_text="Answers of one model, at most.")
    completions = models.PositiveSmallIntegerField(default=0, help_text="Timed completions of 256 tokens, a lane.")
    judge = models.CharField(max_length=200, blank=True, help_text="The model that judges.")
    judges = models.ManyToManyField(Judge, related_name="+")
    pairwise = models.BooleanField(default=False, help_text="It says which of two answers is better, too.")
    schedule = models.ForeignKey(Schedule, null=True, on_delete=models.SET_NULL, related_name="measurements")
    drift = models.JSONField(null=True)
    held = models.JSONField(default=dict)
    why = models.CharField(max_length=300, blank=True, help_text="Why it is paused.")
    worker = models.CharField(max_length=64, blank=True)
    heartbeat = models.DateTimeField(null=True)
    asking = models.ForeignKey(
        "router.Run", null=True, on_delete=models.SET_NULL, related_name="+", help_text="Whose end is waited for."
    )
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created"]


GOING = (Measurement.State.QUEUED, Measurement.State.RUNNING)  # somebody is at it, or will be


class Gathered(models.Model):
    """The passages of one item, looked up once and given to every lane."""

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="gathered")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    evidence = models.JSONField()
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["measurement", "item"], name="gathered_once")]


class Outcome(models.Model):
    """One lane's answer to one item. Written in the transaction that settles its run, so none is lost or counted
    twice."""

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="outcomes")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    lane = models.PositiveSmallIntegerField()
    repeat = models.PositiveSmallIntegerField(default=0)
    run = models.ForeignKey("router.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    text = models.TextField(blank=True)
    cell = models.CharField(max_length=20, choices=[(cell.value, cell.value) for cell in Cell])
    exact = models.BooleanField(default=False)
    f1 = models.FloatField(default=0.0)
    found = models.BooleanField(default=False, help_text="A gold answer stands in the passages that it was given.")
    first_token_s = models.FloatField(null=True)
    first_answer_s = models.FloatField(null=True)
    last_token_s = models.FloatField(null=True)
    total_s = models.FloatField(null=True)
    tokens_input = models.PositiveIntegerField(null=True)
    tokens_output = models.PositiveIntegerField(null=True)
    tokens_cached = models.PositiveIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    support = models.JSONField(null=True)
    failure = models.JSONField(null=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["measurement", "item", "lane", "repeat"], name="outcome_once"),
        ]


class Completion(models.Model):
    """One timed completion of so many tokens, apart from the suite. Short ones are kept, and shown."""

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="timed")
    lane = models.PositiveSmallIntegerField()
    number = models.PositiveSmallIntegerField()
    run = models.ForeignKey("router.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    finish_reason = models.CharField(max_length=40, blank=True)
    first_token_s = models.FloatField(null=True)
    first_answer_s = models.FloatField(null=True)
    last_token_s = models.FloatField(null=True)
    total_s = models.FloatField(null=True)
    tokens_input = models.PositiveIntegerField(null=True)
    tokens_output = models.PositiveIntegerField(null=True)
    tokens_cached = models.PositiveIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    failure = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["measurement", "lane", "number"], name="completion_once")]


class Judgement(models.Model):
    """What a judge said of one answer, with its choices in one of two orders. Empty where it said neither."""

    outcome = models.ForeignKey(Outcome, on_delete=models.CASCADE, related_name="judgements")
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="judgements")
    order = models.PositiveSmallIntegerField()
    verdict = models.CharField(max_length=5, blank=True)
    run = models.ForeignKey("router.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["outcome", "judge", "order"], name="judgement_once")]


class Preference(models.Model):
    """Which of two lanes' answers to one item a judge prefers, where the ``first`` lane's is shown above the ``second``
    one's (order 0) or below it. ``prefers`` is empty where it said nothing, and ``failure`` says why."""

    class Side(models.TextChoices):
        FIRST = "first"
        SECOND = "second"
        TIE = "tie"

    measurement = models.ForeignKey(Measurement, on_delete=models.CASCADE, related_name="preferences")
    item = models.ForeignKey(Item, on_delete=models.CASCADE, related_name="+")
    first = models.PositiveSmallIntegerField()
    second = models.PositiveSmallIntegerField()
    judge = models.ForeignKey(Judge, on_delete=models.PROTECT, related_name="preferences")
    order = models.PositiveSmallIntegerField()
    prefers = models.CharField(max_length=6, choices=Side, blank=True)
    run = models.ForeignKey("router.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    failure = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["measurement", "item", "first", "second", "judge", "order"], name="preference_once"
            )
        ]


class Agreement(models.Model):
    """How well a judge agrees with people, as measured here; what the product was released with stands in
    ``agreement.json``. ``figures`` are those of ``agreement.Measured``; never the data."""

    judge = models.CharField(max_length=200)
    version = models.CharField(max_length=64)
    dataset = models.CharField(max_length=80)
    figures = models.JSONField()
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-created"]
