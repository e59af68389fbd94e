"""Providers and language models as immutable version rows, with a pointer to the current one.

A change is a new version; runs point at versions, so an old answer still says what made it.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models


class Provider(models.Model):
    """Where models run. The key is kept apart from versions: renewing it changes no answer."""

    name = models.SlugField(max_length=60, unique=True)
    current = models.ForeignKey("ProviderVersion", null=True, on_delete=models.PROTECT, related_name="+")
    encrypted_key = models.BinaryField(default=bytes, editable=False)
    # Found on this machine, not added by hand.
    discovered = models.BooleanField(default=False, editable=False)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name


class ProviderVersion(models.Model):
    """``kind`` names the wire protocol (a file of ``workspace/providers``). ``key_variable`` is the variable of the
    environment that holds the key while none is stored."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=30)
    base_url = models.URLField(blank=True, max_length=500)
    options = models.JSONField(default=dict, blank=True)
    key_variable = models.CharField(max_length=60, blank=True)
    created = models.DateTimeField(auto_now_add=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "number"], name="provider_version_number")]

    def __str__(self) -> str:
        return f"{self.provider} v{self.number}"


class LanguageModel(models.Model):
    """A model somebody can pick: everybody, or people of its ``groups`` once ``for_all`` is off.

    ``mark`` is its place in the fixed list of hues and shapes, for good.
    """

    name = models.SlugField(max_length=80, unique=True, help_text="What people and routes call it.")
    current = models.ForeignKey("LanguageModelVersion", null=True, on_delete=models.PROTECT, related_name="+")
    enabled = models.BooleanField(default=True)
    for_all = models.BooleanField("for everybody", default=True)
    groups = models.ManyToManyField("auth.Group", blank=True, related_name="language_models")
    mark = models.PositiveSmallIntegerField(default=0)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    @staticmethod
    def free_mark() -> int:
        """The first mark no model has: two models never look alike while there are marks."""
        taken = set(LanguageModel.objects.values_list("mark", flat=True))
        return next(mark for mark in range(len(taken) + 1) if mark not in taken)


class LanguageModelVersion(models.Model):
    """What a model is at one time. Prices are US dollars per million tokens; null is unknown, never 0.

    ``abilities`` is a list of words out of ``workspace.providers.base.ABILITIES``. ``price_source`` says who keeps the
    prices; empty when an admin entered them, or nobody.
    """

    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    provider = models.ForeignKey(Provider, on_delete=models.PROTECT, related_name="model_versions")
    upstream = models.CharField(max_length=200, help_text="What the provider calls it.")
    window = models.PositiveIntegerField(
        null=True, blank=True, help_text="Tokens it can take, question and answer together."
    )
    abilities = models.JSONField(default=list, blank=True)
    parameters = models.JSONField(default=dict, blank=True)
    price_input = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    price_output = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    price_cached = models.DecimalField(max_digits=12, decimal_places=6, null=True, blank=True)
    price_source = models.CharField(max_length=60, blank=True, editable=False)
    created = models.DateTimeField(auto_now_add=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["model", "number"], name="model_version_number")]

    def __str__(self) -> str:
        return f"{self.model} v{self.number}"
