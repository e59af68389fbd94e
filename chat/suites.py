"""What is done with a suite and with what was measured: named, shared, deleted."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from chat.sharing import share_with
from workspace.accounts.rights import person_of
from workspace.measurement.access import measurement_to_rule, suite_to_rule
from workspace.measurement.models import GOING, Suite


@login_required
@require_POST
def change(request: HttpRequest, id: UUID) -> HttpResponse:
    """``name`` it, ``share`` it with a person or a group, ``unshare`` one, or ``delete`` it with all its reports."""
    suite = suite_to_rule(person_of(request), id)
    with transaction.atomic():
        if request.POST.get("delete"):
            _delete(request, suite)
        elif wanted := _words(request, "share"):
            share_with(request, suite.shares, wanted)
        elif gone := request.POST.get("unshare", ""):
            suite.shares.filter(pk=gone if gone.isascii() and gone.isdigit() else "0").delete()
        elif name := _words(request, "name")[:120]:
            suite.name = name
            suite.save(update_fields=["name"])
        else:
            messages.error(request, "A suite needs a name. Write one.")
    return redirect("measures")


@login_required
@require_POST
def delete_measurement(request: HttpRequest, id: UUID) -> HttpResponse:
    """A report with all its answers; the runs that made them stay, as usage does."""
    measurement = measurement_to_rule(person_of(request), id)
    if measurement.state in GOING:
        messages.error(request, "It is being measured. Pause it first.")
        return redirect("measure", id)
    measurement.delete()
    messages.success(request, f"The report of {measurement.suite.name} is deleted.")
    return redirect("measures")


def _delete(request: HttpRequest, suite: Suite) -> None:
    if suite.measurements.filter(state__in=GOING).exists():
        messages.error(request, f"{suite.name} is being measured. Pause that first.")
        return
    collection = suite.collection
    suite.delete()
    if collection and not Suite.objects.filter(collection=collection).exists():
        collection.delete()
    messages.success(request, f"{suite.name} is deleted, with its reports.")


def _words(request: HttpRequest, name: str) -> str:
    return " ".join(request.POST.get(name, "").split())
