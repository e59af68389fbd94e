"""Suites of questions, and what models made of them. A suite and its items never change: another file is another
suite."""

from __future__ import annotations

from django.conf import settings
from django.db import models

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


class Item(models.Model):
    """One question. No ``answers`` says that it has none; ``evidence`` are passages that come with it; ``cluster`` is
    what several items have in common, such as the article they ask about."""

    suite = models.ForeignKey(Suite, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=120)
    question = models.TextField()
    answers = models.JSONField(default=list)
    evidence = models.JSONField(null=True)
    cluster = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["suite", "key"], name="item_key")]


class Measurement(models.Model):
    """One run of a suite over several lanes: ``lanes`` is a list of ``label``, ``model`` and, where given,
    ``parameters`` and ``system``. What was held equal stands in ``held``."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"

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
    held = models.JSONField(default=dict)
    why = models.CharField(max_length=300, blank=True, help_text="Why it is paused.")
    worker = models.CharField(max_length=64, blank=True)
    heartbeat = models.DateTimeField(null=True)
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created"]


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
    total_s = models.FloatField(null=True)
    tokens_input = models.PositiveIntegerField(null=True)
    tokens_output = models.PositiveIntegerField(null=True)
    estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=14, decimal_places=8, null=True)
    support = models.JSONField(null=True)
    failure = models.JSONField(null=True)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["measurement", "item", "lane", "repeat"], name="outcome_once"),
        ]
