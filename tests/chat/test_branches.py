"""Branches: named, starred, pruned and restored, brought into each other, copied into chats of their own, held against
each other; and every step of it undone."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.http import HttpResponse
from django.test import Client

from chat import chain, copies, requests, steps, tree
from chat.models import Branch, Chat, Checkpoint, Message, Place, Step
from workspace.accounts.models import Person, Role
from workspace.router import frozen
from workspace.router.models import Judgement, PromptTemplate, Run
from workspace.types import canonical, sha256

pytestmark = pytest.mark.django_db


class Talked:
    """A chat of Alice's, shared with Bob: tea, then milk and, on a branch beside it, sugar."""

    def __init__(self, alice: Person, bob: Person) -> None:
        self.owner = alice
        self.chat = Chat.objects.create(owner=alice, title="Breakfast")
        self.chat.shares.create(person=bob, may_write=True)
        self.tea, self.tea_answer = self.turn(None, "tea")
        self.sugar, self.sugar_answer = self.turn(self.tea_answer, "sugar", model="deep")
        self.milk, self.milk_answer = self.turn(self.tea_answer, "milk")
        tree.stand(self.chat, alice, self.milk_answer)

    def turn(self, above: Message | None, word: str, model: str = "fast", **more: Any) -> tuple[Message, Message]:
        question = self.add(above, f"Why {word}?")
        made = {"model": model, "text_digest": sha256(f"Because of {word}."), "usage": {"input": 3, "output": 4}}
        manifest = {**made, "cost": "0.5", "digest": sha256(canonical({**made, "cost": "0.5"}))}
        run = Run.objects.create(
            person=self.owner, state="done", text=f"Because of {word}.", manifest=manifest, cost="0.5", **more
        )
        return question, self.add(question, f"Because of {word}.", run)

    def add(self, above: Message | None, text: str, run: Run | None = None, **said: Any) -> Message:
        parts = [{"kind": "text", "text": text}]
        who: dict[str, Any] = {"role": "model", "run": run} if run else {"role": "person", "author": self.owner}
        depth = above.depth + 1 if above else 0
        more: dict[str, Any] = {"parts": parts, "digest": sha256(canonical(parts)), "depth": depth, "settled": True}
        one = Message.objects.create(chat=self.chat, parent=above, **{**who, **more, **said})
        chain.settle(one.pk)
        one.refresh_from_db()
        return one


@pytest.fixture
def talked(alice: Person, bob: Person) -> Talked:
    return Talked(alice, bob)


