"""Replays as lines of our own format, and back: which answer was made again, with what changed, and what came out.

A version that was changed is told by its name, for a file knows no row. A replay never goes on where it is brought in:
one that is going is told as stopped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models import Prefetch
from django.utils import timezone

from chat.exchange import runs
from chat.exchange.nodes import moment, when
from chat.exchange.people import name_of, named
from chat.models import Chat, Message, Replay, Replayed
from chat.replay.plan import Change
from workspace.accounts.models import Person
from workspace.router.models import Judgement, Run
from workspace.router.states import SETTLED


def lines_of(chat: Chat, numbers: Mapping[UUID, int]) -> Iterator[dict[str, Any]]:
    """Of the answers in the file, the oldest first."""
    answers = Replayed.objects.select_related("run__judgement", "run__message").order_by("place")
    rows = Replay.objects.filter(chat=chat).select_related("person").order_by("pk")
    for one in rows.prefetch_related(Prefetch("answers", answers)):
        told = [each for each in one.answers.all() if each.message_id in numbers]
        over = all(each.refused or (each.run and each.run.state in SETTLED) for each in told)
        if told:
            yield {
                "kind": "replay", "by": name_of(one.person, one.person_name), "change": _change(one),
                "stopped": when(one.stopped or (None if over else one.created)), "created": when(one.created),
                "answers": [_made_again(each, numbers) for each in told],
            }  # fmt: skip


@dataclass
class Rows:
    """What is to be kept of them, in this order."""

    runs: list[Run] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    replays: list[Replay] = field(default_factory=list)
    answers: list[Replayed] = field(default_factory=list)


def rows_of(person: Person, chat: Chat, lines: list[Mapping[str, Any]], made: Mapping[str, Message]) -> Rows:
    rows = Rows()
    for line in lines:
        created = moment(line["created"]) or timezone.now()
        whose = named(person, line["by"], "person")
        replay = Replay(
            chat=chat, change=line["change"] or {}, stopped=moment(line["stopped"]), created=created, **whose
        )
        rows.replays.append(replay)
        for place, told in enumerate(line["answers"]):
            answer, run = told.get("answer"), None
            if answer is not None:
                run = made[str(answer)].run
            elif told.get("run"):
                run = runs.run_of(replay.person, told["run"], created)
                rows.runs.append(run)
                rows.judgements += [marks] if (marks := runs.judgement_of(run, told["run"])) else []
            old, refused = made[str(told["message"])], told.get("refused", "")
            rows.answers.append(Replayed(replay=replay, place=place, message=old, run=run, refused=refused))
    return rows


def _change(one: Replay) -> dict[str, Any] | None:
    change = Change.of(one.change)
    return {**one.change, "value": change.named} if change.what else None


def _made_again(one: Replayed, numbers: Mapping[UUID, int]) -> dict[str, Any]:
    told: dict[str, Any] = {"message": numbers[one.message_id]}
    if one.refused:
        told["refused"] = one.refused
    kept = getattr(one.run, "message", None) if one.run else None
    if kept is not None and kept.pk in numbers:
        return {**told, "answer": numbers[kept.pk]}
    return {**told, "run": runs.line_of(one.run)} if one.run else told
