"""What people do to a chat's pointers, and its undoing.

Messages are only ever added, so all that can change is where somebody stands, what a branch is called and whether it is
pruned, and the flags. A change is two states of such pointers, before and after: undoing writes the one, doing again
the other. What adds messages is undone by pruning what it added.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.fields.json import KeyTextTransform
from django.utils import timezone

from chat import tree
from chat.frames import Refused
from chat.models import Branch, Chat, Checkpoint, Comparison, Fusion, Lane, Message, Place, Step
from workspace.accounts.models import Person

State = dict[str, Any]
_MARKS = re.compile(r"\*\*|__|`|^[#>]+ ", re.MULTILINE)
PAGE = 40  # steps shown at once
SAME = 60.0  # seconds in which one switch after another is one step


P = ParamSpec("P")
R = TypeVar("R")


def one_at_a_time(step: Callable[Concatenate[Chat, P], R]) -> Callable[Concatenate[Chat, P], R]:
    """A step is one transaction, and holds its chat's row from the beginning, as a question does that is asked there:
    two that take pointers in another order would wait for each other for ever."""

    @wraps(step)
    def alone(chat: Chat, /, *args: P.args, **kwargs: P.kwargs) -> R:
        with transaction.atomic():
            Chat.objects.select_for_update(no_key=True).only("pk").get(pk=chat.pk)
            return step(chat, *args, **kwargs)

    return alone


@one_at_a_time
def switch(chat: Chat, person: Person, message: Message, *, exact: bool = False) -> Message:
    """Stand on the newest path through a message, or exactly at it; the new tip."""
    before = place(chat, person)
    tip = message
    if exact:
        tree.stand(chat, person, message, exact=True)
    else:
        tip = tree.move(chat, person, message)
    after = place(chat, person)
    if before is None or before == after:
        return tip
    last = Step.objects.filter(chat=chat).order_by("-id").first()
    if last and last.kind == Step.Kind.SWITCHED and last.person_id == person.pk and not last.undone and _fresh(last):
        last.after, last.message = {"place": after}, message
        last.save(update_fields=["after", "message"])
    else:
        keep(chat, person, Step.Kind.SWITCHED, message, {"place": before}, {"place": after})
    return tip


@one_at_a_time
def prune(chat: Chat, person: Person, message: Message) -> Step:
    """Hide a branch. Whoever prunes where they stand goes to the version beside it, else to what is above."""
    if _branch(message).pruned:
        raise Refused("pruned", "This branch is pruned already.", "Restore it on the map.")
    before = {"branch": _said_of(message), "place": place(chat, person)}
    _say(message, pruned=True)
    tip = tree.place_of(chat, person)
    if tip and message.pk in tree.ids_above(tip):
        _step_aside(chat, person, message)
    after = {"branch": _said_of(message), "place": place(chat, person)}
    return keep(chat, person, Step.Kind.PRUNED, message, before, after)


@one_at_a_time
def restore(chat: Chat, person: Person, message: Message) -> Step:
    if not _branch(message).pruned:
        raise Refused("not_pruned", "This branch is not pruned.", "Reload the page.")
    before = {"branch": _said_of(message)}
    _say(message, pruned=False)
    return keep(chat, person, Step.Kind.RESTORED, message, before, {"branch": _said_of(message)})


@one_at_a_time
def name(chat: Chat, person: Person, message: Message, words: str) -> Step:
    """Call the branch that begins at a message so; an empty name takes it away."""
    if words and Branch.objects.filter(chat=chat, name=words).exclude(start=message).exists():
        raise Refused("name_taken", f"Another branch here is called “{words}”.", "Choose another name.")
    before = {"branch": _said_of(message)}
    _say(message, name=words)
    return keep(chat, person, Step.Kind.NAMED, message, before, {"branch": _said_of(message)}, words)


@one_at_a_time
def star(chat: Chat, person: Person, message: Message) -> Step:
    """A favourite, or no more one."""
    before = {"branch": _said_of(message)}
    _say(message, starred=not _branch(message).starred)
    return keep(chat, person, Step.Kind.STARRED, message, before, {"branch": _said_of(message)})


@one_at_a_time
def flag(chat: Chat, person: Person, message: Message, words: str, note: str) -> Checkpoint:
    one = Checkpoint.objects.create(chat=chat, message=message, name=words, note=note, author=person)
    before = {"checkpoint": {**_said_at(one), "removed": True}}
    keep(chat, person, Step.Kind.FLAGGED, message, before, {"checkpoint": _said_at(one)}, words)
    return one


@one_at_a_time
def change_flag(chat: Chat, person: Person, one: Checkpoint, /, **fields: Any) -> Step:
    """Another ``name`` or ``note``, or ``removed``."""
    before = {"checkpoint": _said_at(one)}
    for field, value in fields.items():
        setattr(one, field, value)
    one.save(update_fields=list(fields))
    kind = Step.Kind.UNFLAGGED if fields.get("removed") else Step.Kind.CHANGED
    return keep(chat, person, kind, one.message, before, {"checkpoint": _said_at(one)}, one.name)


@one_at_a_time
def undo(chat: Chat, person: Person, id: UUID) -> Step:
    """Write what was before a step, or, of one that was undone, what was after.

    Of a pointer that has been changed since, the newer change is undone first."""
    step = Step.objects.select_for_update().filter(chat=chat, pk=id).first()
    if step is None:
        raise Refused("not_found", "That step is not here.", "Reload the page.")
    if step.kind == Step.Kind.SWITCHED and step.person_id != person.pk:
        raise Refused("not_yours", "Where somebody stands is theirs alone.", "Go there yourself on the map.")
    if step.kind == Step.Kind.FORKED and "chat" not in step.before:
        raise Refused("elsewhere", "This step came in a file, and that copy did not.", "Delete it where it is.")
    old, new = (step.before, step.after) if step.undone is None else (step.after, step.before)
    _write(chat, person, step, expected=new, wanted=old)
    step.undone = None if step.undone else timezone.now()
    step.save(update_fields=["undone"])
    return step


def add(chat: Chat, person: Person, kind: Step.Kind, messages: Sequence[Message], about: str) -> Step:
    """The step that brought messages into the chat, one below the other; whoever takes it goes to the last of them.
    Called with the chat's row held."""
    before: State = {"place": place(chat, person)}
    tree.stand(chat, person, messages[-1])
    start = {"start": str(messages[0].pk), "name": "", "starred": False}
    before |= {"branch": {**start, "pruned": True}}
    after = {"branch": {**start, "pruned": False}, "place": place(chat, person)}
    Chat.objects.filter(pk=chat.pk).update(touched=timezone.now())
    return keep(chat, person, kind, messages[0], before, after, about)


