"""A replay on its way: one answer after the other, so that their times can be held against the old ones.

Each is a run of its own beside the tree: nothing in the chat moves. What is left stands in the rows, so a killed worker
costs nothing; a run that was cut off is made once more.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from chat import access, authority, chain, record, steps
from chat.frames import Refused
from chat.models import Chat, Message, Replay, Replayed, Step
from chat.replay import plan
from chat.replay.plan import Change
from workspace.accounts.models import Person
from workspace.router import run_rows
from workspace.router.run_rows import Outcome
from workspace.router.runs import Numbered, registry
from workspace.router.states import LIVE, SETTLED, RunState
from workspace.types import Decision, Request, canonical, sha256, text_part
from workspace.writes import writer


class _Observer:
    """Nobody listens: the page looks at the rows."""

    hands_over = False

    async def handed_over(self) -> None: ...

    async def heard(self, numbered: Numbered) -> None: ...

    def settle(self, outcome: Outcome) -> None: ...

    async def settled(self, outcome: Outcome) -> None: ...

    async def committed(self, seq: int) -> None: ...


def begin(person: Person, messages: list[Message], change: Change) -> Replay:
    """The rows of a replay; whoever calls queues it."""
    with transaction.atomic():
        replay = Replay.objects.create(chat=messages[0].chat, person=person, change=change.row)
        Replayed.objects.bulk_create(
            Replayed(replay=replay, place=place, message=one) for place, one in enumerate(messages)
        )
    return replay


async def make(replay_id: UUID) -> None:
    """Go on with a replay until nothing is left of it, or somebody else goes on with it."""
    place = -1
    while opened := await writer.submit(partial(_open, replay_id, place)):
        place, run_id, request, decided = opened
        run = await registry().start(run_id, request, _Observer(), decided=decided)
        await run.task


def stop(replay: Replay) -> None:
    """What is not begun is not made; what is being written is finished."""
    Replay.objects.filter(pk=replay.pk, stopped=None).update(stopped=timezone.now())


def waiting(runs: Collection[UUID] | None = None) -> list[UUID]:
    """Replays that somebody should go on with; of these runs, or of all."""
    found = Replayed.objects.filter(_unmade(), replay__stopped=None)
    if runs is not None:
        found = found.filter(run__in=runs)
    return list(found.values_list("replay_id", flat=True).distinct())


def is_going(replay: Replay) -> bool:
    unfinished = Replayed.objects.filter(replay=replay).exclude(run__state__in=SETTLED).filter(refused="")
    return replay.stopped is None and unfinished.exists()


@steps.one_at_a_time
def keep(chat: Chat, person: Person, one: Replayed) -> Message:
    """Put a new answer into the chat, as a version beside the old one; whoever keeps it goes there. Raises Refused."""
    run, old = one.run, one.message
    if run is None or run.state not in SETTLED or not run.text:
        raise Refused("not_made", "That answer is not finished.", "Wait for it.")
    if kept := Message.objects.filter(run=run).first():
        steps.switch(chat, person, kept)
        return kept
    parts = [record.plain_part(text_part(run.text))]
    message = Message.objects.create(
        chat=chat, parent=old.parent, role=Message.Role.MODEL, run=run, depth=old.depth, parts=parts,
        digest=sha256(canonical(parts)), settled=True,
    )  # fmt: skip
    chain.settle(message.pk)
    model = (run.manifest or {}).get("model") or ""
    steps.add(chat, person, Step.Kind.KEPT, [message], model)
    return message


def _unmade() -> Q:
    return Q(run=None, refused="") | Q(run__state=RunState.INTERRUPTED)


def _open(replay_id: UUID, after: int) -> tuple[int, UUID, Request, Decision | None] | None:
    """Take the next answer, in the writer's thread, and its place; ``None`` where none is left after that place, or
    another worker is at one of the same replay: it goes on with the rest.

    Whoever holds the replay's row looks and takes before anybody else looks, so no answer is made twice, and none
    beside another one, which would take longer than the old one had."""
    replay = Replay.objects.select_for_update(of=("self",)).select_related("person", "chat").get(pk=replay_id)
    if replay.stopped or Replayed.objects.filter(replay=replay, run__state__in=LIVE).exists():
        return None
    rows = Replayed.objects.filter(_unmade(), replay=replay, place__gt=after)
    while one := rows.select_related("message__chat", "message__parent", "message__run").first():
        try:
            request, decided = _asked(replay, one.message)
        except Refused as refused:
            words = f"{refused.failure.cause} {refused.failure.action}".strip()
            Replayed.objects.filter(pk=one.pk).update(refused=words[:300])
        else:
            run = run_rows.open_row(person=replay.person)
            Replayed.objects.filter(pk=one.pk).update(run=run)
            return one.place, run.pk, request, decided
    return None


def _asked(replay: Replay, message: Message) -> tuple[Request, Decision | None]:
    if replay.person is None or not access.may_write(replay.person, replay.chat):
        raise Refused("read_only", "Whoever asked may not write in this chat any more.", "")
    authority.refuse_withheld(message)
    return plan.request_of(replay.person, message, Change.of(replay.change))
