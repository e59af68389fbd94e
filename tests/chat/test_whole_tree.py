"""Whatever people do to a chat, in whatever order, and whenever the process dies: the tree stays whole.

No message is lost or changed, every parent was there before its child, every digest verifies, everybody stands on a
message of the chat, and undoing what was done leads back.

Another way to change a chat is one more rule; the invariants do the rest.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import transaction
from django.db.models import Q
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
from chat.compare import joining, rows
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Conversation, Unreadable
from chat.exchange.outgoing import file_of
from chat.exchange.reading import parse
from chat.frames import Compare, Continue, Fuse, Join, LaneAsk, Refused, Retry, Send
from chat.models import Branch, Chat, Checkpoint, Comparison, Message, Place, Replay, Replayed, Step
from chat.replay import drift, making
from chat.replay.plan import Change
from workspace.accounts.models import Person, Role
from workspace.router import run_rows
from workspace.router.models import Judgement, Run, RunEvent
from workspace.router.run_rows import Outcome
from workspace.router.states import RunState
from workspace.types import Manifest, sha256
from workspace.wire import RunEventKind

pytestmark = pytest.mark.django_db

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
CHATS = 4  # and no more: the original, its copies, and what came in again
MOST = 10_000_000
NUMBERS = st.integers(min_value=0, max_value=10**6)  # picks one of however many there are


class Crash(Exception):
    """The process dies: what was not committed never was."""


class Tree(RuleBasedStateMachine):
    """One chat and its copies, two people. Answers settle at once, later, or never: their process died."""

    steps = 0

    @initialize()
    def begin(self) -> None:
        Tree.steps -= 1  # what is looked at after this one is no step
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.people = [Person.objects.create_user(f"p{uuid4().hex}", role=Role.MEMBER) for _ in range(2)]
        self.said: dict[UUID, tuple[Any, ...]] = {}  # what each settled message is, once and for all
        self.all: dict[UUID, UUID | None] = {}  # every message and its parent
        self.chats: list[Chat] = []  # the first is the one that people change
        opened = record.open_send(self.people[0].pk, Send(client_id=uuid4(), text="Begin", model="none"))
        self._settle(opened.answer)
        self._also(opened.chat)

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
        answers = self._messages(role="model") or self._messages()  # a copy may end at its first question
        frame = Retry(client_id=uuid4(), chat=self.chat.pk, message=answers[where % len(answers)].pk)
        if opened := self._do(lambda: record.open_retry(self._person(who).pk, frame)):
            self._settle(opened.answer, settles=settles)

    @rule(who=NUMBERS, where=NUMBERS, blind=st.booleans(), choice=NUMBERS)
    def compare_and_vote(self, who: int, where: int, blind: bool, choice: int) -> None:
        person, answers = self._person(who), [*self._messages(role="model"), None]
        parent = answers[where % len(answers)]
        frame = Compare(
            client_id=uuid4(), chat=self.chat.pk, parent=parent.pk if parent else None, text="Which?", blind=blind,
            lanes=(LaneAsk(model="none"), LaneAsk(model="other", system="Be brief.")),
        )  # fmt: skip
        if opened := self._do(lambda: rows.open_compare(person.pk, frame)):
            lanes = [one.answer for one in opened.lanes]
            for answer in lanes:
                self._settle(answer)
            chosen = [*lanes, None][choice % 3]
            for voter in [person, *self.people][: choice % 4]:
                said = {"choice": "best" if chosen else "tie", "lane": chosen.pk if chosen else None}
                self._do(partial(rows.vote, voter, self.chat.pk, opened.comparison.pk, reasons=["clearer"], **said))

    @rule(who=NUMBERS, which=NUMBERS, fuses=st.booleans())
    def join_or_fuse(self, who: int, which: int, fuses: bool) -> None:
        """One lane more in a comparison, or one answer made of all its lanes."""
        found = list(Comparison.objects.filter(chat=self.chat).order_by("pk"))
        if not found:
            return
        person, one = self._person(who), found[which % len(found)]
        asked: dict[str, Any] = {"client_id": uuid4(), "chat": self.chat.pk, "comparison": one.pk}
        lanes = tuple(one.standing.values_list("answer", flat=True))
        if fuses:
            opened = self._do(lambda: rows.open_fuse(person.pk, Fuse(**asked, lanes=lanes)))
            answers = [opened.answer] if opened else []
        else:
            joined = self._do(lambda: joining.open_join(person.pk, Join(**asked, lane=LaneAsk(model="third"))))
            answers = [lane.answer for lane in joined.lanes] if joined else []
        for answer in answers:
            self._settle(answer)

    @rule(who=NUMBERS, where=NUMBERS, says=st.booleans())
    def keep_of_a_replay(self, who: int, where: int, says: bool) -> None:
        """An answer that was made again beside the chat comes into it, once; one that said nothing does not."""
        found = self._messages(role="model", settled=True, run__withheld=False)
        if not found:
            return
        person, old = self._person(who), found[where % len(found)]
        again = run_rows.open_row(person=person)
        text = f"Again {again.pk.hex[-6:]}." if says else ""
        manifest, asked = Manifest(model="none", text_digest=sha256(text)), str(person.pk)
        assert run_rows.settle_row(Outcome(again.pk, RunState.DONE, text, "", manifest, None, 1, asked))
        Replayed.objects.filter(replay=making.begin(person, [old], Change())).update(run=again)
        one = Replayed.objects.select_related("run", "message__parent").get(run=again)
        kept = self._do(lambda: making.keep(self.chat, person, one))
        assert bool(kept) == says and (not kept or making.keep(self.chat, person, one) == kept)

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

    @rule(who=NUMBERS, which=NUMBERS, said=st.sampled_from([{"removed": True}, {"name": "Sent"}, {"note": "Late."}]))
    def change_flag(self, who: int, which: int, said: dict[str, Any]) -> None:
        flags = list(Checkpoint.objects.filter(chat=self.chat, removed=False).order_by("pk"))
        if flags:
            one = flags[which % len(flags)]
            self._do(lambda: steps.change_flag(self.chat, self._person(who), one, **said))

    @rule(who=NUMBERS, which=NUMBERS, verdict=st.sampled_from(["supported", "weak", "unsupported"]))
    def judge(self, who: int, which: int, verdict: str) -> None:
        """A judge reads an answer, behind its back."""
        answers = [one for one in self._messages(role="model", settled=True) if one.run and len(one.run.text) > 8]
        if answers:
            run = answers[which % len(answers)].run
            said = {"model": "judge", "verdicts": [[0, 3, verdict], [4, 8, "weak"]], "cost": "0.00000001"}
            Judgement.objects.update_or_create(run=run, defaults=said)

    @rule(
        who=NUMBERS, which=NUMBERS, stops=st.booleans(),
        outcomes=st.lists(st.sampled_from(["made", "kept", "refused", "dies", "waits"]), min_size=1, max_size=3),
    )  # fmt: skip
    def replay(self, who: int, which: int, outcomes: list[str], stops: bool) -> None:
        """Some answers are made again: well, not at all, or not yet; one that came out well may be kept in the chat."""
        person = self._person(who)
        answers = [one for one in self._messages(role="model", settled=True) if not (one.run and one.run.withheld)]
        if not answers:
            return
        chosen = [answers[(which + n) % len(answers)] for n in range(len(outcomes))]
        made = making.begin(person, chosen, Change(what="parameter", name="seed", value=which))
        for outcome, one in zip(outcomes, made.answers.order_by("place"), strict=True):
            if outcome == "refused":
                Replayed.objects.filter(pk=one.pk).update(refused="No model is left to make it again.")
            if outcome in ("made", "kept", "dies"):
                one.run = run_rows.open_row(person=person)
                one.save(update_fields=["run"])
            if outcome in ("made", "kept"):
                text = f"Again {one.pk}."
                manifest = Manifest(model="none", seed=which, text_digest=sha256(text))
                assert run_rows.settle_row(Outcome(one.run_id, RunState.DONE, text, "", manifest, None, 1, ""))
                one.run.refresh_from_db()
            if outcome == "kept":
                self._do(partial(making.keep, self.chat, person, one))
        if stops:
            making.stop(made)

    @rule(who=NUMBERS, which=NUMBERS, into=NUMBERS, whole=st.booleans())
    def merge(self, who: int, which: int, into: int, whole: bool) -> None:
        source, target = self._one(which), self._one(into)
        self._do(lambda: copies.merge(self.chat, self._person(who), source, target, whole=whole))

    @precondition(lambda self: len(self.chats) < CHATS)
    @rule(who=NUMBERS, which=NUMBERS, to=NUMBERS)
    def fork(self, who: int, which: int, to: int) -> None:
        made = self._do(lambda: copies.fork(self.chat, self._person(who), self._one(which), self._person(to)))
        if made:
            self._also(made)

    @rule(who=NUMBERS, which=NUMBERS, stays=st.booleans())
    def export_and_import(self, who: int, which: int, stays: bool) -> None:
        """The same bytes again, and the same story, whoever brings them in; nobody makes anything again there. What
        came in is one more chat, with its place in the tests."""
        chat, person = self.chats[which % len(self.chats)], self._person(who)
        data, waiting = file_of(chat, chat.owner), set(making.waiting())
        begun = transaction.savepoint()
        [made] = bring_in(person, parse(data, MOST), again=True).chats
        assert file_of(made, person) == data
        assert faults(made) == []
        copied = chat.messages.exclude(origin=None).exclude(origin__chat=chat)  # a copy's come from elsewhere
        hidden = Step.objects.filter(chat=chat, message__run__withheld=True)  # done to a lane that leaves in no file
        if not copied.exists() and not hidden.exists():
            is_blind = any(one.is_withheld for one in Comparison.objects.filter(chat=chat))
            assert story(made, person, is_blind) == story(chat, chat.owner, is_blind)
        assert set(making.waiting()) == waiting
        for one in Replay.objects.filter(chat=made):
            drift.as_json(one, drift.drifts(one))
        if stays and len(self.chats) < CHATS:
            self._also(made)
            transaction.savepoint_commit(begun)
        else:
            transaction.savepoint_rollback(begun)

    @rule(who=NUMBERS, which=NUMBERS, at=NUMBERS)
    def import_breaks(self, who: int, which: int, at: int) -> None:
        """A file that was changed, and one whose reading ends after its first chat, leave nothing."""
        chat = self.chats[which % len(self.chats)]
        data, before = file_of(chat, chat.owner), self._counts()
        at %= len(data)
        with pytest.raises(Unreadable):
            parse(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], MOST)

        def cut() -> Iterator[Conversation]:
            yield from parse(data, MOST)
            raise Crash

        with pytest.raises(Crash):
            bring_in(self._person(who), cut(), again=True)
        assert self._counts() == before

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
        parents = [None, *(one for one in self._messages(role="model") if one.settled)]
        parent = parents[where % len(parents)]
        frame = Send(client_id=uuid4(), chat=self.chat.pk, parent=parent.pk if parent else None, text=text)
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

    @rule(text=TEXTS, goes_on=st.booleans())
    def die_and_come_back(self, text: str, goes_on: bool) -> None:
        """Answers whose process died are found as a server finds them that starts, and keep what was journalled of
        them. Who goes on with one settles it."""
        here = Q(message__chat__in=self.chats) | Q(replayed__replay__chat__in=self.chats)
        live = Run.objects.filter(here, state=RunState.RUNNING)
        running = dict(live.values_list("pk", "seq"))
        for id, seq in running.items():
            RunEvent.objects.create(run_id=id, seq=seq + 1, kind=RunEventKind.DELTA, data=json.dumps([text]))
        Run.objects.filter(pk__in=running).update(owner="dead")
        assert set(run_rows.reap(all_but="another")) == set(running)
        for run in Run.objects.filter(pk__in=running):
            assert (run.state, run.text.endswith(text), run.owner) == (RunState.INTERRUPTED, True, "dead")
        cut_off = Message.objects.filter(chat__in=self.chats, run__state=RunState.INTERRUPTED).order_by("pk")
        for one in cut_off[: int(goes_on)]:
            frame = Continue(chat=one.chat_id, message=one.pk)
            for opened in self._do(lambda: rows.open_continue(self.people[0].pk, frame)) or ():  # noqa: B023
                self._settle(opened.answer, so_far=opened.request.so_far)

    @rule()
    def go_to_another_chat(self) -> None:
        """A copy, or what came in: from here on it is the one that people change."""
        self.chats.append(self.chats.pop(0))

    # --- What always holds

    @invariant()
    def nothing_is_lost_or_changed(self) -> None:
        if not hasattr(self, "all"):
            return
        Tree.steps += 1
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
            assert faults(chat) == []
        below = Message.objects.filter(chat__in=self.chats, parent__isnull=False)
        for chat_, depth, above, over in below.values_list("chat", "depth", "parent__chat", "parent__depth"):
            assert (chat_, depth) == (above, over + 1)

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
        every = set(Message.objects.filter(chat=chat).values_list("pk", flat=True))
        drawn = history.the_map(chat, person, pruned=True, opened=every)
        shown = [row.id for row in drawn.rows]
        assert len(shown) == len(every) == drawn.messages and set(shown) == every
        assert tip is None or sum(row.here for row in drawn.rows) == 1

    # --- How

    @property
    def chat(self) -> Chat:
        return self.chats[0]

    def _also(self, chat: Chat) -> None:
        """One more chat, in which both may write."""
        self.chats.append(chat)
        other = next(one for one in self.people if one.pk != chat.owner_id)
        chat.shares.create(person=other, may_write=True)

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

    def _settle(self, answer: Message, *, settles: bool = True, so_far: str = "") -> None:
        assert answer.run_id
        if not settles:
            return
        text = f"{so_far}Answer {answer.pk.hex[-6:]}."
        manifest, asked = Manifest(model="none", text_digest=sha256(text)), str(self.people[0].pk)
        outcome = Outcome(answer.run_id, RunState.DONE, text, "", manifest, None, 1, asked)
        with transaction.atomic():
            assert run_rows.settle_row(outcome)
            record.settle_answer(answer.pk, outcome)

    def _learn(self, now: dict[UUID, Message]) -> None:
        self.all = {id: one.parent_id for id, one in now.items()}
        self.said = {id: _said(one) for id, one in now.items() if one.settled}

    def _counts(self) -> list[int]:
        tables = (Chat, Message, Run, Branch, Checkpoint, Place, Step, Replay, Replayed, Judgement)
        return [table.objects.count() for table in tables]

    def _everything(self) -> tuple[Any, ...]:
        return (
            sorted(Message.objects.filter(chat__in=self.chats).values_list("pk", "chain")),
            sorted(Branch.objects.filter(chat__in=self.chats).values_list("start", "name", "starred", "pruned")),
            sorted(Place.objects.filter(chat__in=self.chats).values_list("person", "tip", "exact")),
            sorted(Checkpoint.objects.filter(chat__in=self.chats).values_list("pk", "name", "removed")),
            sorted(Chat.objects.filter(pk__in=[one.pk for one in self.chats]).values_list("pk", "sum")),
        )


def faults(chat: Chat) -> list[str]:
    return [fault.what for fault in chain.verify_chat(Chat.objects.get(pk=chat.pk), chain.Versions())]


ASKED = ("began the chat", "asked", "edited a question", "compared blind")


def story(chat: Chat, person: Person, is_blind: bool) -> list[tuple[Any, ...]]:
    """Whose answer was tried again is told by the row of a model where there is one. A blind comparison that is open
    leaves in no file: where there is one, its question came in as any other."""
    told = steps.story(chat, person)
    return [
        (
            one.when,
            one.who,
            "asked" if is_blind and one.what in ASKED else one.what,
            one.undone,
            one.prunes or one.about,
        )
        for one in told
    ]


def _said(one: Message) -> tuple[Any, ...]:
    run = one.run
    words, made = (run.text, str(run.manifest)) if run else ("", "")
    return one.role, str(one.parts), one.digest, one.chain, one.origin_id, words, made


def run(steps: int, each: int) -> None:
    """So many steps or a few more, in chats of ``each``: Hypothesis ends some before, so it is asked for the rest."""
    Tree.steps = 0
    while (left := steps - Tree.steps) > 0:
        chosen = settings(
            max_examples=-(-left // each), stateful_step_count=each, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        run_state_machine_as_test(Tree, settings=chosen)


@pytest.mark.timeout(300)
def test_the_tree_stays_whole_over_300_steps() -> None:
    run(300, 30)
    assert Tree.steps >= 300


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_the_tree_stays_whole_over_10000_steps() -> None:
    run(10_000, 100)
    assert Tree.steps >= 10_000
