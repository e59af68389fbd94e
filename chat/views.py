"""The pages of chats, and the small requests they make: stand elsewhere, rename, delete, why, the manifest."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from chat import access, record, sharing, steps, windows
from chat.attaching import kept_in
from chat.authority import READS_ONLY
from chat.live import announce_moved
from chat.models import Chat, Message
from chat.thread import Shown
from chat.uploads import refuse
from retrieval.access import collections_of
from retrieval.web import engines
from workspace.accounts.models import Person
from workspace.accounts.rights import may_administer, may_chat, person_of
from workspace.measurement import drift
from workspace.router import catalog, personas
from workspace.router.catalog import Candidate
from workspace.router.decide import may_use
from workspace.router.models import RouterVersion
from workspace.router.states import LIVE
from workspace.templatetags.onepane import MARKS

RECENT = 200  # chats in the index
VERSIONS = 20  # of the router, for lanes
EXAMPLES = (
    "How do I add a model?",
    "What does the line under an answer tell me?",
    "What happens when I edit a question?",
)


@login_required
@require_safe
def chat(request: HttpRequest, id: UUID | None = None) -> HttpResponse:
    """A chat where the person stands in it; without an id, a new one."""
    person = person_of(request)
    one = access.chat_for(person, id) if id else None
    may_write = access.may_write(person, one) if one else may_chat(person)
    window = windows.around(one, person, at=request.GET.get("at")) if one else windows.NOTHING
    path = window.messages
    models = usable_models(person)
    context = {
        **index(request, one),
        "chat": one or Chat(pk=None),
        "origin": _origin(one, person) if one and one.origin_id else None,
        **windows.thread(window, person),
        "models": models,
        "suggests": bool(catalog.load_sync().configuration.autocomplete),
        "may_write": may_write,
        "may_rule": one is not None and may_write and one.owner_id == person.pk,
        "why_not": "" if may_write else _why_not(person, one),
        "shares": sharing.shares_of(one) if one else [],
        "documents_on": _documents_on(path, models),
        "shelves": collections_of(person),
        "chosen_shelves": _chosen_shelves(path),
        "kept_files": kept_in(path, person),
        "personas": personas.offered_to(person),
        "chosen_persona": _chosen_persona(path),
        "searches_web": bool(engines.configured()),
        "web_on": any(m.grounding.get("web") for m in [m for m in path if m.role == Message.Role.PERSON][-1:]),
        "reasoning_on": any(m.reasoning for m in [m for m in path if m.role == Message.Role.PERSON][-1:]),
        "router_versions": _router_versions(person),
        "examples": EXAMPLES,
        "marks": range(-1, 2 * len(MARKS)),
    }
    return render(request, "chat/chat.html", context)


@login_required
@require_POST
def place(request: HttpRequest, id: UUID) -> HttpResponse:
    """Stand on the newest path through a message, and get the thread around it; without one, the thread as it is, from
    ``since`` on where that is on it."""
    person = person_of(request)
    one = access.chat_for(person, id)
    wanted = request.POST.get("message")
    if wanted:
        message = access.message_for(person, id, wanted)
        announce_moved(person.pk, one.pk, steps.switch(one, person, message).pk)
    window = windows.around(one, person, at=wanted, since=request.POST.get("since"))
    return render(request, "chat/_thread.html", {**windows.thread(window, person), "examples": EXAMPLES})


@login_required
@require_safe
def more(request: HttpRequest, id: UUID) -> HttpResponse:
    """What comes ``before`` a message of the path, or ``after`` one."""
    person = person_of(request)
    one = access.chat_for(person, id)
    name = "before" if "before" in request.GET else "after"
    window = windows.beside(one, person, access.message_for(person, id, request.GET.get(name, "")), name)
    return render(request, "chat/_turns.html", windows.thread(window, person))


@login_required
@require_POST
def rename(request: HttpRequest, id: UUID) -> HttpResponse:
    one = access.chat_to_rule(person_of(request), id)
    title = " ".join(request.POST.get("title", "").split())[:200]
    if not title:
        return refuse("The title is empty.", "Write one.")
    one.title = title
    one.save(update_fields=["title"])
    return JsonResponse({"title": title})


@login_required
@require_POST
def delete(request: HttpRequest, id: UUID) -> HttpResponse:
    """Out of the index, and kept: ``undo`` brings it back."""
    person = person_of(request)
    if request.POST.get("undo"):
        one = access.deleted_chat(person, id)
        one.deleted = None
        one.save(update_fields=["deleted"])
        return redirect("chat", id)
    one = access.chat_to_rule(person, id)
    one.deleted = timezone.now()
    one.save(update_fields=["deleted"])
    sharing.tell_readers(one)
    notices.info(request, str(one.pk), extra_tags="deleted")
    return redirect("home")


@login_required
@require_safe
def why(request: HttpRequest, id: UUID) -> HttpResponse:
    """The decision's trace and the manifest, in words."""
    message = record.answer(access.run_message_for(person_of(request), id).pk)
    one = Shown(message)
    return render(request, "chat/why.html", {"shown": one, "facts": _facts(one)})


@login_required
@require_safe
def manifest(request: HttpRequest, id: UUID) -> HttpResponse:
    message = access.run_message_for(person_of(request), id)
    assert message.run is not None
    return JsonResponse(message.run.manifest or {}, json_dumps_params={"indent": 2, "ensure_ascii": False})


