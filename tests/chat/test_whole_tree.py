"""Whatever people do to a chat, in whatever order, and whenever the process dies: the tree stays whole.

No message is lost or changed, every parent was there before its child, every digest verifies, everybody stands on a
message of the chat, and undoing what was done leads back.

Another way to change a chat (an import, a share) is one more rule: let it return the messages it added by adding them
to ``self.said`` with ``self._learn()``; the invariants do the rest.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from chat import chain, copies, history, record, steps, tree
from chat.frames import Refused, Retry, Send
from chat.models import Branch, Chat, Checkpoint, Message, Place, Step
from workspace.accounts.models import Person, Role
from workspace.router import run_rows
from workspace.router.models import Run
from workspace.router.run_rows import Outcome
from workspace.router.states import RunState
from workspace.types import Manifest, sha256

pytestmark = pytest.mark.django_db

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
NUMBERS = st.integers(min_value=0, max_value=10**6)  # picks one of however many there are


class Crash(Exception):
    """The process dies: what was not committed never was."""


class Tree(RuleBasedStateMachine):
    """One chat and its copies, two people. Answers settle at once, later, or never: their process died."""

    @initialize()
    def begin(self) -> None:
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.people = [Person.objects.create_user(f"p{uuid4().hex}", role=Role.MEMBER) for _ in range(2)]
        self.said: dict[UUID, tuple[Any, ...]] = {}  # what each settled message is, once and for all
        self.all: dict[UUID, UUID | None] = {}  # every message and its parent
        opened = record.open_send(self.people[0].pk, Send(client_id=uuid4(), text="Begin", model="none"))
        self.chats = [opened.chat]
        self._settle(opened.answer)
        self.chats[0].shares.create(person=self.people[1], may_write=True)

    def teardown(self) -> None:
        if hasattr(self, "savepoint"):
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    # --- What people do

    @rule(who=NUMBERS, where=NUMBERS, text=TEXTS, settles=st.booleans())
    def ask(self, who: int, where: int, text: str, settles: bool) -> None:
        """A question, or an edit: one below any answer, or a new beginning."""
        answers = [*self._messages(role="model"), None]
        parent = answers[where % len(answers)]
        frame = Send(client_id=uuid4(), chat=self.chat.pk, parent=parent.pk if parent else None, text=text)
        if opened := self._do(lambda: record.open_send(self._person(who).pk, frame)):
            self._settle(opened.answer, settles=settles)

    @rule(who=NUMBERS, where=NUMBERS, settles=st.booleans())
    def retry(self, who: int, where: int, settles: bool) -> None:
        answers = self._messages(role="model")
        frame = Retry(client_id=uuid4(), chat=self.chat.pk, message=answers[where % len(answers)].pk)
        if opened := self._do(lambda: record.open_retry(self._person(who).pk, frame)):
            self._settle(opened.answer, settles=settles)

    @rule(who=NUMBERS, which=NUMBERS, exact=st.booleans())
    def switch(self, who: int, which: int, exact: bool) -> None:
        self._do(lambda: steps.switch(self.chat, self._person(who), self._one(which), exact=exact))

    @rule(who=NUMBERS, which=NUMBERS)
    def prune(self, who: int, which: int) -> None:
        self._do(lambda: steps.prune(self.chat, self._person(who), self._one(which)))

    @rule(who=NUMBERS, which=NUMBERS)
    def restore(self, who: int, which: int) -> None:
        pruned = list(Message.objects.filter(branch__chat=self.chat, branch__pruned=True).order_by("pk"))
        if pruned:
            self._do(lambda: steps.restore(self.chat, self._person(who), pruned[which % len(pruned)]))

    @rule(who=NUMBERS, which=NUMBERS, name=st.sampled_from(["", "letter", "draft", "tariff"]))
    def name(self, who: int, which: int, name: str) -> None:
        self._do(lambda: steps.name(self.chat, self._person(who), self._one(which), name))

    @rule(who=NUMBERS, which=NUMBERS)
    def star(self, who: int, which: int) -> None:
        self._do(lambda: steps.star(self.chat, self._person(who), self._one(which)))

    @rule(who=NUMBERS, which=NUMBERS)
    def flag(self, who: int, which: int) -> None:
        self._do(lambda: steps.flag(self.chat, self._person(who), self._one(which), "Agreed", ""))

    @rule(who=NUMBERS, which=NUMBERS)
    def unflag(self, who: int, which: int) -> None:
        flags = list(Checkpoint.objects.filter(chat=self.chat, removed=False).order_by("pk"))
        if flags:
            one = flags[which % len(flags)]
            self._do(lambda: steps.change_flag(self.chat, self._person(who), one, removed=True))

    @rule(who=NUMBERS, which=NUMBERS, into=NUMBERS, whole=st.booleans())
    def merge(self, who: int, which: int, into: int, whole: bool) -> None:
        source, target = self._one(which), self._one(into)
        self._do(lambda: copies.merge(self.chat, self._person(who), source, target, whole=whole))

    @precondition(lambda self: len(self.chats) < 4)
    @rule(who=NUMBERS, which=NUMBERS, to=NUMBERS)
    def fork(self, who: int, which: int, to: int) -> None:
        made = self._do(lambda: copies.fork(self.chat, self._person(who), self._one(which), self._person(to)))
        if made:
            self.chats.append(made)

    @rule(who=NUMBERS, which=NUMBERS)
    def undo(self, who: int, which: int) -> None:
        """Undoing a step and doing it again leaves what there was, but for what others may have done to it since."""
        done = list(Step.objects.filter(chat=self.chat).order_by("-pk")[:8])
        if done:
            self._do(lambda: steps.undo(self.chat, self._person(who), done[which % len(done)].pk))

    @rule(who=NUMBERS, where=NUMBERS, text=TEXTS, at=st.sampled_from(["send", "merge", "prune"]))
    def crash(self, who: int, where: int, text: str, at: str) -> None:
        """The process dies before what it does is committed: all of it never was."""
        person, before = self._person(who), self._everything()
        parents = [one for one in self._messages(role="model") if one.settled]
        parent = parents[where % len(parents)]
        frame = Send(client_id=uuid4(), chat=self.chat.pk, parent=parent.pk, text=text)
        deeds = {
            "send": lambda: record.open_send(person.pk, frame),
            "merge": lambda: copies.merge(self.chat, person, self._one(where), parent, whole=True),
            "prune": lambda: steps.prune(self.chat, person, self._one(where)),
        }
        try:
            with transaction.atomic():
                try:
                    deeds[at]()
                except Refused:
                    pass
                raise Crash
        except Crash:
            assert self._everything() == before

    @rule()
    def die_and_come_back(self) -> None:
        """Answers whose process died are found, keep their words, and are settled by whoever goes on with them."""
        Run.objects.filter(message__chat__in=self.chats, state=RunState.RUNNING).update(owner="dead")
        run_rows.reap(all_but="another")
        for run in Run.objects.filter(message__chat=self.chats[0], state=RunState.INTERRUPTED)[:1]:
            assert run_rows.reopen_row(run.pk)
            self._settle(Message.objects.get(run=run))

    # --- What always holds

    @invariant()
    def nothing_is_lost_or_changed(self) -> None:
        if not hasattr(self, "all"):
            return
        now = {m.pk: m for m in Message.objects.filter(chat__in=self.chats).select_related("run")}
        for id, parent in self.all.items():
            assert id in now and now[id].parent_id == parent
        for id, said in self.said.items():
            assert _said(now[id]) == said
        self._learn(now)

    @invariant()
    def there_is_no_cycle_and_every_digest_verifies(self) -> None:
        if not hasattr(self, "all"):
            return
        for chat in self.chats:
            assert [fault.what for fault in chain.verify_chat(Chat.objects.get(pk=chat.pk), chain.Versions())] == []
        for one in Message.objects.filter(chat__in=self.chats, parent__isnull=False).select_related("parent"):
            assert one.parent and one.parent.chat_id == one.chat_id and one.depth == one.parent.depth + 1

    @invariant()
    def everybody_stands_in_the_chat_and_the_map_shows_all_of_it(self) -> None:
        if not hasattr(self, "all"):
            return
        for place in Place.objects.filter(chat__in=self.chats).select_related("tip"):
            assert place.tip.chat_id == place.chat_id
        person = self.people[0]
        chat = self.chats[0]
        tip = tree.place_of(chat, person)
        path = tree.path(chat, tip, tree.ALL)
        assert [one.depth for one in path] == list(range(len(path)))
        drawn = history.the_map(chat, person, pruned=True, opened=set(self.all))
        shown = [row.id for row in drawn.rows if not row.is_fold]
        assert len(shown) == len(set(shown)) == drawn.messages == Message.objects.filter(chat=chat).count()
        assert tip is None or sum(row.here for row in drawn.rows) == 1

    # --- How

    @property
    def chat(self) -> Chat:
        return self.chats[0]

    def _person(self, number: int) -> Person:
        return self.people[number % 2]

    def _messages(self, **fields: Any) -> list[Message]:
        return list(Message.objects.filter(chat=self.chat, **fields).select_related("run", "parent").order_by("pk"))

    def _one(self, number: int) -> Message:
        found = self._messages()
        return found[number % len(found)]

    def _do(self, deed: Any) -> Any:
        """Carry it out as a request does: whole, or refused in words and not at all."""
        before = self._everything()
        try:
            with transaction.atomic():
                return deed()
        except Refused as refused:
            assert refused.failure.cause and refused.failure.action
            assert self._everything() == before
            return None

    def _settle(self, answer: Message, *, settles: bool = True) -> None:
        assert answer.run_id
        if not settles:
            return
        text = f"Answer {answer.pk.hex[-6:]}."
        manifest, asked = Manifest(model="none", text_digest=sha256(text)), str(self.people[0].pk)
        outcome = Outcome(answer.run_id, RunState.DONE, text, "", manifest, None, 1, asked)
        with transaction.atomic():
            assert run_rows.settle_row(outcome)
            record.settle_answer(answer.pk, outcome)

    def _learn(self, now: dict[UUID, Message]) -> None:
        self.all = {id: one.parent_id for id, one in now.items()}
        self.said = {id: _said(one) for id, one in now.items() if one.settled}

    def _everything(self) -> tuple[Any, ...]:
        return (
            sorted(Message.objects.filter(chat__in=self.chats).values_list("pk", "chain")),
            sorted(Branch.objects.filter(chat__in=self.chats).values_list("start", "name", "starred", "pruned")),
            sorted(Place.objects.filter(chat__in=self.chats).values_list("person", "tip", "exact")),
            sorted(Checkpoint.objects.filter(chat__in=self.chats).values_list("pk", "name", "removed")),
            sorted(Chat.objects.filter(pk__in=[one.pk for one in self.chats]).values_list("pk", "sum")),
        )


def _said(one: Message) -> tuple[Any, ...]:
    run = one.run
    words, made = (run.text, str(run.manifest)) if run else ("", "")
    return one.role, str(one.parts), one.digest, one.chain, one.origin_id, words, made


def run(examples: int, each: int) -> None:
    chosen = settings(
        max_examples=examples, stateful_step_count=each, deadline=None, suppress_health_check=list(HealthCheck),
        database=None,
    )  # fmt: skip
    run_state_machine_as_test(Tree, settings=chosen)


@pytest.mark.timeout(300)
def test_the_tree_stays_whole_over_300_steps() -> None:
    run(10, 30)


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_the_tree_stays_whole_over_10000_steps() -> None:
    run(100, 100)
