"""What points at the messages of an import, as rows: flags, branches, comparisons, fusions, steps and replays.

Each was found to make sense (``sense.py``), and whatever it names is in the same file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from chat.exchange import replays, timeline
from chat.exchange.nodes import Unreadable, moment
from chat.exchange.people import named
from chat.models import (
    Branch,
    Chat,
    Checkpoint,
    Comparison,
    Fusion,
    Lane,
    Message,
    Replay,
    Replayed,
    Step,
    Thumb,
    Vote,
)
from workspace.accounts.models import Person
from workspace.router.models import Judgement, Run

BATCH = 500
Lines = Mapping[str, Any]  # by their kinds


def point(person: Person, chat: Chat, kept: Lines, made: Mapping[str, Message], ids: Sequence[UUID]) -> None:
    """``made`` are the messages by their numbers, ``ids`` those of messages and steps in the order of time."""
    flags = [_flag(person, chat, line, made) for line in kept.get("checkpoint", ())]
    for line in kept.get("branch", ()):
        name = str(line.get("name") or "")[:80]
        taken = bool(name) and Branch.objects.filter(chat=chat, name=name).exists()
        Branch.objects.get_or_create(
            start=made[str(line["message"])],
            defaults={
                "chat": chat, "name": "" if taken else name,
                "starred": line.get("starred") is True, "pruned": line.get("pruned") is True,
            },
        )  # fmt: skip
    lanes: dict[str, Lane] = {}
    for line in kept.get("comparison", ()):
        lanes |= _comparison(person, chat, line, made)
    for line in kept.get("fusion", ()):
        answer, of = made[str(line["message"])], [lanes.get(str(number)) for number in line["lanes"]]
        if answer.run_id and all(of):
            fusion = Fusion.objects.create(answer=answer, instruction=str(line.get("instruction") or ""))
            fusion.lanes.set([lane for lane in of if lane])
    Step.objects.bulk_create(timeline.rows_of(person, chat, kept.get("step", ()), ids, made, flags), batch_size=BATCH)
    again = replays.rows_of(person, chat, kept.get("replay", ()), made)
    Run.objects.bulk_create(again.runs, batch_size=BATCH)
    Judgement.objects.bulk_create(again.judgements, batch_size=BATCH)
    Replay.objects.bulk_create(again.replays, batch_size=BATCH)
    Replayed.objects.bulk_create(again.answers, batch_size=BATCH)


def _flag(person: Person, chat: Chat, line: Mapping[str, Any], made: Mapping[str, Message]) -> Checkpoint:
    return Checkpoint.objects.create(
        chat=chat, name=str(line["name"])[:80], note=str(line.get("note") or "")[:2_000],
        message=made[str(line["message"])], removed=line.get("removed") is True,
        created=moment(line.get("created")) or timezone.now(), **named(person, line.get("author"), "author"),
    )  # fmt: skip


def _comparison(person: Person, chat: Chat, line: Mapping[str, Any], made: Mapping[str, Message]) -> dict[str, Lane]:
    """Lanes by the numbers of their answers. An open blind comparison is never in a file, so all is told."""
    blind = bool(line.get("blind"))
    comparison = Comparison.objects.create(
        chat=chat, question=made[str(line["question"])], person=person, blind=blind,
        revealed=(moment(line.get("revealed")) or timezone.now()) if blind else None,
        created=moment(line.get("created")) or timezone.now(),
    )  # fmt: skip
    lanes = {}
    for one in line["lanes"]:
        answer = made[str(one["message"])]
        if answer.run_id is None:
            raise Unreadable("A lane of the file is no answer.", "Take another copy of it.")
        # A number would be one of rows here, which the file knows nothing of.
        asked = {name: value for name, value in dict(one.get("asked") or {}).items() if not isinstance(value, int)}
        asked.setdefault("model", "")  # as every lane here has one
        lane = lanes[str(one["message"])] = Lane.objects.create(
            comparison=comparison,
            place=one["place"],
            answer=answer,
            asked=asked,
            replaced=one.get("replaced") is True,
        )
        for thumb in one.get("thumbs", ()):
            Thumb.objects.create(lane=lane, up=thumb["up"], **_thought(person, thumb))
    for vote in line.get("votes", ()):
        lane_ = None if vote["lane"] is None else lanes[str(vote["lane"])]
        said = {"choice": vote["choice"], "lane": lane_, "digests": vote["digests"]}
        Vote.objects.create(comparison=comparison, **said, **_thought(person, vote))
    return lanes


def _thought(person: Person, line: Mapping[str, Any]) -> dict[str, Any]:
    """What a vote and a thumb have alike."""
    same = {"reasons": line["reasons"], "blind": line["blind"], "created": moment(line["created"])}
    return {**same, **named(person, line["by"], "person")}
