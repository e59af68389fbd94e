"""The first prompt template and the first router configuration, for a workspace that has none."""

from __future__ import annotations

from django.db import transaction

from workspace.router.catalog import ACTIVE
from workspace.router.configuration import DEFAULT_SOURCE, save_version
from workspace.router.models import PromptTemplate, PromptTemplateVersion, RouterConfiguration
from workspace.router.prompts import DEFAULT_SYSTEM


@transaction.atomic
def ensure_defaults() -> None:
    """Safe to repeat. The first configuration names no model but the bundled reader: ``any`` is whatever is there."""
    if not PromptTemplate.objects.filter(name=ACTIVE).exists():
        template = PromptTemplate.objects.create(name=ACTIVE)
        template.current = PromptTemplateVersion.objects.create(template=template, number=1, system=DEFAULT_SYSTEM)
        template.save(update_fields=["current"])
    if not RouterConfiguration.objects.filter(name=ACTIVE).exists():
        save_version(ACTIVE, DEFAULT_SOURCE, models=["quotes"], note="The first one.")
