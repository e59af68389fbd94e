"""The leaderboard, and the small requests of a board: vote, reveal, thumbs."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST, require_safe

from chat.compare import leaderboard as standings
from chat.compare import rows
from chat.frames import Refused, dump
from chat.live import announce
from chat.views import index
from workspace.accounts.models import Person
from workspace.wire import Tell


@login_required
@require_safe
def leaderboard(request: HttpRequest) -> HttpResponse:
    """``votes``: blind or sighted; ``styled`` holds length apart; ``versions`` tells versions and settings apart."""
    person = _person(request)
    chosen = {"blind": request.GET.get("votes") != "sighted"}
    chosen |= {name: request.GET.get(name) == "1" for name in ("styled", "versions")}
    found = standings.leaderboard(set(person.groups.values_list("name", flat=True)), **chosen)
    first = [one.strength.model for one in found.standings if one.strength.rank == 1]
    context = {
        **index(request),
        **chosen,
        "leaderboard": found,
        "least": standings.LEAST,
        "first_is_alone": len(first) == 1,
        "also_first": ", ".join(first[1:]),
        "more": "".join(f"&{name}=1" for name in ("styled", "versions") if chosen[name]),
    }
    return render(request, "chat/leaderboard.html", context)


@login_required
@require_POST
def vote(request: HttpRequest, id: UUID, comparison: UUID) -> HttpResponse:
    """``choice``: the answer's id of the best lane, "tie" or "bad"; any number of ``reason``."""
    choice, reasons = request.POST.get("choice", ""), request.POST.getlist("reason")
    lane = None if choice in ("tie", "bad") else _id(choice)
    word = "best" if lane else choice
    return _do(lambda: rows.vote(_person(request), id, comparison, choice=word, lane=lane, reasons=reasons).pk, id)


@login_required
@require_POST
def reveal(request: HttpRequest, id: UUID, comparison: UUID) -> HttpResponse:
    return _do(lambda: rows.reveal(_person(request), id, comparison).pk, id)


@login_required
@require_POST
def thumb(request: HttpRequest, id: UUID, answer: UUID) -> HttpResponse:
    """``up``: 1 or 0; any number of ``reason``. The same again takes it back."""
    up, reasons = request.POST.get("up") == "1", request.POST.getlist("reason")
    return _do(lambda: rows.thumb(_person(request), id, answer, up=up, reasons=reasons).comparison_id, id)


def _do(change: Callable[[], UUID], chat_id: UUID) -> HttpResponse:
    """Carry it out and tell every tab of the chat that the board has changed."""
    try:
        with transaction.atomic():
            comparison = change()
    except Refused as refused:
        if refused.failure.code == "not_found":
            raise Http404 from None
        status = 403 if refused.failure.code in ("read_only", "viewer") else 400
        return JsonResponse({"cause": refused.failure.cause, "action": refused.failure.action}, status=status)
    announce(chat_id, dump(Tell.VOTED, chat=chat_id, comparison=comparison))
    return JsonResponse({"comparison": str(comparison)})


def _id(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _person(request: HttpRequest) -> Person:
    assert isinstance(request.user, Person)
    return request.user
