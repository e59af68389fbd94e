"""Which suites and measurements a person may see, and which are theirs to change: one place.

Whoever a suite is shared with may measure it, and reads every report of it, as its owner does; what somebody began
is theirs alone to pause or delete. Absent and forbidden look alike: ``Http404``.
"""

from __future__ import annotations

from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404

from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.measurement.models import Measurement, Suite, SuiteShare


def suites_of(person: Person) -> QuerySet[Suite]:
    shares = SuiteShare.objects.filter(Q(person=person) | Q(group__in=person.groups.all()))
    return Suite.objects.filter(Q(owner=person) | Q(pk__in=shares.values("suite")))


def measurements_of(person: Person) -> QuerySet[Measurement]:
    found = Measurement.objects.filter(Q(owner=person) | Q(suite__in=suites_of(person)))
    return found.select_related("suite", "owner", "schedule")


def measurement_for(person: Person, id: UUID) -> Measurement:
    return get_object_or_404(measurements_of(person), pk=id)


def measurement_to_rule(person: Person, id: UUID) -> Measurement:
    """One that the person began; whoever may only read it is told so: ``PermissionDenied``."""
    measurement = measurement_for(person, id)
    if measurement.owner_id != person.pk:
        raise PermissionDenied
    return measurement


def suite_to_rule(person: Person, id: UUID) -> Suite:
    """A suite of the person's own; whoever may only measure it is told so: ``PermissionDenied``."""
    suite = get_object_or_404(suites_of(person), pk=id)
    if suite.owner_id != person.pk or not may_chat(person):
        raise PermissionDenied
    return suite
