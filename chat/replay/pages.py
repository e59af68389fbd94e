"""The pages of replays: what would be made again and how far it can be repeated, and the report of what drifted."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import F, QuerySet, Window
from django.db.models.functions import RowNumber
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_http_methods

from chat import access, tasks, tree
from chat.frames import PARAMETERS, Refused
from chat.live import announce_changed, announce_moved
from chat.models import Chat, Message, Replay
from chat.replay import drift, making, plan
from chat.views import index, usable_models
from workspace.accounts.models import Person
from workspace.accounts.rights import person_of
from workspace.router.catalog import ACTIVE
from workspace.router.models import PromptTemplateVersion, RouterVersion
from workspace.router.personas import versions_for

SCOPES = {"answer": "This answer", "branch": "This branch", "chat": "The whole chat"}
NEWEST = 20  # versions of one thing that are offered


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def replay(request: HttpRequest, id: UUID) -> HttpResponse:
    """What would be made again. POST makes the chosen ``answer`` again, with what ``what`` names changed."""
    person = person_of(request)
    chat = access.chat_to_write(person, id)
    if request.method != "POST":
        return _plan(request, person, chat)
    chosen = [access.message_for(person, id, one) for one in request.POST.getlist("answer")[: plan.MOST + 1]]
    try:
        chosen = [one for one in chosen if one.run_id and one.settled]
        if not 1 <= len(chosen) <= plan.MOST:
            raise Refused("none_chosen", "No answer is chosen.", f"Choose 1 to {plan.MOST}.")
        if any(one.run and one.run.withheld for one in chosen):
            raise Refused("withheld", "A blind comparison is open.", "Vote first.")
        change = plan.change_of(person, request.POST)
    except Refused as refused:
        return _plan(request, person, chat, chosen, refused=f"{refused.failure.cause} {refused.failure.action}")
    made = making.begin(person, chosen, change)
    tasks.queue_replays([made.pk])
    return redirect("replay-report", id, made.pk)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def report(request: HttpRequest, id: UUID, replay: UUID) -> HttpResponse:
    """Old and new beside each other; with ``?json`` as JSON. POST ``keep`` brings one into the chat, ``stop`` ends."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    row = Replay.objects.filter(chat=chat, pk=replay).select_related("person").first()
    if row is None:
        raise Http404
    if request.method == "POST":
        return _act(request, person, chat, row)
    tag = f'"{drift.state_of(row)}"'
    if unchanged := get_conditional_response(request, etag=tag):
        return unchanged
    going = making.is_going(row)  # before the answers: one that ends meanwhile is looked at once more
    told = drift.drifts(row)
    if "json" in request.GET:
        return JsonResponse(drift.as_json(row, told), json_dumps_params={"indent": 2, "ensure_ascii": False})
    context = {
        **index(request, chat),
        "chat": chat,
        "replay": row,
        "change": plan.Change.of(row.change),
        "drifts": told,
        "sum": drift.sum_of(told),
        "going": going,
        "may_write": access.may_write(person, chat),
    }
    response = render(request, "chat/drift.html", context)
    response["ETag"] = tag
    return response


def _act(request: HttpRequest, person: Person, chat: Chat, row: Replay) -> HttpResponse:
    access.chat_to_write(person, chat.pk)
    if request.POST.get("stop"):
        making.stop(row)
        return redirect("replay-report", chat.pk, row.pk)
    place = request.POST.get("keep", "")
    one = row.answers.select_related("run", "message__chat", "message__parent").filter(
        place=int(place) if place.isascii() and place.isdigit() and len(place) < 6 else -1
    )  # fmt: skip
    if (wanted := one.first()) is None:
        raise Http404
    try:
        kept = making.keep(chat, person, wanted)
    except Refused as refused:
        words = f"{refused.failure.cause} {refused.failure.action}"
        return HttpResponse(words, status=400, content_type="text/plain; charset=utf-8")
    announce_changed(chat.pk)
    if tip := tree.place_of(chat, person):
        announce_moved(person.pk, chat.pk, tip.pk)
    return redirect(f"{reverse('chat', args=[chat.pk])}#m-{kept.pk}")


def _plan(
    request: HttpRequest, person: Person, chat: Chat, chosen: list[Message] | None = None, *, refused: str = ""
) -> HttpResponse:
    wanted = request.GET.get("message", "")
    message = access.message_for(person, chat.pk, wanted) if wanted else None
    scope = request.GET.get("scope") or ("answer" if message else "branch")
    scope = scope if scope in SCOPES else "branch"
    page = Paginator(plan.ids_of(chat, person, scope, message), plan.MOST).get_page(request.GET.get("page"))
    messages = chosen or plan.answers(page.object_list)
    outlooks = plan.outlooks(person, messages)
    known = [one.message.run.cost for one in outlooks if one.message.run and one.message.run.cost is not None]
    context = {
        **index(request, chat),
        "chat": chat,
        "message": message,
        "scope": scope,
        "scopes": SCOPES.items(),
        "page": page,
        "outlooks": outlooks,
        "exact": sum(one.exact for one in outlooks),
        "cost": sum(known) if known else None,
        "documents": sorted({why for one in messages if one.run for why in plan.documents_changed(one.run)}),
        "models": usable_models(person),
        "parameters": [(name, name.replace("_", " ")) for name in (*PARAMETERS, "seed")],
        "templates": _templates(person),
        "routers": RouterVersion.objects.filter(configuration__name=ACTIVE).order_by("-number")[:NEWEST],
        "before": Replay.objects.filter(chat=chat).select_related("person").order_by("-created")[:NEWEST],
        "asked": request.POST,
        "refused": refused,
    }
    return render(request, "chat/replay.html", context, status=400 if refused else 200)


def _templates(person: Person) -> QuerySet[PromptTemplateVersion]:
    """The newest versions of each prompt."""
    nth = Window(RowNumber(), partition_by="template", order_by=F("number").desc())
    found = versions_for(person).annotate(nth=nth).filter(nth__lte=NEWEST).select_related("template")
    return found.order_by("template__name", "-number")
