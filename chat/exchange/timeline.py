"""The steps of a chat as lines of our own format, and back: what they point at by numbers, in the order of time.

Where somebody stood is theirs: of the reader's own steps alone it is told, and of those that came in a file, where it
was told. What a step was undone to is kept, so that it can be undone where it is brought in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.utils import timezone

from chat.exchange.nodes import moment, when
from chat.exchange.people import name_of, named
from chat.models import Chat, Checkpoint, Message, Step
from workspace.accounts.models import Person

Numbers = Mapping[UUID, int]  # of the messages in the file


def steps_of(
    chat: Chat, reader: Person, numbers: Numbers, flags: Mapping[int, int]
) -> list[tuple[UUID, dict[str, Any]]]:
    """With their ids, the oldest first; ``flags`` are the places of checkpoints in the file. What points at something
    that is not in the file is left out."""
    rows = Step.objects.filter(chat=chat).select_related("person").order_by("pk")
    return [(one.pk, line) for one in rows if (line := _line(one, reader, numbers, flags))]


def rows_of(
    person: Person, chat: Chat, lines: Sequence[Mapping[str, Any]], ids: Sequence[UUID],
    made: Mapping[str, Message], flags: Sequence[Checkpoint],
) -> list[Step]:  # fmt: skip
    """Rows that are not kept yet; ``ids`` are by place in time."""
    return [
        Step(
            id=ids[line["at"]], chat=chat, kind=line["did"], message=made[str(line["message"])],
            about=line["about"][:200], before=_state(line["before"], made, flags),
            after=_state(line["after"], made, flags), undone=moment(line["undone"]),
            created=moment(line["created"]) or timezone.now(), **named(person, line["by"], "person"),
        )
        for line in lines
    ]  # fmt: skip


def _line(one: Step, reader: Person, numbers: Numbers, flags: Mapping[int, int]) -> dict[str, Any] | None:
    about = numbers.get(one.message_id) if one.message_id else None
    if about is None:
        return None
    states = [_told(state, numbers, flags) for state in (one.before, one.after)]
    if None in states:
        return None
    before, after = (state or {} for state in states)
    own = one.person_id == reader.pk or (one.person_id is None and bool(one.person_name))
    if not own or not before.keys() & after.keys() & {"place"}:
        if one.kind == Step.Kind.SWITCHED:
            return None
        before, after = ({name: value for name, value in each.items() if name != "place"} for each in (before, after))
    return {
        "kind": "step", "did": one.kind, "by": name_of(one.person, one.person_name), "message": about,
        "about": one.about, "before": before, "after": after, "undone": when(one.undone), "created": when(one.created),
    }  # fmt: skip


def _told(state: Mapping[str, Any], numbers: Numbers, flags: Mapping[int, int]) -> dict[str, Any] | None:
    """``None`` where its branch or checkpoint is not in the file. A place that is not there is not told, and neither is
    a copy in another chat."""
    told: dict[str, Any] = {}
    if branch := state.get("branch"):
        start = numbers.get(UUID(branch["start"]))
        if start is None:
            return None
        told["branch"] = {**branch, "start": start}
    if flag := state.get("checkpoint"):
        if flag["id"] not in flags:
            return None
        told["checkpoint"] = {"flag": flags[flag["id"]], **{name: flag[name] for name in ("name", "note", "removed")}}
    if "place" in state:
        place = state["place"]
        if place is None:
            told["place"] = None
        elif (tip := numbers.get(UUID(place[0]))) is not None:
            told["place"] = {"message": tip, "exact": place[1]}
    return told


def _state(told: Mapping[str, Any], made: Mapping[str, Message], flags: Sequence[Checkpoint]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    if branch := told.get("branch"):
        state["branch"] = {**branch, "start": str(made[str(branch["start"])].pk)}
    if flag := told.get("checkpoint"):
        state["checkpoint"] = {"id": flags[flag["flag"]].pk, **{n: flag[n] for n in ("name", "note", "removed")}}
    if "place" in told:
        place = told["place"]
        state["place"] = [str(made[str(place["message"])].pk), place["exact"]] if place else None
    return state
