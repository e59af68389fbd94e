"""Reading a chat's tree: the path to a tip, siblings, and where people stand. Nothing here writes but ``stand``.

Every query costs by what is shown, not by how long the chat is: a path is walked up from its tip with a
bound, and siblings are asked for the shown messages alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.db.models import Q, QuerySet

from chat.models import Branch, Chat, Message, Place
from workspace.accounts.models import Person
from workspace.types import Part, text_part

PAGE = 14  # messages of a path shown at once; older ones come as somebody scrolls
MORE = 40  # of them, each time
PART = 900  # of a whole path in one query
ABOVE = 4  # messages shown above one that is gone to

_UP = """
WITH RECURSIVE up(id, parent_id, n) AS (
  SELECT id, parent_id, 1 FROM chat_message WHERE id = %s
  UNION ALL
  SELECT m.id, m.parent_id, up.n + 1 FROM chat_message m JOIN up ON m.id = up.parent_id WHERE up.n < %s
) SELECT id FROM up
"""

# The newest child each time that is not pruned.
_DOWN = """
WITH RECURSIVE down(id) AS (
  SELECT id FROM chat_message WHERE id = %s
  UNION ALL
  SELECT (SELECT c.id FROM chat_message c WHERE c.parent_id = down.id
          AND NOT EXISTS (SELECT 1 FROM chat_branch b WHERE b.start_id = c.id AND b.pruned)
          ORDER BY c.id DESC LIMIT 1)
  FROM down WHERE down.id IS NOT NULL
) SELECT id FROM down WHERE id IS NOT NULL
"""

# So many steps of the path to a tip, by their depths.
_BETWEEN = """
WITH RECURSIVE up(id, parent_id, depth) AS (
  SELECT id, parent_id, depth FROM chat_message WHERE id = %s
  UNION ALL
  SELECT m.id, m.parent_id, m.depth FROM chat_message m JOIN up ON m.id = up.parent_id WHERE up.depth > %s
) SELECT id FROM up WHERE depth <= %s ORDER BY depth
"""

# What was said on the way to a tip: words that are still in a run too, and whether it read passages.
_SAID = """
WITH RECURSIVE up(id, parent_id, n) AS (
  SELECT id, parent_id, 1 FROM chat_message WHERE id = %s
  UNION ALL
  SELECT m.id, m.parent_id, up.n + 1 FROM chat_message m JOIN up ON m.id = up.parent_id WHERE up.n < %s
) SELECT m.role, m.parts, CASE WHEN CAST(m.parts AS text) = '[]' THEN r.text END, CAST(r.evidence AS text) <> '[]'
FROM up JOIN chat_message m ON m.id = up.id LEFT JOIN router_run r ON r.id = m.run_id ORDER BY up.n DESC
"""
ALL = 1_000_000


@dataclass(frozen=True, slots=True)
class Told:
    """What a prompt repeats of a message. ``grounded``: its numbers in brackets are of passages that it alone was
    given."""

    role: str
    parts: tuple[Part, ...]
    grounded: bool


def path(chat: Chat, tip: Message | None, limit: int = PAGE) -> list[Message]:
    """The messages that lead to ``tip``, oldest first, at most ``limit``; runs and models are loaded."""
    if tip is None:
        return []
    messages = Message.objects.filter(chat=chat, pk__in=_ids(_UP, tip.pk, limit))
    return list(with_runs(messages).order_by("depth"))


def whole_path(tip: Message | None) -> list[Message]:
    """All that leads to ``tip``, from its root on, in parts: a database counts the values of a query."""
    ids = ids_above(tip)[::-1] if tip else []
    parts = [Message.objects.filter(pk__in=ids[at : at + PART]) for at in range(0, len(ids), PART)]
    return [message for part in parts for message in with_runs(part).order_by("depth")]


def said(tip: Message, limit: int) -> list[Told]:
    """The messages that lead to ``tip``, oldest first, at most ``limit``, for their words alone: one query, and none of
    the passages. It is on the path of every question."""
    rows = _rows(_SAID, tip.pk, limit)
    return [
        Told(role, tuple(Part(**part) for part in orjson.loads(parts)) or _open(text), bool(grounded))
        for role, parts, text, grounded in rows
    ]


def _open(text: str | None) -> tuple[Part, ...]:
    """An answer that is not settled has its words in its run."""
    return (text_part(text),) if text else ()


def with_runs(messages: QuerySet[Message]) -> QuerySet[Message]:
    """Messages with all that a page shows of them."""
    run = ("run__model_version__model", "run__judgement")
    return messages.select_related("author", *run, "origin__chat", "origin__author", "lane", "fusion")


def siblings(messages: list[Message]) -> dict[UUID, list[UUID]]:
    """For each message, the ids of all messages with its parent, oldest first: itself, and those not pruned."""
    if not messages:
        return {}
    chat_id = messages[0].chat_id
    parents = {m.parent_id for m in messages if m.parent_id}
    seen = Message.objects.filter(~Q(branch__pruned=True) | Q(pk__in=[m.pk for m in messages])).order_by("id")
    rows = list(seen.filter(parent_id__in=parents).values_list("parent_id", "id"))
    if any(m.parent_id is None for m in messages):
        rows += list(seen.filter(chat_id=chat_id, depth=0).values_list("parent_id", "id"))
    children: dict[UUID | None, list[UUID]] = defaultdict(list)
    for parent_id, id in rows:
        children[parent_id].append(id)
    return {m.pk: children[m.parent_id] for m in messages}


def place_of(chat: Chat, person: Person) -> Message | None:
    """The tip of the path the person sees: the newest through where they stand, else the newest message that is not
    pruned.

    What somebody else wrote under the message a person stands on is on their path.
    """
    place = Place.objects.filter(chat=chat, person=person).first()
    if place is not None and place.exact:
        return Message.objects.get(pk=place.tip_id)
    if place is not None:
        return Message.objects.get(pk=_ids(_DOWN, place.tip_id)[-1])
    if not Branch.objects.filter(chat=chat, pruned=True).exists():
        return Message.objects.filter(chat=chat).order_by("-id").first()
    root = Message.objects.filter(chat=chat, depth=0).exclude(branch__pruned=True).order_by("-id").first()
    return Message.objects.get(pk=_ids(_DOWN, root.pk)[-1]) if root else None


def stand(chat: Chat, person: Person, tip: Message, *, exact: bool = False) -> None:
    """One statement, whether or not the person stood somewhere before: it is on the path of every question. ``exact``:
    what stands under the message is not on their path."""
    place = Place(chat=chat, person=person, tip=tip, exact=exact)
    fields = ["tip", "exact"]
    Place.objects.bulk_create([place], update_conflicts=True, unique_fields=["chat", "person"], update_fields=fields)


def move(chat: Chat, person: Person, message: Message) -> Message:
    """Stand on the newest path through ``message`` and return its tip."""
    tip = Message.objects.get(pk=_ids(_DOWN, message.pk)[-1])
    stand(chat, person, tip)
    return tip


def ids_above(tip: Message, limit: int = ALL) -> list[UUID]:
    """The ids of the path to a message, itself the first."""
    return _ids(_UP, tip.pk, limit)


def ids_below(message: Message) -> list[UUID]:
    """The ids of the newest path below a message, itself the first."""
    return _ids(_DOWN, message.pk)


def ids_between(tip: Message, first: int, last: int) -> list[UUID]:
    """The ids of the path to a message from one depth to another, oldest first."""
    return _ids(_BETWEEN, tip.pk, first, last)


def _ids(sql: str, *values: UUID | int) -> list[UUID]:
    return [Message._meta.pk.to_python(row[0]) for row in _rows(sql, *values)]


def _rows(sql: str, *values: UUID | int) -> list[tuple[Any, ...]]:
    key = Message._meta.pk
    prepared = [key.get_db_prep_value(v, connection) if isinstance(v, UUID) else v for v in values]
    with connection.cursor() as cursor:
        cursor.execute(sql, prepared)
        return cursor.fetchall()