@login_required
@require_safe
def answer_text(request: HttpRequest, id: UUID) -> HttpResponse:
    """The answer as the model wrote it, for copying."""
    message = access.run_message_for(person_of(request), id)
    assert message.run is not None
    response = HttpResponse(message.run.text, content_type="text/plain; charset=utf-8")
    response["X-Content-Type-Options"] = "nosniff"
    return response


def index(request: HttpRequest, current: Chat | None = None) -> dict[str, Any]:
    """What the index beside every page shows."""
    person = person_of(request)
    live = Message.objects.filter(chat=OuterRef("pk"), run__state__in=[s.value for s in LIVE])
    chats = list(access.chats_of(person).select_related("owner").annotate(is_live=Exists(live))[:RECENT])
    groups: dict[str, list[Chat]] = {}
    now = timezone.localtime()
    for one in chats:
        if one.owner_id == person.pk:
            groups.setdefault(_day(timezone.localtime(one.touched), now), []).append(one)
    shared = [one for one in chats if one.owner_id != person.pk]
    deleted = next((str(n) for n in notices.get_messages(request) if "deleted" in n.tags), "")
    return {
        "index": list(groups.items()),
        "shared_with_me": shared,
        "may_administer": may_administer(person),
        "deleted": deleted,
        "drifted": drift.alerts(person),
    }


def _day(touched: datetime, now: datetime) -> str:
    if touched.date() == now.date():
        return "Today"
    return "Yesterday" if touched.date() == now.date() - timedelta(days=1) else "Earlier"


def _origin(one: Chat, person: Person) -> Chat | None:
    """The chat that this one is a copy of, where the person may read it."""
    return access.chats_of(person).filter(messages=one.origin_id).first()


def usable_models(person: Person) -> list[dict[str, Any]]:
    groups = set(person.groups.values_list("name", flat=True))
    candidates = [c for c in catalog.load_sync().candidates.values() if c.enabled and may_use(c, groups)]
    return [
        {"name": c.name, "mark": c.mark, "images": "images" in c.abilities, "about": _about(c), "price": _price(c)}
        for c in sorted(candidates, key=lambda c: c.kind == "quotes")
    ]


def _router_versions(person: Person) -> list[RouterVersion]:
    """What a lane that the router chooses for may be decided by: of those who may write one, the newest first."""
    if not may_administer(person):
        return []
    return list(RouterVersion.objects.select_related("configuration").defer("source").order_by("-pk")[:VERSIONS])


def _about(candidate: Candidate) -> str:
    if candidate.kind == "quotes":
        return "On this machine · sentences from the documents, no language model"
    parts = [candidate.provider_name]
    if candidate.window:
        parts.append(
            f"{candidate.window // 1000}k window" if candidate.window >= 1000 else f"{candidate.window} window"
        )
    parts += [name for name in ("images", "tools", "reasoning") if name in candidate.abilities]
    return " · ".join(parts)


def _price(candidate: Candidate) -> str:
    """Per million tokens, in and out."""
    if candidate.price_input is None or candidate.price_output is None:
        return "price unknown"
    if not candidate.price_input and not candidate.price_output:
        return "$0"
    return f"${candidate.price_input.normalize():f} / ${candidate.price_output.normalize():f}"


def _chosen_persona(path: list[Message]) -> Message | None:
    """The last question, for its persona and its variables."""
    return next((m for m in reversed(path) if m.role == Message.Role.PERSON), None)


def _chosen_shelves(path: list[Message]) -> list[str] | None:
    """As the last question had it; ``None`` is all."""
    questions = [m for m in path if m.role == Message.Role.PERSON]
    return questions[-1].grounding.get("collections") if questions else None


def _documents_on(path: list[Message], models: list[dict[str, Any]]) -> bool:
    """As the last question had it; at first on, where nothing but documents can answer."""
    questions = [m for m in path if m.role == Message.Role.PERSON]
    if questions:
        return bool(questions[-1].grounding.get("documents"))
    return all(model["name"] == "quotes" for model in models)


def _facts(one: Shown) -> list[tuple[str, Any]]:
    """The manifest's plain values, a line each."""
    manifest = one.run.manifest or {}
    nested = {
        "searched", "decision", "attempts", "evidence", "usage", "timings", "parameters", "support", "uncited",
        "asked", "variables", "versions", "conversation", "collections",
    }  # fmt: skip
    lines = [
        (name.replace("_", " "), value)
        for name, value in manifest.items()
        if name not in nested and value not in (None, "")
    ]
    for name, words in (
        ("asked", "asked"), ("parameters", "sent"), ("variables", "variable"), ("conversation", "conversation"),
        ("usage", "usage"), ("timings", "timings"), ("support", "support"), ("versions", "digest of the version"),
    ):  # fmt: skip
        lines += [(f"{words}: {key.replace('_', ' ')}", value) for key, value in (manifest.get(name) or {}).items()]
    lines += [
        (f"collection: {one['name']}", f"state {one['state']}, {one['documents']} documents, {one['digest'][:16]}")
        for one in manifest.get("collections") or ()
    ]
    lines += [
        (
            f"passage {one['number']}: {one['title']}",
            f"score {one['score']}, chunk {one['chunk_id']}, {one['digest'][:16]}",
        )
        for one in manifest.get("evidence") or ()
    ]
    return lines


def _why_not(person: Person, one: Chat | None) -> str:
    """Why a person can't write here, for the composer."""
    if not may_chat(person):
        return READS_ONLY[0].removesuffix(".")
    return f"{one.owner} shares this chat with you for reading" if one else ""
