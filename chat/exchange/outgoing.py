"""A chat as lines of our own format: every branch of it, or one, with all that made its answers.

What a blind comparison withholds is left out until the vote. Votes come along, but whose they are is told of the
reader's own alone, and so is where somebody went.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet, prefetch_related_objects

from chat import record
from chat.exchange import lines, replays, runs, timeline
from chat.exchange.nodes import when
from chat.exchange.people import name_of
from chat.models import (
    Branch,
    Chat,
    Checkpoint,
    Comparison,
    Fusion,
    Lane,
    Message,
    MessageBlob,
    Thumb,
    Vote,
)
from workspace import blobs
from workspace.accounts.models import Person
from workspace.router.models import PromptTemplate, RouterVersion

RELATED = ("author", "persona", "run__person")


def file_of(chat: Chat, reader: Person, path: list[Message] | None = None) -> bytes:
    """The whole chat, or the messages of ``path`` alone, as ``reader`` may have it."""
    messages = path if path is not None else _all(chat)
    prefetch_related_objects(messages, *RELATED)  # what a path has loaded is not loaded again
    kept: list[Message] = []
    numbers: dict[UUID, int] = {}
    for message in messages:
        hidden = message.run is not None and message.run.withheld
        if not hidden and (message.parent_id is None or message.parent_id in numbers):
            numbers[message.pk] = len(kept)
            kept.append(message)
    head = {"title": chat.title, "created": when(chat.created), "messages": len(kept)}
    flags = [one for one in _flags(chat) if one.message_id in numbers]
    steps = timeline.steps_of(chat, reader, numbers, {one.pk: place for place, one in enumerate(flags)})
    at = {id: place for place, id in enumerate(sorted([*numbers, *(id for id, _ in steps)]))}  # ids sort by time
    told = [
        *_blobs(numbers),
        *(_message(message, numbers, at[message.pk]) for message in kept),
        *(_flag(one, numbers) for one in flags),
        *_pointers(chat, kept, numbers),
        *_compared(chat, reader, numbers),
        *({**line, "at": at[id]} for id, line in steps),
        *replays.lines_of(chat, numbers),
    ]
    return lines.write(head, told)


def lines_of(path: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of one line from its root on, as a file of it has them."""
    numbers = {message.pk: number for number, message in enumerate(path)}
    return [_message(message, numbers, number) for number, message in enumerate(path)]


def _all(chat: Chat) -> list[Message]:
    return list(Message.objects.filter(chat=chat).select_related("run__judgement").order_by("depth", "pk"))


def _flags(chat: Chat) -> QuerySet[Checkpoint]:
    """Those that were taken away, too: steps lead back to them."""
    return Checkpoint.objects.filter(chat=chat).select_related("author").order_by("pk")


def _flag(one: Checkpoint, numbers: dict[UUID, int]) -> dict[str, Any]:
    said = {"name": one.name, "note": one.note, "author": name_of(one.author, one.author_name)}
    told = {"kind": "checkpoint", **said, "message": numbers[one.message_id], "created": when(one.created)}
    return {**told, **({"removed": True} if one.removed else {})}


def _blobs(numbers: dict[UUID, int]) -> Iterator[dict[str, Any]]:
    attached = MessageBlob.objects.filter(message__in=numbers).select_related("blob").order_by("blob_id")
    for digest, media_type in dict(attached.values_list("blob_id", "blob__media_type")).items():
        data = base64.b64encode(blobs.path_of(digest).read_bytes()).decode()
        yield {"kind": "blob", "digest": digest, "media_type": media_type, "data": data}


def _pointers(chat: Chat, messages: list[Message], numbers: dict[UUID, int]) -> Iterator[dict[str, Any]]:
    branches = {one.start_id: one for one in Branch.objects.filter(chat=chat)}
    for message in messages:
        if branch := branches.get(message.pk):
            said = {"name": branch.name, "starred": branch.starred, "pruned": branch.pruned}
            yield {"kind": "branch", "message": numbers[message.pk], **said}
    for message in messages:
        if message.origin_id in numbers:
            yield {"kind": "origin", "message": numbers[message.pk], "of": numbers[message.origin_id]}


