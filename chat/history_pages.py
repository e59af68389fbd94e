"""The history of a chat: its map, and what changed on it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages as notices
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chat import access, changes, history, record, steps, tree
from chat.history_steps import UNDO
from chat.models import Chat, Checkpoint, Message
from chat.templatetags.chat_map import ROW, brought_lines
from chat.views import index
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat, person_of

SHOWS = ("all", "branches", "checkpoints", "mine", "steps")


@login_required
@require_safe
def page(request: HttpRequest, id: UUID) -> HttpResponse:
    """``show`` is one of ``SHOWS``; ``a`` and ``b`` name what is compared, ``of=branches`` the branches that end there,
    ``view=side`` side by side. ``open`` are folds shown whole, ``pruned`` shows what was pruned, ``before`` steps older
    than that one, ``from`` the first row."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    show = request.GET.get("show") if request.GET.get("show") in SHOWS else "all"
    here = tree.place_of(chat, person)
    context = {
        **index(request, chat),
        **(drawn := _drawn(request, chat, person)),
        "pruned_names": ", ".join(one.name for one in drawn["map"].pruned if one.name),
        "shows_pruned": "pruned" in request.GET,
        "chat": chat,
        "show": show,
        "here": here,
        "checkpoints": _checkpoints(chat),
        "story": steps.story(chat, person, before=_id(request.GET.get("before"))) if show == "steps" else [],
        "may_write": access.may_write(person, chat),
        "may_chat": may_chat(person),
        "may_rule": chat.owner_id == person.pk and may_chat(person),
        "side": request.GET.get("view") == "side",
        "changes": _changes(request, chat, person, here),
        "shows": _shows(chat, drawn["map"].branches),
        "toasts": [(str(n), _step(n.tags)) for n in notices.get_messages(request) if "deleted" not in n.tags],
    }
    return render(request, "chat/history.html", context)


@login_required
@require_safe
def rows(request: HttpRequest, id: UUID) -> HttpResponse:
    """The rows of the map ``from`` one on, as the page would draw them."""
    person = person_of(request)
    chat = access.chat_for(person, id)
    context = {**_drawn(request, chat, person), "chat": chat, "may_write": access.may_write(person, chat)}
    return render(request, "chat/_map_rows.html", context)


def _shows(chat: Chat, branches: int) -> list[tuple[str, str, int | None]]:
    """What the map can show, with how many there are."""
    flags = Checkpoint.objects.filter(chat=chat, removed=False).count()
    counts = {"branches": branches, "checkpoints": flags}
    return [(one, one.capitalize(), counts.get(one)) for one in SHOWS]


def _drawn(request: HttpRequest, chat: Chat, person: Person) -> dict[str, Any]:
    """The map, and the window of its rows that is asked for: else the one around where the person stands."""
    show = request.GET.get("show", "")
    opened = {one for text in request.GET.getlist("open") if (one := _id(text))}
    by = show if show in ("branches", "mine") else ""
    drawn = history.the_map(chat, person, opened=opened, pruned="pruned" in request.GET, by=by)
    wanted = request.GET.get("from", "")
    first = min(int(wanted), len(drawn.rows)) if wanted.isascii() and wanted.isdigit() else drawn.first
    shown = history.load(drawn.rows[first : first + history.WINDOW])
    brought = "" if by else brought_lines(history.brought(chat, drawn.rows))
    return {
        "map": drawn,
        "rows": shown,
        "first": first,
        "rest": len(drawn.rows) - first - len(shown),
        "next": first + len(shown),
        "earlier": max(0, first - history.WINDOW),
        "brought": brought,
        "columns": drawn.width + bool(brought),  # the dashed lines run beside the last
        "height": len(drawn.rows) * ROW,
    }


def _changes(request: HttpRequest, chat: Chat, person: Person, here: Message | None) -> changes.Changes | None:
    """What is asked for; else the last answer in view that has other versions, and the version before it."""
    pair = _asked_pair(request, chat, person) if "a" in request.GET else _usual_pair(chat, here)
    if pair is None:
        return None
    if request.GET.get("of") == "branches":
        return changes.of_branches(chat, *pair)
    return changes.of_messages(*pair)


def _asked_pair(request: HttpRequest, chat: Chat, person: Person) -> tuple[Message, Message]:
    """Two messages, each named by its id or as a checkpoint: “flag-7”."""
    found = [_named(chat, person, request.GET.get(name, "")) for name in ("a", "b")]
    if changes.withheld(*found):
        raise Http404
    first, second = (record.answer(one.pk) for one in found)
    return first, second


def _named(chat: Chat, person: Person, name: str) -> Message:
    if name.startswith("flag-"):
        number = name.removeprefix("flag-")
        flags = Checkpoint.objects.filter(chat=chat, removed=False).select_related("message")
        one = flags.filter(pk=int(number)).first() if number.isascii() and number.isdigit() else None
        if one is None:
            raise Http404
        return one.message
    return access.message_for(person, chat.pk, name)


def _usual_pair(chat: Chat, here: Message | None) -> tuple[Message, Message] | None:
    path = tree.path(chat, here)
    families = tree.siblings(path)
    for one in sorted(path, key=lambda one: (one.run_id is None, -one.depth)):  # answers first, the last one of them
        others = [id for id in families[one.pk] if id != one.pk]
        if others:
            before = [id for id in others if id < one.pk]
            old, new = record.answer(before[-1] if before else others[0]), record.answer(one.pk)
            return None if changes.withheld(old, new) else (old, new)
    return None


def _checkpoints(chat: Chat) -> list[Checkpoint]:
    flags = Checkpoint.objects.filter(chat=chat, removed=False).select_related("author", "message__run__model_version")
    return list(flags.order_by("-created"))


def _step(tags: str) -> str:
    """The step that a notice is about, where it can be undone."""
    words = tags.split()
    return words[words.index(UNDO) + 1] if UNDO in words else ""


def _id(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
