"""A chat's tree as a map: one row where something happens, long straight runs folded, and the story of its steps.

The line that a person stands on keeps its column; what leaves it is set in. Costs one query for all messages of a chat,
without their texts but for a beginning.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet

from chat import tree
from chat.compare.masks import mask, names_in
from chat.models import Chat, Checkpoint, Fusion, Lane, Message
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.states import LIVE

LONG = 3  # a straight run of more is folded
DEEPEST = 12  # columns; what leaves more often is drawn at the last
BEGINNING = 90  # characters of a message
EVENTS = 200


@dataclass
class Row:
    """One message on the map. ``versions`` is “2/3” where it has siblings."""

    message: Message
    level: int
    text: str
    versions: str = ""
    lane: str = ""
    flags: list[Checkpoint] = field(default_factory=list)
    on_path: bool = False
    here: bool = False

    @property
    def is_question(self) -> bool:
        return self.message.role == Message.Role.PERSON

    @property
    def model(self) -> str:
        run = self.message.run
        if run is None or run.withheld:
            return ""
        return str((run.manifest or {}).get("model") or (run.decision or {}).get("model") or "")

    @property
    def mark(self) -> int | None:
        run = self.message.run
        version = run.model_version if run and not run.withheld else None
        return version.model.mark if version else None


@dataclass
class Stretch:
    """Rows that follow each other: shown one by one, or folded."""

    rows: list[Row]
    folded: bool

    @property
    def level(self) -> int:
        return self.rows[0].level


@dataclass(frozen=True)
class Step:
    """Something that happened, and the message to go to."""

    when: datetime
    who: str
    what: str
    message: UUID
    about: str = ""


def the_map(chat: Chat, person: Person) -> list[Stretch]:
    """Every message of the chat, in the order of the tree."""
    children: dict[UUID | None, list[Message]] = defaultdict(list)
    for message in _messages(chat):
        children[message.parent_id].append(message)
    flags: dict[UUID, list[Checkpoint]] = defaultdict(list)
    for one in Checkpoint.objects.filter(chat=chat).order_by("created"):
        flags[one.message_id].append(one)
    lanes, held = _lanes(chat)
    tip = tree.place_of(chat, person)
    path = {m.pk for m in tree.path(chat, tip, 100_000)} if tip else set()
    rows: list[Row] = []
    waiting = [(one, level) for one, level in reversed(_levels(children[None], path, 0))]
    while waiting:
        message, level = waiting.pop()
        family = children[message.parent_id]
        words = _beginning(message, held=message.pk in held)
        row = Row(message, min(level, DEEPEST), words, lane=lanes.get(message.pk, ""))
        row.versions = f"{family.index(message) + 1}/{len(family)}" if len(family) > 1 else ""
        row.flags, row.on_path = flags[message.pk], message.pk in path
        row.here = bool(tip and message.pk == tip.pk)
        rows.append(row)
        waiting += reversed(_levels(children[message.pk], path, level))
    return _folded(rows, {m.pk: len(children[m.pk]) for those in list(children.values()) for m in those})


def story(chat: Chat) -> list[Step]:
    """What was done in the chat, the newest first."""
    steps: list[Step] = []
    lanes = set(Lane.objects.filter(comparison__chat=chat).values_list("answer_id", flat=True))
    fused = set(Fusion.objects.filter(answer__chat=chat).values_list("answer_id", flat=True))
    seen: set[tuple[UUID | None, str]] = set()
    for message in _messages(chat):
        again = (message.parent_id, message.role) in seen
        seen.add((message.parent_id, message.role))
        who = str(message.author or "")
        if message.role == Message.Role.PERSON:
            what = "edited a question" if again else "asked"
            steps.append(Step(message.created, who, what, message.pk, _beginning(message)))
        elif message.pk in fused:
            steps.append(Step(message.created, "", "Lanes were fused", message.pk))
        elif message.pk not in lanes and again:
            steps.append(Step(message.created, "", "An answer was tried again", message.pk, Row(message, 0, "").model))
    for comparison in chat.comparisons.select_related("person"):
        kind = "compared blind" if comparison.blind else "compared models"
        steps.append(Step(comparison.created, str(comparison.person or ""), kind, comparison.question_id))
    for one in Checkpoint.objects.filter(chat=chat).select_related("author"):
        steps.append(Step(one.created, str(one.author or ""), "set the checkpoint", one.message_id, one.name))
    return sorted(steps, key=lambda step: step.when, reverse=True)[:EVENTS]


def flags_of(messages: list[Message]) -> dict[UUID, list[str]]:
    """The names of the checkpoints that stand on these messages."""
    found: dict[UUID, list[str]] = defaultdict(list)
    for one in Checkpoint.objects.filter(message__in=messages).order_by("created"):
        found[one.message_id].append(one.name)
    return found


def _messages(chat: Chat) -> QuerySet[Message]:
    related = ("author", "run__model_version__model")
    rows = Message.objects.filter(chat=chat).select_related(*related)
    return rows.defer("run__reasoning", "run__evidence", "run__failure").order_by("pk")


def _levels(family: list[Message], path: set[UUID], level: int) -> list[tuple[Message, int]]:
    """Siblings with their columns: the one that goes on where they stand, else the newest, comes last and keeps it."""
    if not family:
        return []
    main = next((one for one in family if one.pk in path), family[-1])
    return [(one, level + 1) for one in family if one is not main] + [(main, level)]


def _folded(rows: list[Row], children: dict[UUID, int]) -> list[Stretch]:
    stretches: list[Stretch] = []
    plain: list[Row] = []

    def close() -> None:
        if plain:
            stretches.append(Stretch(list(plain), folded=len(plain) > LONG))
            plain.clear()

    for row in rows:
        straight = children[row.message.pk] == 1 and not row.versions and not row.flags and not row.here
        if straight and (not plain or plain[-1].level == row.level):
            plain.append(row)
            continue
        close()
        if straight:
            plain.append(row)
        else:
            stretches.append(Stretch([row], folded=False))
    close()
    return stretches


def _lanes(chat: Chat) -> tuple[dict[UUID, str], set[UUID]]:
    """The letters of all lanes; and those of blind comparisons that are still being written, of which a beginning would
    tell who is quick."""
    lanes = list(
        Lane.objects.filter(comparison__chat=chat).select_related("comparison").annotate(state=F("answer__run__state"))
    )
    writing = {lane.comparison_id for lane in lanes if lane.comparison.is_withheld and lane.state in LIVE}
    return (
        {lane.answer_id: lane.letter for lane in lanes},
        {lane.answer_id for lane in lanes if lane.comparison_id in writing},
    )


def _beginning(message: Message, *, held: bool = False) -> str:
    if held:
        return "being written"
    text = next((part["text"] for part in message.parts if part.get("kind") == "text"), "")
    if not text and message.run:
        text = message.run.text
    if message.run and message.run.withheld:
        text = mask(text, names_in(catalog.load_sync()), "")
    line = " ".join(text.split())
    return line if len(line) <= BEGINNING else f"{line[:BEGINNING]} …"
