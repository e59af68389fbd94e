"""Messages brought from one branch into another, and branches copied into a chat of their own.

Nothing moves: what is brought is written anew where it goes, with its runs, and each copy knows what it was copied
from. A copied run was paid for once and is billed no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from chat import authority, chain, ledger, steps, tree
from chat.frames import Refused
from chat.models import Chat, Checkpoint, Message, MessageBlob, Step
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.router.models import Judgement, Run
from workspace.router.states import LIVE

MOST = 20_000  # messages copied at once
SAME = (
    "role", "author_id", "author_name", "parts", "grounding", "reasoning", "persona_id", "persona_name",
    "variables", "digest",
)  # fmt: skip


@steps.one_at_a_time
def merge(chat: Chat, person: Person, message: Message, into: Message | None, *, whole: bool) -> Step:
    """Bring an answer with its question to the end of the branch that ends at ``into``; ``whole`` brings everything
    from where its own branch left that one. Whoever brings goes with it."""
    if into is not None and into.role == Message.Role.PERSON:
        into = into.parent
    parent = authority.parent_of(chat, into.pk if into else None)
    there = set(tree.ids_above(parent)) if parent else set()
    if message.pk in there:
        raise Refused("there_already", "That message is on this branch already.", "Choose one of another branch.")
    brought = _run_of(message, there, whole=whole)
    _refuse_open(brought)
    copies = _write(chat, brought, parent)
    return steps.add(chat, person, Step.Kind.MERGED, copies, steps.beginning(message))


@steps.one_at_a_time
def fork(chat: Chat, person: Person, message: Message, owner: Person) -> Chat:
    """The path to a message as a chat of its own, for oneself or for somebody else, with the flags on it."""
    path = _loaded(tree.ids_above(message, MOST + 1))
    _refuse_open(path)
    made = ledger.begin(owner=owner, title=chat.title, origin=message, made_by=person)
    copies = _write(made, path, None)
    twin = {copy.origin_id: copy for copy in copies}
    for one in Checkpoint.objects.filter(chat=chat, removed=False).select_related("author"):
        if copy := twin.get(one.message_id):
            said = {"name": one.name, "note": one.note, "author": one.author, "author_name": one.author_name}
            Checkpoint.objects.create(chat=made, message=copy, **said)
    tree.stand(made, owner, copies[-1])
    before, after = {"chat": [str(made.pk), True]}, {"chat": [str(made.pk), False]}
    about = "" if owner == person else f"for {owner}"
    steps.keep(chat, person, Step.Kind.FORKED, message, before, after, about)
    return made


def _run_of(message: Message, there: set[UUID], *, whole: bool) -> list[Message]:
    """What is brought, oldest first: it begins with a question and ends with an answer."""
    if message.role == Message.Role.PERSON and not whole:
        raise Refused("not_an_answer", "That message is a question.", "Choose the answer below it.")
    ids = tree.ids_above(message)
    if not whole:
        return _loaded(ids[:2])
    own = [id for id in ids if id not in there]
    above = ids[len(own) : len(own) + 1]
    run = _loaded(own)
    if run[0].role == Message.Role.MODEL:
        run = _loaded(above) + run
    if run[-1].role == Message.Role.PERSON:
        run.pop()
    if not run:
        raise Refused("not_an_answer", "There is no answer to bring.", "Choose a branch that has one.")
    return run


def _refuse_open(messages: Sequence[Message]) -> None:
    for one in messages:
        authority.refuse_withheld(one)
        if one.run and one.run.state in LIVE:
            raise Refused("still_writing", "An answer there is still being written.", "Wait for it, or stop it.")


def _loaded(ids: Sequence[UUID]) -> list[Message]:
    if len(ids) > MOST:
        raise Refused("too_long", f"The branch has over {MOST:,} messages.", "Take it away as a file instead.")
    found: list[Message] = []
    for at in range(0, len(ids), 900):  # SQLite counts variables
        rows = Message.objects.filter(pk__in=ids[at : at + 900])
        found += rows.select_related("run__judgement").prefetch_related("attached")
    return sorted(found, key=lambda one: one.depth)


def _write(chat: Chat, sources: Sequence[Message], parent: Message | None) -> list[Message]:
    """The copies, one below the other, under ``parent``."""
    runs = {one.pk: _run(one.run) for one in sources if one.run}
    Run.objects.bulk_create(runs.values(), batch_size=200)
    marks = {one.pk: getattr(one.run, "judgement", None) for one in sources}
    judged = [_judgement(runs[pk], one) for pk, one in marks.items() if one]
    Judgement.objects.bulk_create(judged, batch_size=200)
    copies: list[Message] = []
    for one in sources:
        parent = _copy(chat, one, parent, runs.get(one.pk))
        copies.append(parent)
    Message.objects.bulk_create(copies, batch_size=50)
    pairs = zip(copies, sources, strict=True)
    blobs = [MessageBlob(message=copy, blob_id=one.blob_id) for copy, source in pairs for one in source.attached.all()]
    MessageBlob.objects.bulk_create(blobs)
    total = Chat.objects.select_for_update(no_key=True).only("sum").get(pk=chat.pk).sum
    for copy in copies:
        total = chain.add(total, copy.chain) if copy.chain else total
    Chat.objects.filter(pk=chat.pk).update(sum=total)
    return copies


def _copy(chat: Chat, one: Message, parent: Message | None, run: Run | None) -> Message:
    same = {name: getattr(one, name) for name in SAME}
    depth = parent.depth + 1 if parent else 0
    copy = Message(chat=chat, parent=parent, run=run, origin=one, depth=depth, settled=one.settled, **same)
    if copy.settled:
        chain.seal(copy, parent)
    return copy


def _judgement(run: Run, judged: Judgement) -> Judgement:
    """What a judge said of the text stays true of its copy."""
    said = {name: getattr(judged, name) for name in ("model", "model_version_id", "verdicts", "cost", "created")}
    return Judgement(run=run, **said)


def _run(run: Run) -> Run:
    said: dict[str, Any] = {field.attname: getattr(run, field.attname) for field in Run._meta.concrete_fields}
    return Run(**{**said, "id": new_id(), "owner": "", "heartbeat": None, "reserved": None})
