"""Messages as a chain: each link is the digest of its parent's link, its own content, whose it is and where it comes
from, the manifest of its run, and how that run ended and what it took.

Whoever alters a settled message, its run or their order breaks every link below. A chat keeps the sum of its links
(modulo 2^256: in whatever order they came), so a message that is missing shows too; ``ledger.py`` shows a chat that is
missing as a whole. What was changed together with every link and every sum does not show: for that, note a chat's sum
outside this machine.
People, personas and what a message was copied from may go: ``Message.whose`` tells their ids for good. Links of before
have none, and cover nothing of it; that alone tells the two kinds apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from chat import whose
from chat.fits import Told, misfits
from chat.models import Chat, Message, Replayed
from retrieval.models import Collection, CollectionState
from workspace.router import pins
from workspace.router.models import Run
from workspace.router.states import SETTLED
from workspace.types import Part, canonical, sha256, text_of

_ROOM = 2**256
NAMED = ("author", "persona", "origin")
_OF_MESSAGE = (
    "chat_id", "role", "created", "digest", "grounding", "reasoning", "variables", "settled", "chain", "whose",
    "author_name", "persona_name", *NAMED,
)  # fmt: skip
_OF_RUN = (
    "manifest", "state", "failure", "reasoning", "tokens_input", "tokens_output", "cost", "first_token_s", "total_s",
    "created", "settled", "person",
)  # fmt: skip
_COVERED = (*_OF_MESSAGE, "parent__chain", *(f"run__{name}" for name in _OF_RUN))
ALTERED = "its link does not fit: it, what its run took, or what is above it was altered"


@dataclass(frozen=True, slots=True)
class Fault:
    """What does not fit, and where."""

    chat: UUID
    message: UUID | None
    what: str


def link(message: Message, above: str) -> str:
    """Covers what was said, by whom, when, on which terms, copied from what, what made it and what that took. Which
    version of a persona that was stands in the manifest."""
    manifest = (message.run.manifest or {}).get("digest", "") if message.run else ""
    asked = {"grounding": message.grounding, "reasoning": message.reasoning, "variables": message.variables}
    if message.whose is not None:
        names = {"author_name": message.author_name, "persona_name": message.persona_name}
        asked |= {"whose": message.whose, **names}
    when = _moment(message.created) or ""
    words = [above, str(message.pk), message.role, when, message.digest, canonical(asked).decode(), manifest]
    return sha256("\n".join([*words, _took(message.run)] if message.run else words))


def _took(run: Run) -> str:
    """The columns of a settled run that stand in no manifest: tokens and cost are sums over every part of an answer
    that was broken off and continued, and the manifest is of the last part alone. Numbers as every database gives them
    back, whatever they were in memory."""
    told = {
        "state": str(run.state),
        "failure": run.failure,
        "reasoning": sha256(run.reasoning),
        "tokens": [run.tokens_input, run.tokens_output],
        "cost": None if run.cost is None else f"{run.cost:.8f}",
        "seconds": [None if one is None else float(one) + 0.0 for one in (run.first_token_s, run.total_s)],
        "when": [_moment(run.created), _moment(run.settled)],
    }
    return sha256(canonical(told))


def _moment(when: datetime | None) -> str | None:
    return when.astimezone(UTC).isoformat() if when else None


def above(parent: Message | None) -> str:
    """What a link hangs on: the parent's own link; the id of one that is not settled, for it has none yet."""
    if parent is None:
        return ""
    return parent.chain or f"open {parent.pk}"


def seal(message: Message, parent: Message | None) -> None:
    """Give a message that is not in the database yet, or not linked there, its link."""
    message.whose = whose.told(message, NAMED)
    if message.run:
        message.whose |= whose.told(message.run, ["person"])
    message.chain = link(message, above(parent))


def settle(message_id: UUID) -> None:
    """Give a stored message that has settled its link."""
    message = covered(message_id)
    if not message.settled or message.chain:
        return
    seal(message, message.parent)
    with transaction.atomic():
        Message.objects.filter(pk=message_id).update(chain=message.chain, whose=message.whose)
        count(message.chat_id, message.chain)


def covered(message_id: UUID) -> Message:
    """A message with all that its link covers and no more, in one query: it is on the path of every answer."""
    return Message.objects.select_related("parent", "run").only(*_COVERED).get(pk=message_id)


def count(chat_id: UUID, link: str) -> None:
    """Add a link to its chat's sum, in the transaction that writes the link; that is when a chat was touched last."""
    chat = Chat.objects.select_for_update(no_key=True).only("sum").get(pk=chat_id)
    Chat.objects.filter(pk=chat_id).update(sum=add(chat.sum, link), touched=timezone.now())


def add(total: str, chain: str) -> str:
    return f"{(int(total or '0', 16) + int(chain, 16)) % _ROOM:064x}"


