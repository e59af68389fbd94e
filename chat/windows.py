"""What part of a path a page shows: a window of it, with more above and below as somebody scrolls.

A chat of ten thousand messages costs its page what a short one does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from chat import tree
from chat.compare.board import with_boards
from chat.history import flags_of
from chat.models import Branch, Chat, Message
from chat.thread import Shown, shown
from workspace.accounts.models import Person

KEPT = 400  # messages of a path that a page which is drawn again may keep


@dataclass(frozen=True)
class Window:
    """Messages of a path that follow each other, and where it ends."""

    messages: list[Message] = field(default_factory=list)
    tip: UUID | None = None

    @property
    def has_older(self) -> bool:
        return bool(self.messages) and self.messages[0].depth > 0

    @property
    def has_newer(self) -> bool:
        return bool(self.messages) and self.messages[-1].pk != self.tip


NOTHING = Window()


def around(chat: Chat, person: Person, *, at: str | None = None, since: str | None = None) -> Window:
    """The end of the path; with ``at``, a part of it around that message; with ``since``, all from that message on.
    A message that is not on the path says nothing."""
    tip = tree.place_of(chat, person)
    if tip is None:
        return NOTHING
    if since and (kept := _from(tree.ids_above(tip, KEPT), since)):
        return Window(_loaded(chat, kept), tip.pk)
    end = tree.path(chat, tip)
    if not at or at in {str(one.pk) for one in end}:
        return Window(end, tip.pk)
    depth = _depth(chat, at)
    if depth is None:
        return Window(end, tip.pk)
    first = max(0, depth - tree.ABOVE)
    ids = tree.ids_between(tip, first, first + tree.PAGE - 1)
    return Window(_loaded(chat, ids) if at in map(str, ids) else end, tip.pk)


def beside(chat: Chat, person: Person, message: Message, side: str) -> Window:
    """What comes ``before`` a message of the path the person sees, or ``after`` it."""
    if side == "before":
        above = message.parent
        return Window(tree.path(chat, above, tree.MORE) if above else [], message.pk)
    tip = tree.place_of(chat, person)
    ids = tree.ids_between(tip, message.depth, message.depth + tree.MORE) if tip else []
    if message.pk not in ids:
        return NOTHING
    return Window(_loaded(chat, ids[1:]), tip.pk if tip else None)


def thread(window: Window, person: Person) -> dict[str, Any]:
    """As its templates show it: boards where lanes stand, flags where checkpoints do, and whether it is pruned."""
    ids = [one.pk for one in window.messages]
    flags = flags_of(ids)
    turns: list[Shown] = with_boards(shown(window.messages), person)
    for one in turns:
        one.flags = [flag.name for flag in flags.get(one.message.pk, ())]
    return {"thread": turns, "window": window, "pruned": Branch.objects.filter(start__in=ids, pruned=True).first()}


def _from(ids: Sequence[UUID], since: str) -> list[UUID]:
    """From a message on, oldest first; nothing where it is not among them."""
    place = next((number for number, id in enumerate(ids) if str(id) == since), None)
    return list(ids[place::-1]) if place is not None else []


def _depth(chat: Chat, id: str) -> int | None:
    try:
        return Message.objects.filter(chat=chat, pk=UUID(id)).values_list("depth", flat=True).first()
    except ValueError:
        return None


def _loaded(chat: Chat, ids: Sequence[UUID]) -> list[Message]:
    return list(tree.with_runs(Message.objects.filter(chat=chat, pk__in=ids)).order_by("depth"))
