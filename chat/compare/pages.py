"""The list of comparisons, the leaderboard, and the small requests of a board: vote, reveal, thumbs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from chat.compare import leaderboard as standings
from chat.compare import plots, ranked, rows
from chat.compare.lanes import judge_revealed
from chat.compare.listing import SHOWN, listed
from chat.compare.opinions import opinions
from chat.compare.style import HELD
from chat.compare.topics import TOPICS
from chat.frames import Refused, dump
from chat.live import announce
from chat.models import Comparison
from chat.uploads import refuse
from chat.views import index
from workspace.accounts.rights import person_of
from workspace.wire import Tell


@login_required
@require_safe
def comparisons(request: HttpRequest) -> HttpResponse:
    """Every comparison that the person may read; those that wait for their vote are counted."""
    found = listed(person_of(request))
    waiting = sum(one.waits for one in found)
    return render(
        request, "chat/comparisons.html", {**index(request), "comparisons": found, "waiting": waiting, "most": SHOWN}
    )


@login_required
@require_safe
def leaderboard(request: HttpRequest) -> HttpResponse:
    """``votes``: blind or sighted; ``by``, ``held`` and ``topic`` as in ``Wanted``. An unknown value is the first, so
    an old link still opens."""
    person, asked = person_of(request), request.GET
    wanted = ranked.Wanted(
        blind=asked.get("votes") != "sighted",
        by=asked["by"] if asked.get("by") in ranked.BY else ranked.BY[0],
        held=asked["held"] if asked.get("held") in HELD else "",
        topic=asked["topic"] if asked.get("topic") in TOPICS else "",
    )
    groups = set(person.groups.values_list("name", flat=True))
    found = standings.leaderboard(groups, wanted)
    context = {
        **index(request),
        "wanted": wanted,
        "leaderboard": found,
        "least": standings.LEAST,
        "most": ranked.MOST,
        "opinions": opinions(groups, wanted),
        "also_first": found.first[1:],
        "cost_plot": plots.against_cost(found.standings),
        "wait_plot": plots.against_wait(found.standings),
    }
    return render(request, "chat/leaderboard.html", context)


@login_required
@require_POST
def vote(request: HttpRequest, id: UUID, comparison: UUID) -> HttpResponse:
    """``choice``: the answer's id of the best lane, "tie" or "bad"; any number of ``reason``."""
    choice, reasons = request.POST.get("choice", ""), request.POST.getlist("reason")
    lane = None if choice in ("tie", "bad") else _id(choice)
    word = "best" if lane else choice
    return _do(
        lambda: _revealed(rows.vote(person_of(request), id, comparison, choice=word, lane=lane, reasons=reasons)), id
    )


@login_required
@require_POST
def reveal(request: HttpRequest, id: UUID, comparison: UUID) -> HttpResponse:
    return _do(lambda: _revealed(rows.reveal(person_of(request), id, comparison)), id)


@login_required
@require_POST
def thumb(request: HttpRequest, id: UUID, answer: UUID) -> HttpResponse:
    """``up``: 1 or 0. The same again takes it back; with ``why`` it stays, and any number of ``reason`` say why."""
    up, reasons, toggle = request.POST.get("up") == "1", request.POST.getlist("reason"), "why" not in request.POST
    lane = partial(rows.thumb, person_of(request), id, answer, up=up, reasons=reasons, toggle=toggle)
    return _do(lambda: lane().comparison_id, id)


def _revealed(comparison: Comparison) -> UUID:
    if comparison.revealed:
        judge_revealed(comparison)
    return comparison.pk


def _do(change: Callable[[], UUID], chat_id: UUID) -> HttpResponse:
    """Carry it out and tell every tab of the chat that the board has changed."""
    try:
        with transaction.atomic():
            comparison = change()
    except Refused as refused:
        if refused.failure.code == "not_found":
            raise Http404 from None
        status = 403 if refused.failure.code in ("read_only", "viewer") else 400
        return refuse(refused.failure.cause, refused.failure.action, status)
    announce(chat_id, dump(Tell.VOTED, chat=chat_id, comparison=comparison))
    return JsonResponse({"comparison": str(comparison)})


def _id(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None