def verify() -> Iterator[Fault]:
    """Everything that does not fit, chat by chat; also each version that an answer names and that is not as it was."""
    known = Versions()
    for chat in Chat.objects.order_by("created").only("pk", "sum").iterator():
        if any(verify_chat(chat, known)):
            yield from _look_again(chat.pk)


def _look_again(chat_id: UUID) -> list[Fault]:
    """What does not fit while nobody settles anything in the chat: between reading its sum and its messages, somebody
    may have. Whoever gives a message its link needs the row that is held here."""
    with transaction.atomic():
        chat = Chat.objects.select_for_update(no_key=True).only("pk", "sum").filter(pk=chat_id).first()
        return list(verify_chat(chat, Versions())) if chat else []


class Versions:
    """The digests of versions as their rows are now, each looked up once."""

    def __init__(self) -> None:
        self._found: dict[tuple[type[Model], int], str] = {}

    def faults(self, manifest: Mapping[str, Any]) -> Iterator[str]:
        for name, table, key, digest in pins.named_by(manifest):
            if (table, key) not in self._found:
                row = table._default_manager.filter(pk=key).first()
                self._found[table, key] = pins.digest_of(row) if row else ""
            if self._found[table, key] != digest:
                what = "was altered" if self._found[table, key] else "is missing"
                yield f"the version of its {name} {what}"
        for one in manifest.get("collections") or ():
            row = CollectionState.objects.filter(collection=one["id"], number=one["state"]).first()
            if row and (row.digest != one["digest"] or sha256(canonical(row.documents)) != row.digest):
                yield f"the state of the collection “{one['name']}” was altered"
            if row is None and Collection.objects.filter(pk=one["id"]).exists():  # else it went with its collection
                yield f"the state of the collection “{one['name']}” is missing"


def verify_chat(chat: Chat, known: Versions) -> Iterator[Fault]:
    """What does not fit in one chat."""
    rows = Message.objects.filter(chat=chat).select_related("run").order_by("depth", "pk")
    seen: dict[UUID, Message] = {}
    total = ""
    for message in rows.iterator(chunk_size=500):
        seen[message.pk] = message
        parent = seen.get(message.parent_id) if message.parent_id else None
        if message.chain:
            total = add(total, message.chain)
        if message.settled or message.chain:
            yield from _faults(chat, message, parent)
            if message.run and message.run.manifest and not message.run.imported:
                for what in known.faults(message.run.manifest):
                    yield Fault(chat.pk, message.pk, what)
    if (total or "0").lstrip("0") != (chat.sum or "0").lstrip("0"):
        yield Fault(chat.pk, None, "messages are missing, or were added past the product")
    made_again = Replayed.objects.filter(replay__chat=chat, run__state__in=SETTLED, run__message=None)
    for one in made_again.select_related("run").order_by("pk"):  # one that was kept is its message's
        for what in _misfits(one.run) if one.run else ():
            yield Fault(chat.pk, one.message_id, f"of a replay of it, {what}")


def _faults(chat: Chat, message: Message, parent: Message | None) -> Iterator[Fault]:
    if message.digest != sha256(canonical(message.parts)):
        yield Fault(chat.pk, message.pk, "its content was altered")
    if message.run:
        for what in _misfits(message.run, said=text_of(tuple(Part(**part) for part in message.parts))):
            yield Fault(chat.pk, message.pk, what)
    if not message.settled:
        yield Fault(chat.pk, message.pk, "it was settled, and is told not to be")
    if message.depth != (parent.depth + 1 if parent else 0):
        yield Fault(chat.pk, message.pk, "it stands deeper or higher than below what it follows")
    for name in _other_than_told(message):
        yield Fault(chat.pk, message.pk, f"its {name} was altered")
    hangs = {above(parent), f"open {parent.pk}" if parent else ""}
    if message.chain not in {link(message, one) for one in hangs}:
        yield Fault(chat.pk, message.pk, ALTERED)


def _other_than_told(message: Message) -> Iterator[str]:
    if message.whose is not None:
        yield from whose.altered(message, NAMED, message.whose)
        if message.run:
            yield from (f"run's {name}" for name in whose.altered(message.run, ["person"], message.whose))


def _misfits(run: Run, *, said: str | None = None) -> Iterator[str]:
    yield from misfits(run.manifest, Told(text=run.text, evidence=run.evidence, decision=run.decision, said=said))
    if run.manifest and not run.imported:
        decision = run.manifest.get("decision") or {}
        rows = (
            ("model", run.model_version_id, run.manifest.get("model_version")),
            ("router", run.router_version_id, decision.get("configuration")),
            ("prompt template", run.template_version_id, run.manifest.get("prompt_template_version")),
        )
        for name, row, told in rows:
            if row not in (None, told):
                yield f"the version of the {name} that its run names is another one"
