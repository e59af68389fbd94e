"""The history of a chat: its map, its checkpoints, going back, replaying an answer, taking a branch away as a file."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from chat import access, history, record, tree
from chat.models import Checkpoint, Message
from chat.views import index
from workspace.accounts.models import Person
from workspace.types import plain

LONGEST_NOTE = 2_000


@login_required
@require_safe
def page(request: HttpRequest, id: UUID) -> HttpResponse:
    person = _person(request)
    chat = access.chat_for(person, id)
    stretches = history.the_map(chat, person)
    context = {
        **index(request, chat),
        "chat": chat,
        "stretches": stretches,
        "messages_count": sum(len(one.rows) for one in stretches),
        "branches": sum(row.versions != "" for one in stretches for row in one.rows),
        "checkpoints": Checkpoint.objects.filter(chat=chat).select_related("author").order_by("created"),
        "story": history.story(chat),
        "may_write": access.may_write(person, chat),
        "here": next((row.message for one in stretches for row in one.rows if row.here), None),
    }
    return render(request, "chat/history.html", context)


@login_required
@require_POST
def go(request: HttpRequest, id: UUID) -> HttpResponse:
    """Stand exactly at a message, whatever has been written under it since."""
    person = _person(request)
    chat = access.chat_for(person, id)
    message = access.message_for(person, id, request.POST.get("message", ""))
    tree.stand(chat, person, message, exact=True)
    return redirect(f"{reverse('chat', args=[id])}#m-{message.pk}")


@login_required
@require_POST
def add_checkpoint(request: HttpRequest, id: UUID) -> HttpResponse:
    """``message``, ``name`` and perhaps a ``note``; without a message, where the person stands."""
    person = _person(request)
    chat = access.chat_to_write(person, id)
    wanted = request.POST.get("message")
    message = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    name = " ".join(request.POST.get("name", "").split())[:80]
    if message is None or not name:
        return HttpResponse("A checkpoint needs a name. Write one.", status=400, content_type="text/plain")
    note = request.POST.get("note", "").strip()[:LONGEST_NOTE]
    Checkpoint.objects.create(chat=chat, message=message, name=name, note=note, author=person)
    return redirect("chat-history", id)


@login_required
@require_POST
def change_checkpoint(request: HttpRequest, id: UUID, checkpoint: int) -> HttpResponse:
    """Another ``name`` or ``note``, or ``delete``: the flag goes, the messages stay."""
    chat = access.chat_to_write(_person(request), id)
    one = Checkpoint.objects.filter(chat=chat, pk=checkpoint).first()
    if one is None:
        raise Http404
    if request.POST.get("delete"):
        one.delete()
    elif name := " ".join(request.POST.get("name", "").split())[:80]:
        one.name, one.note = name, request.POST.get("note", one.note).strip()[:LONGEST_NOTE]
        one.save(update_fields=["name", "note"])
    return redirect("chat-history", id)


@login_required
@require_safe
def export(request: HttpRequest, id: UUID, form: str) -> HttpResponse:
    """The branch that leads to ``message``, or to where the person stands: Markdown to read, JSON Lines with
    digests."""
    person = _person(request)
    chat = access.chat_for(person, id)
    wanted = request.GET.get("message")
    tip = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    path = [message for message in tree.path(chat, tip, 100_000) if not (message.run and message.run.withheld)]
    if form == "md":
        response = HttpResponse(_markdown(str(chat), path), content_type="text/markdown; charset=utf-8")
    elif form == "jsonl":
        lines = b"\n".join(orjson.dumps(_line(message), default=str) for message in path)
        response = HttpResponse(lines + b"\n", content_type="application/jsonl")
    else:
        raise Http404
    response["Content-Disposition"] = f'attachment; filename="chat-{chat.created:%Y-%m-%d}.{form}"'
    response["X-Content-Type-Options"] = "nosniff"
    return response


def _markdown(title: str, path: list[Message]) -> str:
    """Questions as headings, answers as their models wrote them, with what made each under it."""
    said = [f"# {title}"]
    for message in path:
        text = "\n\n".join(part.text for part in record.parts_of(message) if part.kind == "text")
        if message.role == Message.Role.PERSON:
            said.append(f"## {message.author or 'Somebody'}, {message.created:%Y-%m-%d %H:%M}\n\n{text}")
            continue
        manifest = (message.run.manifest if message.run else None) or {}
        passages = manifest.get("evidence", [])
        cited = [f"{e['number']}. {', '.join(filter(None, (e['title'], e['where'])))}" for e in passages]
        made = f"*{manifest.get('model') or 'No model'}*"
        said.append("\n\n".join(filter(None, (text, "\n".join(cited), made))))
    return "\n\n".join(said) + "\n"


def _line(message: Message) -> dict[str, Any]:
    """One message, whole: with its link, so that a copy can be held against the original."""
    run = message.run
    return {
        "id": message.pk,
        "parent": message.parent_id,
        "role": message.role,
        "author": str(message.author) if message.author else None,
        "created": message.created,
        "parts": [plain(part) for part in record.parts_of(message)],
        "digest": message.digest,
        "chain": message.chain,
        "manifest": run.manifest if run else None,
        "state": run.state if run else "done",
    }


def _person(request: HttpRequest) -> Person:
    assert isinstance(request.user, Person)
    return request.user