def keep(
    chat: Chat, person: Person, kind: Step.Kind, message: Message, before: State, after: State, about: str = ""
) -> Step:
    return Step.objects.create(
        chat=chat, person=person, kind=kind, message=message, before=before, after=after, about=about[:200]
    )


def _write(chat: Chat, person: Person, step: Step, *, expected: State, wanted: State) -> None:
    changed = Refused("changed_since", "This was changed again since.", "Undo the newer step first.")
    if branch := wanted.get("branch"):
        message = Message.objects.get(chat=chat, pk=branch["start"])
        if _said_of(message) != expected["branch"]:
            raise changed
        if branch["name"] and Branch.objects.filter(chat=chat, name=branch["name"]).exclude(start=message).exists():
            raise Refused(
                "name_taken", f"Another branch is called “{branch['name']}” by now.", "Rename that one first."
            )
        _say(message, **{field: branch[field] for field in ("name", "starred", "pruned")})
    if at := wanted.get("checkpoint"):
        one = Checkpoint.objects.get(chat=chat, pk=at["id"])
        if _said_at(one) != expected["checkpoint"]:
            raise changed
        one.name, one.note, one.removed = at["name"], at["note"], at["removed"]
        one.save(update_fields=["name", "note", "removed"])
    if (stood := wanted.get("place")) and step.person_id == person.pk:
        tree.stand(chat, person, Message.objects.get(chat=chat, pk=stood[0]), exact=stood[1])
    if (copied := wanted.get("chat")) and not _delete(person, *copied):
        raise Refused("not_yours", "A copy belongs to whoever has it.", "Ask them to delete it.")


