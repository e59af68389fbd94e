"""Checked conversations become chats of a person's own: all of a file, or none.

Chats are written one after the other, each in a transaction of its own, so that nobody waits long; they
are out of sight until the last is there. What is cut off leaves nothing: it is swept away with the next import. No row
that a file names is believed in: ids are new, other people's names stay names, and nothing is billed.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import DataError, IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from chat import chain, ledger, record, tree
from chat.exchange import pointing, runs
from chat.exchange.nodes import Conversation, Node, Unreadable
from chat.exchange.people import named
from chat.exchange.sense import ALTERED
from chat.models import Attachment, Blob, Chat, Imported, Message, MessageBlob
from workspace import blobs
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.pictures import ImageRefused, picture_of
from workspace.router.models import Judgement, Run
from workspace.router.personas import offered_to
from workspace.router.states import SETTLED
from workspace.types import Manifest, canonical, sha256, text_part

BATCH = 500
ABANDONED = timedelta(hours=1)  # an import that has not ended by then never will


@dataclass(frozen=True)
class BroughtIn:
    """What came of a file. ``known`` is how many of its chats were here already."""

    chats: list[Chat]
    known: int = 0
    messages: int = 0


def bring_in(
    person: Person,
    conversations: Iterable[Conversation],
    *,
    name: str = "",
    again: bool = False,
    made_by: Person | None = None,
) -> BroughtIn:
    """Raises Unreadable, and then nothing is kept. ``again`` brings in what was here already; ``made_by`` is who had
    it copied."""
    _sweep(person)
    had = set() if again else set(_kept(person).values_list("key", flat=True))
    made: list[Chat] = []
    known = messages = 0
    try:
        for one in conversations:
            if one.key and one.key in had:
                known += 1
                continue
            with transaction.atomic():
                made.append(_chat(person, one, name=name, made_by=made_by))
            had |= {one.key} - {""}
            messages += len(one.nodes)
    except BaseException as broken:
        _drop([chat.pk for chat in made])
        if isinstance(broken, DataError):  # PostgreSQL keeps no null character; SQLite, where it may come from, does
            cause = "The file holds a character that the database does not take."
            raise Unreadable(cause, "Take it out where the chat is, and export it again.") from None
        if isinstance(broken, IntegrityError):
            raise Unreadable("The file contradicts itself.", ALTERED) from broken
        raise
    with transaction.atomic():
        for row in Imported.objects.filter(chat__in=made):
            row.source = row.source.removeprefix(Imported.PENDING)
            row.save(update_fields=["source"])
        Chat.objects.filter(pk__in=[chat.pk for chat in made]).update(deleted=None)
        for chat in made:  # from now on none goes
            ledger.enter(chat)
    return BroughtIn(made, known, messages)


def _kept(person: Person) -> Any:
    return Imported.objects.filter(person=person, chat__deleted=None).exclude(key="")


def _sweep(person: Person) -> None:
    """What an import left that was killed."""
    left = Imported.objects.filter(
        person=person, source__startswith=Imported.PENDING, created__lt=timezone.now() - ABANDONED
    )
    _drop(list(left.values_list("chat_id", flat=True)))


def _drop(chats: list[UUID]) -> None:
    with transaction.atomic():
        of = Q(message__chat__in=chats) | Q(replayed__replay__chat__in=chats)
        made = list(Run.objects.filter(of).values_list("pk", flat=True))
        Chat.objects.filter(pk__in=chats).delete()
        Run.objects.filter(pk__in=made, imported=True).delete()


def _chat(person: Person, one: Conversation, *, name: str, made_by: Person | None) -> Chat:
    newest = max((node.created for node in one.nodes if node.created), default=None) or timezone.now()
    began = one.created or min((node.created for node in one.nodes if node.created), default=newest)
    chat = Chat.objects.create(owner=person, title=_title(one), made_by=made_by, deleted=timezone.now())
    Imported.objects.create(
        chat=chat, person=person, source=f"{Imported.PENDING}{one.source}"[:20], name=name[:255], key=one.key
    )
    held = {digest for line in one.kept.get("blobs", ()) for digest in _blob(person, line)}
    ids = sorted(new_id() for _ in range(len(one.nodes) + len(one.kept.get("step", ()))))
    made = _messages(person, chat, one, began, held, ids)
    pointing.point(person, chat, one.kept, made, ids)
    if tip := made.get(one.current or ""):
        tree.stand(chat, person, tip)
    chat.created, chat.touched = began, newest
    Chat.objects.filter(pk=chat.pk).update(created=began, touched=newest, sum=chat.sum)
    return chat


def _messages(
    person: Person, chat: Chat, one: Conversation, began: datetime, held: set[str], ids: Sequence[UUID]
) -> dict[str, Message]:
    """The rows, by the ids of their nodes; each linked to the one above it. ``ids`` are those of the chat in the order
    of time, which decides what is newest and what the story tells first."""
    made: dict[str, Message] = {}
    personas = {row.name: row for row in offered_to(person)}
    written: list[Run] = []
    judged: list[Judgement] = []
    attached: list[MessageBlob] = []
    places = {node.id: at for node, at in zip(one.nodes, one.kept.get("order") or range(len(one.nodes)), strict=True)}
    origins = {str(line["message"]): ids[places[str(line["of"])]] for line in one.kept.get("origin", ())}
    for node in one.nodes:
        parent = made[node.parent] if node.parent is not None else None
        run = _run(person, node, began) if node.side == "model" else None
        message = _message(person, chat, node, parent, run, began)
        message.id, message.origin_id = ids[places[node.id]], origins.get(node.id)
        persona = node.kept.get("persona") or ""
        message.persona = personas.get(persona)
        message.persona_name = "" if message.persona else persona[:60]
        if message.settled:
            chain.seal(message, parent)
            chat.sum = chain.add(chat.sum, message.chain)
        made[node.id] = message
        if run:
            written.append(run)
            judged += [marks] if (marks := runs.judgement_of(run, node.kept.get("run") or {})) else []
        attached += [MessageBlob(message=message, blob_id=digest) for digest in _shown(message) & held]
    Run.objects.bulk_create(written, batch_size=BATCH)
    Judgement.objects.bulk_create(judged, batch_size=BATCH)
    by_depth: dict[int, list[Message]] = {}
    for message in made.values():
        by_depth.setdefault(message.depth, []).append(message)
    for depth in sorted(by_depth):  # the database looks for each parent
        Message.objects.bulk_create(by_depth[depth], batch_size=BATCH)
    MessageBlob.objects.bulk_create(attached, batch_size=BATCH)
    return made


def _message(
    person: Person, chat: Chat, node: Node, parent: Message | None, run: Run | None, began: datetime
) -> Message:
    line = node.kept
    parts = line.get("parts")
    if parts is None:
        text = run.text if run else node.text
        parts = [*([record.plain_part(text_part(text))] if text else []), *node.pictures]
    whose = named(person, node.author if line else person.username, "author")
    if run is not None:  # whose it is stands in its run
        whose.pop("author", None)
    return Message(
        chat=chat,
        parent=parent,
        role=Message.Role.PERSON if run is None else Message.Role.MODEL,
        **whose,
        run=run,
        parts=parts,
        grounding=line.get("grounding") or {},
        reasoning=bool(line.get("reasoning")),
        variables=line.get("variables") or {},
        digest=sha256(canonical(parts)),
        depth=parent.depth + 1 if parent else 0,
        settled=run is None or run.state in SETTLED,
        created=node.created or began,
    )


def _run(person: Person, node: Node, began: datetime) -> Run:
    line: Mapping[str, Any] = node.kept.get("run") or {}
    created = node.created or began
    if line:
        return runs.run_of(person if node.author == person.username else None, line, created)
    manifest = Manifest(model=node.model[:80], text_digest=sha256(node.text), finish_reason="imported").as_dict()
    return Run(
        person=person, state="failed" if node.failure else "done", text=node.text, reasoning=node.reasoning,
        failure=_failure(node.failure), manifest=None if node.failure else manifest, imported=True,
        created=created, settled=created,
    )  # fmt: skip


def _blob(person: Person, line: Mapping[str, Any]) -> Iterator[str]:
    """A picture of the file, if it is one; then it is the person's own. One without its bytes is here already: no file
    can say that, as its digest must fit."""
    if "data" not in line:
        Attachment.objects.get_or_create(blob_id=line["digest"], person=person)
        yield line["digest"]
        return
    data = base64.b64decode(line["data"])
    try:
        picture = picture_of(data)
    except ImageRefused as refused:
        raise Unreadable(f"A picture in the file can't be shown. {refused.cause}", refused.action) from None
    fields = {
        "media_type": picture.media_type, "size": len(data), "width": picture.width, "height": picture.height,
    }  # fmt: skip
    blob, _ = Blob.objects.get_or_create(digest=blobs.keep(data), defaults=fields)
    Attachment.objects.get_or_create(blob=blob, person=person)
    yield blob.digest


def _shown(message: Message) -> set[str]:
    return {str(part["digest"]) for part in message.parts if part.get("kind") != "text"}


def _failure(given: Mapping[str, str] | None) -> dict[str, Any] | None:
    return {**given, "permanent": False, "retry_after": None} if given else None


def _title(one: Conversation) -> str:
    if one.source == "Onepane":
        return one.title[:200]
    title = " ".join(one.title.replace("\x00", "").split())
    return title[:200] or next((" ".join(node.text.split())[:60] for node in one.nodes if node.text), "Imported chat")