def _compared(chat: Chat, reader: Person, numbers: dict[UUID, int]) -> Iterator[dict[str, Any]]:
    """Comparisons with what people thought of them, and what was made of their lanes; each by its place in the file."""
    comparisons = Comparison.objects.filter(chat=chat).prefetch_related(
        Prefetch("lanes", Lane.objects.order_by("place", "pk")),
        Prefetch("lanes__thumbs", Thumb.objects.select_related("person").order_by("created", "pk")),
        Prefetch("votes", Vote.objects.select_related("person", "lane").order_by("created", "pk")),
    )
    whole = [one for one in comparisons if all(lane.answer_id in numbers for lane in one.lanes.all())]
    for comparison in sorted(whole, key=lambda one: numbers[one.question_id]):
        if not comparison.is_withheld:
            yield {
                "kind": "comparison", "question": numbers[comparison.question_id], "blind": comparison.blind,
                "revealed": when(comparison.revealed), "created": when(comparison.created),
                "lanes": [_lane(lane, reader, numbers) for lane in comparison.lanes.all()],
                "votes": [
                    {
                        **_thought(vote, reader), "choice": vote.choice, "digests": vote.digests,
                        "lane": numbers[vote.lane.answer_id] if vote.lane else None,
                    }
                    for vote in comparison.votes.all()
                ],
            }  # fmt: skip
    fusions = Fusion.objects.filter(answer__chat=chat).prefetch_related(Prefetch("lanes", Lane.objects.order_by("pk")))
    for fusion in sorted((one for one in fusions if one.answer_id in numbers), key=lambda one: numbers[one.answer_id]):
        answers = [lane.answer_id for lane in fusion.lanes.all()]
        if all(answer in numbers for answer in answers):
            told = {"instruction": fusion.instruction, "lanes": sorted(numbers[answer] for answer in answers)}
            yield {"kind": "fusion", "message": numbers[fusion.answer_id], **told}


def _lane(lane: Lane, reader: Person, numbers: dict[UUID, int]) -> dict[str, Any]:
    thumbs = [{**_thought(one, reader), "up": one.up} for one in lane.thumbs.all()]
    told = {"place": lane.place, "message": numbers[lane.answer_id], "asked": _asked(lane), "thumbs": thumbs}
    return {**told, **({"replaced": True} if lane.replaced else {})}


def _asked(lane: Lane) -> dict[str, Any]:
    """What a lane was given, where rows are named instead."""
    asked = dict(lane.asked)
    if isinstance(asked.get("persona"), int):
        asked["persona"] = PromptTemplate.objects.filter(pk=asked["persona"]).values_list("name", flat=True).first()
    if isinstance(asked.get("configuration"), int):
        asked["configuration"] = str(RouterVersion.objects.filter(pk=asked["configuration"]).first() or "")
    return {name: value for name, value in asked.items() if value}


def _thought(one: Vote | Thumb, reader: Person) -> dict[str, Any]:
    by = one.person_name or (name_of(one.person) if one.person_id == reader.pk else None)
    return {"by": by or None, "reasons": one.reasons, "blind": one.blind, "created": when(one.created)}


def _message(message: Message, numbers: dict[UUID, int], at: int) -> dict[str, Any]:
    """``at`` is its place in time. Whose an answer is says who had it written."""
    whose = message.run.person if message.run else message.author
    return {
        "kind": "message",
        "n": numbers[message.pk],
        "at": at,
        "parent": numbers[message.parent_id] if message.parent_id else None,
        "role": message.role,
        "author": name_of(whose, message.author_name),
        "created": when(message.created),
        "parts": message.parts,
        "digest": message.digest or record.digest_of(message.parts),
        "grounding": message.grounding,
        "reasoning": message.reasoning,
        "persona": message.persona.name if message.persona else message.persona_name or None,
        "variables": message.variables,
        "run": runs.line_of(message.run) if message.run else None,
    }