@pytest.fixture
def client(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def post(client: Client, chat: Chat, address: str, **data: Any) -> HttpResponse:
    response: Any = client.post(f"/c/{chat.pk}/{address}", {name: str(value) for name, value in data.items()})
    return response


def page(client: Client, chat: Chat, query: str = "") -> str:
    return client.get(f"/c/{chat.pk}/history/{query}").content.decode()


def thread(client: Client, chat: Chat) -> list[str]:
    """The words of the thread as it stands."""
    shown = post(client, chat, "place/").content.decode()
    return [word for word in ("tea", "sugar", "milk") for _ in range(shown.count(f"Why {word}?"))]


def undo_last(client: Client, chat: Chat) -> HttpResponse:
    return post(client, chat, f"steps/{Step.objects.filter(chat=chat).latest('id').pk}/undo/")


def faults() -> list[str]:
    return [fault.what for fault in chain.verify()]


def test_a_pruned_branch_is_hidden_kept_and_restored(client: Client, talked: Talked) -> None:
    assert thread(client, talked.chat) == ["tea", "milk"]
    response = post(client, talked.chat, "branch/", message=talked.milk.pk, do="prune")
    assert response.status_code == 302
    assert thread(client, talked.chat) == ["tea", "sugar"], "whoever prunes goes to the version beside it"
    shown = page(client, talked.chat)
    assert "Why milk?" not in shown and "1 branch pruned" in shown and "Branch pruned. Nothing is deleted." in shown
    assert 'aria-label="Version' not in post(client, talked.chat, "place/").content.decode()
    assert "Why milk?" in page(client, talked.chat, "?pruned=1")
    assert Message.objects.filter(chat=talked.chat).count() == 6 and faults() == []
    post(client, talked.chat, "branch/", message=talked.milk.pk, do="prune")
    assert "This branch is pruned already." in page(client, talked.chat)
    post(client, talked.chat, "branch/", message=talked.milk.pk, do="restore")
    assert "Why milk?" in page(client, talked.chat) and thread(client, talked.chat) == ["tea", "sugar"]


def test_who_stands_on_a_branch_that_is_pruned_stays_and_is_told(client: Client, talked: Talked, bob: Person) -> None:
    tree.stand(talked.chat, bob, talked.milk_answer)
    post(client, talked.chat, "branch/", message=talked.milk.pk, do="prune")
    theirs = Client()
    theirs.force_login(bob)
    assert thread(theirs, talked.chat) == ["tea", "milk"]
    assert "is pruned: the map leaves it out" in post(theirs, talked.chat, "place/").content.decode()
    assert "you are here" in page(theirs, talked.chat)


def test_undo_leads_back_and_may_be_done_again(client: Client, talked: Talked) -> None:
    post(client, talked.chat, "branch/", message=talked.milk.pk, do="prune")
    assert undo_last(client, talked.chat).status_code == 302
    assert thread(client, talked.chat) == ["tea", "milk"] and not Branch.objects.get().pruned
    assert "Undone: branch pruned." in page(client, talked.chat)
    undo_last(client, talked.chat)
    assert thread(client, talked.chat) == ["tea", "sugar"] and Branch.objects.get().pruned


def test_what_was_changed_since_is_not_undone_over_it(client: Client, talked: Talked) -> None:
    for name in ("white", "creamy"):
        post(client, talked.chat, "branch/", message=talked.milk.pk, do="name", name=f" {name}  ")
    first, second = Step.objects.filter(chat=talked.chat).order_by("id")
    post(client, talked.chat, f"steps/{first.pk}/undo/")
    assert Branch.objects.get().name == "creamy" and "Undo the newer step first." in page(client, talked.chat)
    for step in (second, first):
        post(client, talked.chat, f"steps/{step.pk}/undo/")
    assert Branch.objects.get().name == ""


def test_a_name_belongs_to_one_branch_and_a_star_is_shown(client: Client, talked: Talked) -> None:
    post(client, talked.chat, "branch/", message=talked.milk.pk, do="name", name="white")
    post(client, talked.chat, "branch/", message=talked.sugar.pk, do="name", name="white")
    assert Branch.objects.get().start_id == talked.milk.pk
    assert "Another branch here is called “white”." in page(client, talked.chat)
    post(client, talked.chat, "branch/", message=talked.sugar.pk, do="star")
    shown = page(client, talked.chat, "?show=branches")
    assert shown.index("Because of sugar.") < shown.index("Because of milk."), "favourites come first"
    assert post(client, talked.chat, "branch/", message=talked.sugar.pk, do="burn").status_code == 400


def test_an_answer_is_brought_in_with_its_question_and_origin(client: Client, talked: Talked) -> None:
    assert post(client, talked.chat, "merge/", message=talked.sugar_answer.pk).status_code == 302
    assert thread(client, talked.chat) == ["tea", "sugar", "milk"]
    question, answer = Message.objects.filter(origin__isnull=False).select_related("run").order_by("depth")
    assert (question.origin_id, answer.origin_id) == (talked.sugar.pk, talked.sugar_answer.pk)
    assert question.parent_id == talked.milk_answer.pk and answer.run and talked.sugar_answer.run
    assert answer.run.manifest == talked.sugar_answer.run.manifest and answer.run_id != talked.sugar_answer.run_id
    assert "Brought in from another branch" in post(client, talked.chat, "place/").content.decode()
    assert 'class="e mg"' in page(client, talked.chat), "a dashed line leads from there"
    assert faults() == []
    post(client, talked.chat, "merge/", message=answer.pk)
    assert "on this branch already" in page(client, talked.chat)
    undo_last(client, talked.chat)
    assert thread(client, talked.chat) == ["tea", "milk"] and Message.objects.filter(chat=talked.chat).count() == 8


def test_what_is_brought_keeps_who_asked_and_on_which_terms(client: Client, talked: Talked) -> None:
    persona = PromptTemplate.objects.create(name="teacher")
    said = {"author": None, "author_name": "somebody else", "variables": {"audience": "all"}, "persona": persona}
    question = talked.add(talked.tea_answer, "Why honey?", **said)
    answer = talked.add(question, "Sweet.", Run.objects.create(person=talked.owner, state="done", text="Sweet."))
    post(client, talked.chat, "merge/", message=answer.pk)
    post(client, talked.chat, "fork/", message=answer.pk)
    copies = Message.objects.filter(origin=question)
    assert len(copies) == 2 and all(getattr(one, name) == said[name] for one in copies for name in said)


def test_what_is_brought_or_copied_keeps_the_marks_of_its_judge(client: Client, talked: Talked) -> None:
    said = {"model": "atlas-long", "verdicts": [[0, 7, "weak"]], "cost": "0.00000100"}
    Judgement.objects.create(run=talked.sugar_answer.run, **said)
    post(client, talked.chat, "merge/", message=talked.sugar_answer.pk)
    post(client, talked.chat, "fork/", message=talked.sugar_answer.pk)
    copies = Judgement.objects.filter(run__message__origin=talked.sugar_answer).values(*said)
    assert list(copies) == [{**said, "cost": Decimal("1e-6")}] * 2


def test_a_whole_run_of_messages_is_brought_from_where_it_left(client: Client, talked: Talked) -> None:
    more, more_answer = talked.turn(talked.sugar_answer, "honey")
    post(client, talked.chat, "merge/", message=more_answer.pk, whole="1", into=talked.milk_answer.pk)
    copies = Message.objects.filter(origin__isnull=False).order_by("depth").values_list("origin_id", flat=True)
    assert list(copies) == [talked.sugar.pk, talked.sugar_answer.pk, more.pk, more_answer.pk]
    post(client, talked.chat, "merge/", message=more.pk, into=talked.milk_answer.pk)
    assert "That message is a question." in page(client, talked.chat)
    frozen.lift()
    Run.objects.filter(pk=talked.sugar_answer.run_id).update(state="running")
    post(client, talked.chat, "merge/", message=talked.sugar_answer.pk, into=talked.milk_answer.pk)
    assert "still being written" in page(client, talked.chat)
    Run.objects.filter(pk=talked.sugar_answer.run_id).update(state="done")
    assert Message.objects.filter(chat=talked.chat).count() == 12 and faults() == []


def test_a_branch_becomes_a_chat_of_its_own_that_names_its_origin(client: Client, talked: Talked, bob: Person) -> None:
    steps.flag(talked.chat, talked.owner, talked.sugar_answer, "Sweet", "")
    response = post(client, talked.chat, "fork/", message=talked.sugar_answer.pk)
    made = Chat.objects.exclude(pk=talked.chat.pk).get()
    assert response.headers["Location"] == f"/c/{made.pk}/" and made.origin_id == talked.sugar_answer.pk
    assert thread(client, made) == ["tea", "sugar"] and faults() == []
    assert Checkpoint.objects.get(message__chat=made).name == "Sweet"
    assert f'A copy of <a href="/c/{talked.chat.pk}/' in client.get(f"/c/{made.pk}/").content.decode()
    undo_last(client, talked.chat)
    assert client.get(f"/c/{made.pk}/").status_code == 404, "undone, it is out of the index"


def test_a_long_branch_is_copied_with_every_flag_on_it(client: Client, talked: Talked) -> None:
    above, more = talked.milk_answer, []
    for number in range(1, 901):
        parts = [{"kind": "text", "text": f"Line {number}"}]
        fields: dict[str, Any] = {"role": "person", "author": talked.owner, "parts": parts, "settled": True}
        above = Message(chat=talked.chat, parent=above, depth=talked.milk_answer.depth + number, **fields)
        more.append(above)
    Message.objects.bulk_create(more, batch_size=90)
    for name, one in (("Begun", talked.tea), ("Ended", more[-1]), ("Elsewhere", talked.sugar)):
        steps.flag(talked.chat, talked.owner, one, name, "")
    made = Chat.objects.get(pk=post(client, talked.chat, "fork/", message=more[-1].pk).headers["Location"][3:-1])
    flags = Checkpoint.objects.filter(chat=made).values_list("name", "message__origin", "message__chat")
    assert set(flags) == {("Begun", talked.tea.pk, made.pk), ("Ended", more[-1].pk, made.pk)}


def test_too_much_to_copy_at_once_is_refused(client: Client, talked: Talked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "MOST", 3)
    for address in ("merge/", "fork/"):
        answer = talked.turn(talked.sugar_answer, "honey")[1]
        data = {"whole": "1", "into": talked.milk_answer.pk} if address == "merge/" else {}
        post(client, talked.chat, address, message=answer.pk, **data)
        assert "has over 3 messages" in page(client, talked.chat)
    assert not Message.objects.filter(origin__isnull=False).exists()


def test_somebody_else_gets_a_copy_as_a_starting_point(client: Client, talked: Talked, charlie: Person) -> None:
    post(client, talked.chat, "fork/", message=talked.milk_answer.pk, person="Charlie")
    made = Chat.objects.get(owner=charlie)
    assert "charlie has a copy of this branch." in page(client, talked.chat)
    theirs = Client()
    theirs.force_login(charlie)
    shown = theirs.get(f"/c/{made.pk}/").content.decode()
    assert "alice made this copy for you" in shown and "of a chat that you can’t read" in shown
    assert thread(theirs, made) == ["tea", "milk"]
    assert client.get(f"/c/{made.pk}/").status_code == 404, "it is theirs alone"
    post(client, talked.chat, "fork/", message=talked.milk_answer.pk, person="nobody")
    assert "Nobody who may chat here is named “nobody”." in page(client, talked.chat)
    undo = f"/steps/{Step.objects.latest('id').pk}/undo/"
    assert undo not in page(client, talked.chat, "?show=steps"), "nobody is offered what is not theirs to undo"
    undo_last(client, talked.chat)
    assert Chat.objects.get(pk=made.pk).deleted is None
    post(client, talked.chat, "fork/", message=talked.milk_answer.pk)
    own = f"/steps/{Step.objects.latest('id').pk}/undo/"
    assert own in page(client, talked.chat, "?show=steps")


def test_branches_and_checkpoints_are_held_against_each_other(client: Client, talked: Talked) -> None:
    shown = page(client, talked.chat, f"?a={talked.sugar_answer.pk}&b={talked.milk_answer.pk}")
    assert "<del>sugar</del><ins>milk</ins>" in shown and "Why milk?</ins>" not in shown
    branches = page(client, talked.chat, f"?a={talked.sugar_answer.pk}&b={talked.milk_answer.pk}&of=branches")
    assert "The first 2 messages are the same." in branches and branches.count("<ins>milk</ins>") == 2
    assert '<span class="changed">fast</span>' in branches and "$0.5" in branches
    flags = [steps.flag(talked.chat, talked.owner, one, "A", "") for one in (talked.tea_answer, talked.milk_answer)]
    between = page(client, talked.chat, f"?a=flag-{flags[0].pk}&b=flag-{flags[1].pk}&of=branches&view=side")
    assert "<ins>Why milk?</ins>" in between and between.count("Not there.") == 2
    for wrong in (f"?a=flag-{flags[0].pk}&b=flag-9999", f"?a={talked.tea.pk}", f"?a={talked.tea.pk}&b={uuid4()}"):
        assert client.get(f"/c/{talked.chat.pk}/history/{wrong}").status_code == 404
    Run.objects.filter(pk=talked.milk_answer.run_id).update(withheld=True)
    address = f"/c/{talked.chat.pk}/history/?a={talked.sugar_answer.pk}&b={talked.milk_answer.pk}"
    assert client.get(address).status_code == 404, "a blind lane stays blind"


def test_turns_that_ask_the_same_are_held_against_each_other_and_say_what_made_them(
    client: Client, talked: Talked
) -> None:
    """One more turn between them misaligns nothing."""
    _, extra = talked.turn(talked.sugar_answer, "honey")
    _, old = talked.turn(extra, "bread", model="deep")
    _, new = talked.turn(talked.milk_answer, "bread")
    shown = page(client, talked.chat, f"?a={old.pk}&b={new.pk}&of=branches")
    assert "Because of bread.</p>" in shown and "<ins>Because of bread.</ins>" not in shown
    assert "<del>Why honey?</del>" in shown and "<del>sugar</del><ins>milk</ins>" in shown
    assert shown.count("<summary>Made otherwise: model</summary>") == 2, "of bread, and of milk beside sugar"


def test_the_story_tells_each_step_and_undoes_what_was_asked(client: Client, talked: Talked, bob: Person) -> None:
    post(client, talked.chat, "place/", message=talked.sugar.pk)
    post(client, talked.chat, "place/", message=talked.milk.pk)
    story = page(client, talked.chat, "?show=steps")
    told = ["went to another branch", "edited a question", "asked", "began the chat"]
    assert [story.index(one) for one in told] == sorted(story.index(one) for one in told)
    assert story.count("went to another branch") == 1, "going on and on is one step"
    theirs = Client()
    theirs.force_login(bob)
    assert "went to another branch" not in page(theirs, talked.chat, "?show=steps")
    step = Step.objects.get()
    assert post(theirs, talked.chat, f"steps/{step.pk}/undo/").status_code == 403
    assert Place.objects.get(person=talked.owner).tip_id == talked.milk_answer.pk
    undo_last(client, talked.chat)
    assert Place.objects.get(person=talked.owner).tip_id == talked.milk_answer.pk, "where they stood at first"


def test_a_map_is_drawn_while_somebody_asks(
    client: Client, talked: Talked, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks where a person stands finds, at that very moment, one message more."""
    really = tree.place_of

    def place_of(chat: Chat, person: Person) -> Message | None:
        _, answer = talked.turn(talked.milk_answer, f"cream {Message.objects.count()}")
        tree.stand(chat, person, answer)
        return really(chat, person)

    monkeypatch.setattr(tree, "place_of", place_of)
    for show in ("all", "branches", "mine", "steps"):
        assert "Why cream" in page(client, talked.chat, f"?show={show}")


def test_readers_look_and_fork_and_change_nothing(talked: Talked) -> None:
    reader = Person.objects.create_user("reader", role=Role.MEMBER)
    talked.chat.shares.create(person=reader, may_write=False)
    theirs = Client()
    theirs.force_login(reader)
    assert "What can be done here" in page(theirs, talked.chat) and 'value="prune"' not in page(theirs, talked.chat)
    for address in ("branch/", "merge/"):
        assert post(theirs, talked.chat, address, message=talked.milk.pk, do="prune").status_code == 403
    assert post(theirs, talked.chat, "fork/", message=talked.milk_answer.pk).status_code == 302
    assert thread(theirs, Chat.objects.get(owner=reader)) == ["tea", "milk"]


def test_a_long_thread_shows_a_window_and_the_rest_on_demand(client: Client, talked: Talked) -> None:
    above = talked.milk_answer
    for number in range(30):
        above = talked.turn(above, f"thing {number}")[1]
    tree.stand(talked.chat, talked.owner, above)
    shown = client.get(f"/c/{talked.chat.pk}/").content.decode()
    assert shown.count('" id="m-') == tree.PAGE and "Earlier messages" in shown and "Why thing 29?" in shown
    first = _first(shown)
    more = client.get(f"/c/{talked.chat.pk}/messages/?before={first}").content.decode()
    assert more.count('" id="m-') == tree.MORE and f'id="m-{first}"' not in more
    top = client.get(f"/c/{talked.chat.pk}/messages/?before={_first(more)}").content.decode()
    assert "Why tea?" in top and "Earlier messages" not in top
    middle = client.get(f"/c/{talked.chat.pk}/?at={talked.milk.pk}").content.decode()
    assert "Why milk?" in middle and "Later messages" in middle and f'data-tip="{above.pk}"' in middle
    kept = post(client, talked.chat, "place/", since=_first(more)).content.decode()
    assert kept.count('" id="m-') == tree.PAGE + tree.MORE, "drawn again, a page keeps what it had"


def _first(html: str) -> UUID:
    return UUID(html.partition('" id="m-')[2][:36])


def test_asking_in_a_long_chat_costs_the_same_few_queries(talked: Talked, django_assert_max_num_queries: Any) -> None:
    above = talked.milk_answer
    for number in range(30):
        above = talked.turn(above, f"thing {number}")[1]
    above = talked.turn(above, "grounds", evidence=[{"number": 1}])[1]
    question = talked.add(above, "And now?")
    with django_assert_max_num_queries(2):
        request = requests.request_for(talked.owner, talked.chat, question, model="")
    assert len(request.messages) == 67 and request.messages[-1].parts[0].text == "And now?"
    assert [told.grounded for told in tree.said(question, 3)] == [False, True, False]
