"""A chat as lines of our own format: every branch of it, or one, with all that made its answers.

What a blind comparison withholds is left out until the vote. Votes come along, but whose they are is told of the
reader's own alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Prefetch

from chat import record
from chat.exchange import lines
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
from workspace.router.models import PromptTemplate, RouterVersion, Run
from workspace.router.states import SETTLED

RELATED = ("author", "persona", "run")


def file_of(chat: Chat, reader: Person, path: list[Message] | None = None) -> bytes:
    """The whole chat, or the messages of ``path`` alone, as ``reader`` may have it."""
    messages = path if path is not None else _all(chat)
    kept: list[Message] = []
    numbers: dict[UUID, int] = {}
    for message in messages:
        hidden = message.run is not None and message.run.withheld
        if not hidden and (message.parent_id is None or message.parent_id in numbers):
            numbers[message.pk] = len(kept)
            kept.append(message)
    head = {"title": chat.title, "created": when(chat.created), "messages": len(kept)}
    return lines.write(head, [*_lines(chat, kept, numbers), *_compared(chat, reader, numbers)])


def lines_of(path: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages of one line from its root on, as a file of it has them."""
    numbers = {message.pk: number for number, message in enumerate(path)}
    return [_message(message, numbers) for message in path]


def when(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat() if moment else None


def name_of(person: Person | None, other: str = "") -> str | None:
    return person.username if person else other or None


def _all(chat: Chat) -> list[Message]:
    rows = Message.objects.filter(chat=chat).select_related(*RELATED).order_by("depth", "pk")
    return list(rows)


def _lines(chat: Chat, messages: list[Message], numbers: dict[UUID, int]) -> Iterator[dict[str, Any]]:
    attached = MessageBlob.objects.filter(message__in=numbers).select_related("blob").order_by("blob_id")
    for digest, media_type in dict(attached.values_list("blob_id", "blob__media_type")).items():
        data = base64.b64encode(blobs.path_of(digest).read_bytes()).decode()
        yield {"kind": "blob", "digest": digest, "media_type": media_type, "data": data}
    for message in messages:
        yield _message(message, numbers)
    flags = Checkpoint.objects.filter(chat=chat, removed=False).select_related("author").order_by("pk")
    for one in flags:
        if one.message_id in numbers:
            yield {
                "kind": "checkpoint", "name": one.name, "note": one.note, "message": numbers[one.message_id],
                "author": name_of(one.author, one.author_name), "created": when(one.created),
            }  # fmt: skip
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


def _message(message: Message, numbers: dict[UUID, int]) -> dict[str, Any]:
    return {
        "kind": "message",
        "n": numbers[message.pk],
        "parent": numbers[message.parent_id] if message.parent_id else None,
        "role": message.role,
        "author": name_of(message.author, message.author_name),
        "created": when(message.created),
        "parts": message.parts,
        "digest": message.digest or record.digest_of(message.parts),
        "grounding": message.grounding,
        "reasoning": message.reasoning,
        "persona": message.persona.name if message.persona else None,
        "variables": message.variables,
        "run": _run(message.run) if message.run else None,
    }


def _run(run: Run) -> dict[str, Any]:
    """Evidence and decision stand in the manifest already, but where there is none."""
    manifest = run.manifest
    return {
        "state": run.state if run.state in SETTLED else "interrupted",
        "text": run.text,
        "reasoning": run.reasoning,
        "failure": run.failure,
        "manifest": manifest,
        "evidence": None if manifest and run.evidence == (manifest.get("evidence") or []) else run.evidence,
        "tokens_input": run.tokens_input,
        "tokens_output": run.tokens_output,
        "cost": f"{run.cost:.8f}" if run.cost is not None else None,
        "first_token_s": run.first_token_s,
        "total_s": run.total_s,
        "created": when(run.created),
        "settled": when(run.settled),
    }
