"""A chat as lines of our own format: every branch of it, or one, with all that made its answers.

What a blind comparison withholds is left out until the vote; so are votes, which are their voters' own.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from chat import record
from chat.exchange import lines
from chat.models import Branch, Chat, Checkpoint, Comparison, Fusion, Lane, Message, MessageBlob
from workspace import blobs
from workspace.accounts.models import Person
from workspace.router.models import Run
from workspace.router.states import SETTLED

RELATED = ("author", "persona", "run")


def file_of(chat: Chat, path: list[Message] | None = None) -> bytes:
    """The whole chat, or the messages of ``path`` alone."""
    messages = path if path is not None else _all(chat)
    kept: list[Message] = []
    numbers: dict[UUID, int] = {}
    for message in messages:
        hidden = message.run is not None and message.run.withheld
        if not hidden and (message.parent_id is None or message.parent_id in numbers):
            numbers[message.pk] = len(kept)
            kept.append(message)
    head = {"title": chat.title, "created": when(chat.created), "messages": len(kept)}
    return lines.write(head, _lines(chat, kept, numbers))


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
    for one in Checkpoint.objects.filter(chat=chat, message__in=numbers).select_related("author").order_by("pk"):
        yield {
            "kind": "checkpoint", "name": one.name, "note": one.note, "message": numbers[one.message_id],
            "author": name_of(one.author), "created": when(one.created),
        }  # fmt: skip
    for branch in Branch.objects.filter(chat=chat, start__in=numbers).order_by("start_id"):
        said = {"name": branch.name, "starred": branch.starred, "pruned": branch.pruned}
        yield {"kind": "branch", "message": numbers[branch.start_id], **said}
    for message in messages:
        if message.origin_id in numbers:
            yield {"kind": "origin", "message": numbers[message.pk], "of": numbers[message.origin_id]}
    for comparison in Comparison.objects.filter(chat=chat, question__in=numbers).order_by("pk"):
        lanes = list(comparison.lanes.order_by("place", "pk"))
        if not comparison.is_withheld and all(lane.answer_id in numbers for lane in lanes):
            yield {
                "kind": "comparison", "question": numbers[comparison.question_id], "blind": comparison.blind,
                "revealed": when(comparison.revealed), "created": when(comparison.created),
                "lanes": [_lane(one, numbers) for one in lanes],
            }  # fmt: skip
    for fusion in Fusion.objects.filter(answer__in=numbers).order_by("answer_id"):
        answers = list(fusion.lanes.order_by("pk").values_list("answer_id", flat=True))
        if all(answer in numbers for answer in answers):
            told = {"instruction": fusion.instruction, "lanes": [numbers[answer] for answer in answers]}
            yield {"kind": "fusion", "message": numbers[fusion.answer_id], **told}


def _lane(lane: Lane, numbers: dict[UUID, int]) -> dict[str, Any]:
    told = {"place": lane.place, "message": numbers[lane.answer_id], "asked": lane.asked}
    return {**told, **({"replaced": True} if lane.replaced else {})}


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
