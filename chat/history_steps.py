"""What people do on the history of a chat: go somewhere, set flags, name, star, prune and restore branches, bring
answers from one into another, take copies, and undo any of it.

Each answers with the page it came from, and a word on what was done that can be undone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_POST

from chat import access, copies, steps, tree
from chat.frames import Refused
from chat.live import announce_changed, announce_moved
from chat.models import Chat, Checkpoint, Message, Step
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat, person_of
from workspace.audit.log import record as log
from workspace.audit.models import Action

LONGEST_NOTE = 2_000
UNDO = "undo"  # the tag of a notice that can be undone; the step's id follows


@login_required
@require_POST
def go(request: HttpRequest, id: UUID) -> HttpResponse:
    """Stand at a message, on the newest path through it; ``exact`` leaves what was written under it aside."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    message = access.message_for(person, id, request.POST.get("message", ""))
    tip = steps.switch(chat, person, message, exact=bool(request.POST.get("exact")))
    announce_moved(person.pk, chat.pk, tip.pk)
    return redirect(f"{reverse('chat', args=[id])}?at={message.pk}#m-{message.pk}")


@login_required
@require_POST
def branch(request: HttpRequest, id: UUID) -> HttpResponse:
    """``do`` with the branch that begins at ``message``: prune, restore, star, or name (``name``; empty for none)."""
    person, chat, message = _to_write(request, id)
    words = " ".join(request.POST.get("name", "").split())[:80]
    does: dict[str, Callable[[], Step]] = {
        "prune": lambda: steps.prune(chat, person, message),
        "restore": lambda: steps.restore(chat, person, message),
        "star": lambda: steps.star(chat, person, message),
        "name": lambda: steps.name(chat, person, message, words),
    }
    do = does.get(request.POST.get("do", ""))
    return _done(request, chat, do) if do else _words("Nothing like that can be done with a branch.", 400)


@login_required
@require_POST
def merge(request: HttpRequest, id: UUID) -> HttpResponse:
    """Bring the answer ``message`` with its question, or the ``whole`` branch it ends, to where ``into`` ends; without
    it, to where the person stands."""
    person, chat, message = _to_write(request, id)
    wanted = request.POST.get("into")
    into = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    whole = bool(request.POST.get("whole"))
    return _done(request, chat, lambda: copies.merge(chat, person, message, into, whole=whole))


@login_required
@require_POST
def fork(request: HttpRequest, id: UUID) -> HttpResponse:
    """The path to ``message`` as a chat of one's own, or of ``person``, by their name, as a starting point."""
    by = person_of(request)
    chat = access.chat_for(by, id)
    if not may_chat(by):
        raise PermissionDenied
    message = access.message_for(by, id, request.POST.get("message", ""))
    name = " ".join(request.POST.get("person", "").split())
    owner = Person.objects.filter(username__iexact=name, is_active=True).first() if name else by
    if owner is None or not may_chat(owner):
        cause = f"Nobody who may chat here is named “{name[:150]}”."
        return _refused(request, chat, Refused("nobody", cause, "Write a name as the sharing dialog has it."))
    try:
        with transaction.atomic():
            made = copies.fork(chat, by, message, owner)
            if owner != by:
                log(Action.SHARED, about=made, name="", words=f"As a copy, with {owner}.")
    except Refused as refused:
        return _refused(request, chat, refused)
    if owner == by:
        return redirect("chat", made.pk)
    notices.info(request, f"{owner} has a copy of this branch.", extra_tags="told")
    return redirect(_back(request, chat))


