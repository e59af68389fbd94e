"""Personas: prompt templates that people choose for a chat, and may write for themselves.

Versioned as every template is. Names in braces are variables; a chat may give them values of its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from django.db import transaction
from django.db.models import Max, Q, QuerySet
from django.utils import timezone
from django.utils.text import slugify

from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.router.catalog import ACTIVE, Template
from workspace.router.models import PromptTemplate, PromptTemplateVersion
from workspace.router.prompts import BUILT_IN, build, variables_of
from workspace.types import Evidence, PromptMessage, Request, text_part
from workspace.wire import MAX_VALUE, MAX_VARIABLES

MOST = 20_000  # characters of a prompt
_LINE = re.compile(r"\{?([a-z][a-z0-9_]{0,39})\}?\s*=\s*(.*)")

QUESTION = (PromptMessage(role="person", parts=(text_part("When are apple trees pruned?"),)),)
EXAMPLE = tuple(
    Evidence(number=number, chunk_id="", document_id="", title=title, text=text, digest="", score=1.0)
    for number, (title, text) in enumerate(
        [("Orchard", "Apple trees are pruned in late winter."), ("Garden", "Cherry trees are pruned after harvest.")], 1
    )
)


class NotKept(Exception):
    """Why a persona is not kept so, in words."""


class Endless:
    """A model into whose window everything fits."""

    window = None


def offered_to(person: Person) -> QuerySet[PromptTemplate]:
    """What the person may choose for a chat: the workspace's personas and their own."""
    seen = Q(owner=None, offered=True) | Q(owner=person)
    found = PromptTemplate.objects.filter(seen).exclude(name=ACTIVE).exclude(current=None)
    return found.select_related("current").order_by("owner", "title", "name")


def versions_for(person: Person) -> QuerySet[PromptTemplateVersion]:
    """Versions that the person may answer with: of those personas, and the workspace's own template."""
    return PromptTemplateVersion.objects.filter(Q(template__in=offered_to(person)) | Q(template__name=ACTIVE))


def declared(lines: str) -> dict[str, str]:
    """``audience = beginners``, one a line. Raises NotKept for a line that is not so."""
    pairs: dict[str, str] = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        found = _LINE.fullmatch(line)
        if found is None:
            raise NotKept(f"“{line[:60]}” is no variable. Write a name in small letters, =, and what it stands for.")
        name, value = found.groups()
        if name in ("evidence", *BUILT_IN):
            raise NotKept(f"{{{name}}} stands for itself. Take another name.")
        if name in pairs:
            raise NotKept(f"{{{name}}} is there twice. Leave one of them out.")
        if len(value) > MAX_VALUE:
            raise NotKept(f"What {{{name}}} stands for is over {MAX_VALUE:,} characters. Shorten it.")
        pairs[name] = value
    if len(pairs) > MAX_VARIABLES:
        raise NotKept(f"These are {len(pairs)} variables. At most {MAX_VARIABLES} are kept.")
    return pairs


def written(variables: Mapping[str, str]) -> str:
    return "\n".join(f"{name} = {value}" for name, value in variables.items())


@transaction.atomic
def keep(
    person: Person, row: PromptTemplate | None, *, title: str, about: str, system: str, variables: Mapping[str, str]
) -> PromptTemplate:
    """A persona of the person's own, new or as its next version. Raises NotKept."""
    title, system = " ".join(title.split())[:80], system.replace("\r\n", "\n").replace("\x00", "").strip()
    if not title or not system:
        raise NotKept("A persona needs a name and what the model is told. Write both.")
    if len(system) > MOST:
        raise NotKept(f"The prompt has {len(system):,} characters; {MOST:,} fit. Shorten it.")
    if row is None:
        name = f"{slugify(title)[:40] or 'persona'}-{str(new_id())[-8:]}"
        row = PromptTemplate.objects.create(name=name, owner=person)
    row = PromptTemplate.objects.select_for_update().get(pk=row.pk)
    row.title, row.about = title, " ".join(about.split())[:200]
    now = row.current
    if now is None or (now.system, now.variables) != (system, dict(variables)):
        newest = row.versions.aggregate(newest=Max("number"))["newest"] or 0
        row.current = PromptTemplateVersion.objects.create(
            template=row, number=newest + 1, system=system, variables=dict(variables), author=person
        )
    row.save(update_fields=["title", "about", "current"])
    return row


def previews(
    system: str, variables: Mapping[str, str], *, person: str, given: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """What a model would be sent, with two passages in their place and without any. Nothing is stored."""
    values = variables_of(system, variables, given or {}, person=person, now=timezone.localtime())
    request = Request(messages=QUESTION, variables=values)
    cases: tuple[tuple[str, tuple[Evidence, ...]], ...] = (("With documents", EXAMPLE), ("Without documents", ()))
    template = Template(system=system)
    return [(title, build(request, Endless(), evidence, template).system) for title, evidence in cases]
