"""The history of a chat: its map, its checkpoints, going back."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from chat import access, history, tree
from chat.models import Checkpoint
from chat.views import index
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat

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
        "may_rule": chat.owner_id == person.pk and may_chat(person),
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


def _person(request: HttpRequest) -> Person:
    assert isinstance(request.user, Person)
    return request.user