def _step_aside(chat: Chat, person: Person, message: Message) -> None:
    """To the newest version beside a branch that was pruned, else exactly to what is above it."""
    beside = [one for one in tree.siblings([message])[message.pk] if one != message.pk]
    if beside:
        tree.move(chat, person, Message.objects.get(pk=beside[-1]))
    elif message.parent is not None:
        tree.stand(chat, person, message.parent, exact=True)
    else:
        Place.objects.filter(chat=chat, person=person).delete()


def _delete(person: Person, chat_id: str, deleted: bool) -> bool:
    """A copy goes out of its owner's index, or comes back into it."""
    own = Chat.objects.filter(pk=chat_id, owner=person)
    return bool(own.update(deleted=timezone.now() if deleted else None))


def place(chat: Chat, person: Person) -> list[Any] | None:
    """Where somebody stands, as a state keeps it."""
    one = Place.objects.filter(chat=chat, person=person).first()
    return [str(one.tip_id), one.exact] if one else None


def _fresh(step: Step) -> bool:
    """One that came in a file may be of any time."""
    return abs((timezone.now() - step.created).total_seconds()) < SAME


def _branch(message: Message) -> Branch:
    return Branch.objects.filter(start=message).first() or Branch(chat_id=message.chat_id, start=message)


def _say(message: Message, **fields: Any) -> None:
    Branch.objects.update_or_create(
        start=message, defaults=fields, create_defaults={"chat_id": message.chat_id, **fields}
    )


def _said_of(message: Message) -> State:
    one = _branch(message)
    return {"start": str(message.pk), "name": one.name, "starred": one.starred, "pruned": one.pruned}


def _said_at(one: Checkpoint) -> State:
    return {"id": one.pk, "name": one.name, "note": one.note, "removed": one.removed}


# --- The story of a chat


@dataclass(frozen=True)
class Told:
    """One line of the story. What added a message is undone by pruning it (``prunes``), anything else by its id, unless
    it ``stays``: of somebody else, or of what is elsewhere. ``own`` is the reader's own affair."""

    when: Any
    id: UUID
    who: str
    what: str
    message: UUID | None
    about: str = ""
    prunes: bool = False
    own: bool = False
    stays: bool = False
    undone: bool = False


OWN = (Step.Kind.SWITCHED, Step.Kind.FORKED)  # nobody else's affair
WORDS = {
    Step.Kind.SWITCHED: "went to another branch",
    Step.Kind.PRUNED: "pruned a branch",
    Step.Kind.RESTORED: "restored a branch",
    Step.Kind.NAMED: "named a branch",
    Step.Kind.STARRED: "starred or unstarred a branch",
    Step.Kind.FLAGGED: "set the checkpoint",
    Step.Kind.CHANGED: "changed the checkpoint",
    Step.Kind.UNFLAGGED: "took away the checkpoint",
    Step.Kind.MERGED: "brought in",
    Step.Kind.KEPT: "kept a replayed answer of",
    Step.Kind.FORKED: "copied this branch",
}


def story(chat: Chat, person: Person, *, before: UUID | None = None) -> list[Told]:
    """What was done in the chat, the newest first, ``PAGE`` lines older than the one named: ids sort by time. Costs by
    what is shown. Where others went is theirs, unless it came in the file that they made."""
    older = Q(pk__lt=before) if before else Q()
    told = [*_of_steps(chat, person, older), *_of_messages(chat, older)]
    return sorted(told, key=lambda one: one.id, reverse=True)[:PAGE]