@login_required
@require_POST
def undo(request: HttpRequest, id: UUID, step: UUID) -> HttpResponse:
    """Undo a step, or do again one that was undone. Going somewhere and taking copies is everybody's own."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    own = Step.objects.filter(chat=chat, pk=step, person=person, kind__in=steps.OWN).exists()
    if not own and not access.may_write(person, chat):
        raise PermissionDenied
    return _done(request, chat, lambda: steps.undo(chat, person, step), again=True)


@login_required
@require_POST
def add_checkpoint(request: HttpRequest, id: UUID) -> HttpResponse:
    """``message``, ``name`` and perhaps a ``note``; without a message, where the person stands."""
    person = person_of(request)
    chat = access.chat_to_write(person, id)
    wanted = request.POST.get("message")
    message = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    name = " ".join(request.POST.get("name", "").split())[:80]
    if message is None or not name:
        return _words("A checkpoint needs a name. Write one.", 400)
    note = request.POST.get("note", "").strip()[:LONGEST_NOTE]
    steps.flag(chat, person, message, name, note)
    announce_changed(chat.pk)
    return redirect(_back(request, chat))


@login_required
@require_POST
def change_checkpoint(request: HttpRequest, id: UUID, checkpoint: int) -> HttpResponse:
    """Another ``name`` or ``note``, or ``delete``: the flag goes, the messages stay."""
    person = person_of(request)
    chat = access.chat_to_write(person, id)
    one = Checkpoint.objects.filter(chat=chat, pk=checkpoint, removed=False).select_related("message").first()
    if one is None:
        raise Http404
    name = " ".join(request.POST.get("name", "").split())[:80]
    fields: dict[str, Any] = {"removed": True}
    if not request.POST.get("delete"):
        note = request.POST.get("note", one.note).strip()[:LONGEST_NOTE]
        fields = {"name": name or one.name, "note": note}
    return _done(request, chat, lambda: steps.change_flag(chat, person, one, **fields))


SAID = {
    Step.Kind.SWITCHED: "You went to another branch.",
    Step.Kind.PRUNED: "{} pruned. Nothing is deleted.",
    Step.Kind.RESTORED: "{} restored.",
    Step.Kind.NAMED: "{} named.",
    Step.Kind.STARRED: "{} changed.",
    Step.Kind.FLAGGED: "Checkpoint “{about}” set.",
    Step.Kind.CHANGED: "Checkpoint “{about}” changed.",
    Step.Kind.UNFLAGGED: "Checkpoint “{about}” taken away.",
    Step.Kind.MERGED: "Brought in “{about}”.",
    Step.Kind.KEPT: "Kept a replayed answer of {about}.",
    Step.Kind.FORKED: "Branch copied.",
}


def _done(request: HttpRequest, chat: Chat, do: Callable[[], Step], *, again: bool = False) -> HttpResponse:
    """Carry it out, tell every tab, and say what was done."""
    person = person_of(request)
    try:
        step = do()
    except Refused as refused:
        return _refused(request, chat, refused)
    announce_changed(chat.pk)
    if "place" in step.after and (tip := tree.place_of(chat, person)):
        announce_moved(person.pk, chat.pk, tip.pk)
    said = _said(step)
    if again:
        said = f"{'Undone' if step.undone else 'Done again'}: {said[0].lower()}{said[1:]}"
    notices.info(request, said, extra_tags=f"{UNDO} {step.pk}")
    return redirect(_back(request, chat))


def _said(step: Step) -> str:
    name = (step.after.get("branch") or {}).get("name") or (step.before.get("branch") or {}).get("name")
    return SAID[Step.Kind(step.kind)].format(f"Branch “{name}”" if name else "Branch", about=step.about)


def _to_write(request: HttpRequest, id: UUID) -> tuple[Person, Chat, Message]:
    person = person_of(request)
    chat = access.chat_to_write(person, id)
    return person, chat, access.message_for(person, id, request.POST.get("message", ""))


def _back(request: HttpRequest, chat: Chat) -> str:
    """The history as its reader had it: ``back`` is the query it was opened with."""
    query = request.POST.get("back", "").lstrip("?")
    return reverse("chat-history", args=[chat.pk]) + (f"?{query}" if query else "")


def _refused(request: HttpRequest, chat: Chat, refused: Refused) -> HttpResponse:
    words = f"{refused.failure.cause} {refused.failure.action}"
    if refused.failure.code == "not_found":
        raise Http404 from None
    if refused.failure.code in ("read_only", "viewer", "not_yours"):
        return _words(words, 403)
    notices.warning(request, words, extra_tags="told")
    return redirect(_back(request, chat))


def _words(words: str, status: int) -> HttpResponse:
    return HttpResponse(words, status=status, content_type="text/plain; charset=utf-8")