def _of_steps(chat: Chat, person: Person, older: Q) -> list[Told]:
    rows = Step.objects.filter(older, chat=chat).select_related("person", "message")
    theirs = ~Q(kind=Step.Kind.SWITCHED) | Q(person=person) | Q(person=None) & ~Q(person_name="")
    shown = list(rows.filter(theirs).order_by("-id")[:PAGE])
    copied = {one.pk: one.after["chat"][0] for one in shown if "chat" in one.after}
    own = {str(id) for id in Chat.objects.filter(pk__in=copied.values(), owner=person).values_list("pk", flat=True)}
    return [
        Told(
            when=one.created,
            id=one.pk,
            who=one.who,
            what=WORDS[Step.Kind(one.kind)],
            message=one.message_id,
            about=one.about or (beginning(one.message) if one.message else ""),
            own=one.person_id == person.pk and one.kind in OWN,
            stays=(one.kind == Step.Kind.SWITCHED and one.person_id != person.pk)
            or (one.kind == Step.Kind.FORKED and copied.get(one.pk) not in own),
            undone=one.undone is not None,
        )
        for one in shown
    ]


def _of_messages(chat: Chat, older: Q) -> list[Told]:
    """What added messages, told by the messages. What was brought in, or kept of a replay, has a step of its own."""
    twins = Message.objects.filter(parent=OuterRef("parent"), role=OuterRef("role"), pk__lt=OuterRef("pk"))
    first = Message.objects.filter(chat=chat, depth=0).order_by("id").values_list("pk", flat=True).first()
    kept = Step.objects.filter(kind=Step.Kind.KEPT, message=OuterRef("pk"))
    rows = Message.objects.filter(~Exists(kept), older, chat=chat, origin=None).annotate(
        again=Exists(twins),
        is_lane=Exists(Lane.objects.filter(answer=OuterRef("pk"))),
        is_fused=Exists(Fusion.objects.filter(answer=OuterRef("pk"))),
        blind=Comparison.objects.filter(question=OuterRef("pk")).values("blind")[:1],
        pruned=Exists(Branch.objects.filter(start=OuterRef("pk"), pruned=True)),
        made_by=KeyTextTransform("model", "run__manifest"),
    )
    wanted = rows.filter(Q(role=Message.Role.PERSON) | Q(again=True, is_lane=False) | Q(is_fused=True))
    related = wanted.select_related("author", "run__person", "run__model_version__model")
    return [_told(one, first) for one in related.defer(*HEAVY).order_by("-id")[:PAGE]]


HEAVY = ("run__reasoning", "run__evidence", "run__failure", "run__text", "run__manifest")


def _told(one: Any, first: UUID | None) -> Told:
    again = one.again or (one.depth == 0 and one.pk != first)
    if one.role == Message.Role.PERSON:
        asked = "edited a question" if again else "began the chat" if one.depth == 0 else "asked"
        compared = {None: asked, True: "compared blind", False: "compared models"}
        what, about = compared[one.blind], beginning(one)
    else:
        what = "fused lanes" if one.is_fused else "tried an answer again"
        version = None if one.run.withheld else one.run.model_version
        about = version.model.name if version else (one.made_by or "") if one.run.imported else ""
    return Told(
        when=one.created, id=one.pk, who=one.who, what=what, message=one.pk, about=about, prunes=True,
        undone=one.pruned,
    )  # fmt: skip


def beginning(message: Message, most: int = 90) -> str:
    """The first words of a message."""
    text = next((part["text"] for part in message.parts if part.get("kind") == "text"), "")
    return shortened(text, most)


def shortened(text: str, most: int = 90) -> str:
    """A line of it, without the marks of Markdown."""
    line = " ".join(_MARKS.sub("", text[: 4 * most]).split())
    return line if len(line) <= most else f"{line[:most]} …"
