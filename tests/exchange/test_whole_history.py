"""Steps, replays, a judge's marks and names travel with a chat, and nothing of them that was forged gets in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from chat import chain, copies, steps, tree
from chat.exchange import sense
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Unreadable
from chat.exchange.outgoing import file_of
from chat.exchange.reading import parse
from chat.models import Branch, Chat, Checkpoint, Message, Place, Replay, Replayed, Step
from chat.replay import making, plan
from chat.replay.plan import Change
from chat.steps import Told
from tests.exchange.test_lossless import MOST, again, answer, compared, grow, lines_of, linked, say, whole
from workspace.accounts.models import Person
from workspace.router import personas
from workspace.router.models import Judgement, PromptTemplate, PromptTemplateVersion, Run
from workspace.types import Manifest, sha256

pytestmark = pytest.mark.django_db
DATA = Path(__file__).parent / "data"


class Lived:
    """A chat of Alice's in which she and Bob have done something of every kind."""

    def __init__(self, alice: Person, bob: Person) -> None:
        self.alice, self.bob = alice, bob
        self.chat = grow(alice, [(1, "What is tea?"), (1, "And milk?")], again=bob)
        self.chat.shares.create(person=bob, may_write=True)
        self.questions = list(self.chat.messages.filter(role="person").order_by("pk"))
        self.answers = list(self.chat.messages.filter(role="model").select_related("run").order_by("pk"))
        first, second, third, _ = self.answers
        assert second.run and second.run.person == bob
        Judgement.objects.create(
            run=second.run, model="atlas-long", verdicts=[[0, 4, "weak"], [5, 7, "supported"]], cost="0.00002"
        )
        self.step(alice, steps.switch, first)
        self.step(alice, steps.name, first, "green")
        self.step(bob, steps.name, first, "black")
        self.step(bob, steps.switch, third)
        self.step(bob, steps.star, second)
        steps.undo(self.chat, bob, Step.objects.latest("id").pk)
        self.step(alice, steps.switch, second)
        self.step(alice, steps.prune, first)
        self.step(bob, steps.prune, third)
        self.step(bob, steps.restore, third)
        flag = steps.flag(self.chat, bob, second, "Agreed", "By all")
        self.step(alice, steps.change_flag, flag, name="Settled", note="Nearly")
        self.step(alice, steps.change_flag, flag, removed=True)
        copies.merge(self.chat, alice, third, second, whole=False)
        copies.fork(self.chat, alice, second, bob)
        self.version = self.template()
        self.replay = self.replayed()

    def step(self, who: Person, do: Any, *args: Any, **fields: Any) -> None:
        do(self.chat, who, *args, **fields)
        Step.objects.filter(kind="switched").update(created="2025-05-02T08:00:00Z")  # else the next would join it

    def template(self) -> PromptTemplateVersion:
        row = PromptTemplate.objects.create(name="teacher")
        return PromptTemplateVersion.objects.create(template=row, number=3, system="Teach.")

    def replayed(self) -> Replay:
        """Of three answers: one came out otherwise and was kept, one was refused, one was not begun."""
        replay = making.begin(self.bob, self.answers[:3], Change(what="template", value=self.version.pk))
        made = Manifest(model="plain", text_digest=sha256("What is tea? Anew."), prompt_template="teacher").as_dict()
        run = Run.objects.create(person=self.bob, state="done", text="What is tea? Anew.", manifest=made)
        one, two, _ = replay.answers.order_by("place")
        Replayed.objects.filter(pk=one.pk).update(run=run)
        Replayed.objects.filter(pk=two.pk).update(refused="No manifest.")
        one.refresh_from_db()
        making.keep(self.chat, self.bob, one)
        alone = making.begin(self.alice, self.answers[:1], Change())
        text = "What is green tea?"
        drifted = Run.objects.create(state="done", text=text, manifest=Manifest(text_digest=sha256(text)).as_dict())
        Replayed.objects.filter(replay=alone).update(run=drifted)
        return replay


@pytest.fixture
def lived(alice: Person, bob: Person) -> Lived:
    return Lived(alice, bob)


def signed_in(person: Person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def told(chat: Chat, person: Person) -> list[tuple[Any, ...]]:
    """The story; what a model here is called is the row's own affair."""
    lines: list[Told] = steps.story(chat, person)
    return [
        (one.when, one.who, one.what, "" if one.what == "tried an answer again" else one.about, one.undone)
        for one in lines
    ]


@pytest.mark.parametrize("name", ["alice", "bob", "charlie"])
def test_all_that_was_done_comes_along_and_goes_out_as_it_came(lived: Lived, charlie: Person, name: str) -> None:
    person = Person.objects.get(username=name)
    data = file_of(lived.chat, lived.alice)
    kinds = {line["did"] for line in lines_of(data) if line["kind"] == "step"}
    assert kinds == set(Step.Kind.values), "the premise: something of every kind"
    made = again(person, data)
    assert file_of(made, person) == data
    assert told(made, person) == told(lived.chat, lived.alice)
    assert {row[1] for row in told(made, person)} == {"alice", "bob", "somebody else"}
    assert not Step.objects.filter(chat=made, person__isnull=False).exclude(person=person).exists()
    assert [fault.what for fault in chain.verify()] == []
    page = signed_in(person).get(f"/c/{made.pk}/history/?show=steps").content.decode()
    for line in ("<b>bob</b> tried an answer again “plain”", "<b>alice</b> took away the checkpoint “Settled”"):
        assert line in page


def test_where_others_went_is_in_no_file_but_their_own(lived: Lived) -> None:
    for reader, other in ((lived.alice, lived.bob), (lived.bob, lived.alice)):
        lines = [line for line in lines_of(file_of(lived.chat, reader)) if line["kind"] == "step"]
        went = [line["by"] for line in lines if line["did"] == "switched" or "place" in line["before"]]
        assert set(went) == {reader.username} and other.username in {line["by"] for line in lines}


def test_what_came_in_is_undone_like_anything_else(lived: Lived) -> None:
    """By who brought it in, whose own it is: the newest first, down to where nothing was said of the chat."""
    made = again(lived.alice, file_of(lived.chat, lived.alice))
    for one in Step.objects.filter(chat=made).exclude(kind="forked").order_by("-id"):
        if one.kind == "switched" or one.undone:
            continue
        steps.undo(made, lived.alice, one.pk)
    assert set(Branch.objects.filter(chat=made).values_list("name", "starred")) == {("", False)}
    assert Checkpoint.objects.get(chat=made).removed and Checkpoint.objects.get(chat=made).name == "Agreed"
    added = set(Step.objects.filter(chat=made, kind__in=("merged", "kept")).values_list("message", flat=True))
    pruned = Message.objects.filter(branch__chat=made, branch__pruned=True).values_list("pk", flat=True)
    assert len(added) == 2 and set(pruned) == added, "what was brought in or kept, alone"
    went = Step.objects.filter(chat=made, kind="switched").latest("id")
    steps.undo(made, lived.alice, went.pk)
    assert str(Place.objects.get(chat=made, person=lived.alice).tip_id) == went.before["place"][0]


def test_what_can_not_be_undone_here_is_refused_in_words(lived: Lived, charlie: Person) -> None:
    made = again(charlie, file_of(lived.chat, lived.alice))
    client = signed_in(charlie)
    page = client.get(f"/c/{made.pk}/history/?show=steps").content.decode()
    for kind, words in (("switched", "theirs alone"), ("forked", "that copy did not")):
        one = Step.objects.filter(chat=made, kind=kind).latest("id")
        assert f"steps/{one.pk}/undo/" not in page, "no button that only refuses"
        response = client.post(f"/c/{made.pk}/steps/{one.pk}/undo/", follow=True)
        assert words in response.content.decode()
        assert not Step.objects.get(pk=one.pk).undone
    named = Step.objects.filter(chat=made, kind="named").latest("id")
    undo = f"/c/{made.pk}/steps/{named.pk}/undo/"
    assert undo in page and "Undo the newer step first." in client.post(undo, follow=True).content.decode()
    client.post(f"/c/{made.pk}/steps/{Step.objects.filter(chat=made, kind='pruned').earliest('id').pk}/undo/")
    client.post(undo)
    assert Branch.objects.get(chat=made, name="green").pruned is False


def test_a_report_of_a_replay_opens_where_it_came_in_and_nothing_is_made_again(lived: Lived, charlie: Person) -> None:
    before = set(making.waiting())
    assert before == {lived.replay.pk}, "the premise: one is going"
    made = again(charlie, file_of(lived.chat, lived.alice))
    client = signed_in(charlie)
    assert set(making.waiting()) == before, "nobody goes on with it here"
    first, second = Replay.objects.filter(chat=made).order_by("pk")
    page = client.get(f"/c/{made.pk}/replays/{first.pk}/").content.decode()
    assert "prompt template: teacher v3" in page and "No manifest." in page and "1 of 3" in page
    assert "Stopped before its end." in page
    said = client.get(f"/c/{made.pk}/replays/{second.pk}/?json").json()
    assert [one["text"] for one in said["answers"]] == ["What is green tea?"] and said["change"] == "nothing"
    listed = client.get(f"/c/{made.pk}/replay/").content.decode()
    assert f"/c/{made.pk}/replays/{first.pk}/" in listed and "bob, template changed" in listed
    kept = made.messages.get(run__text="What is tea? Anew.")
    assert kept.run and kept.run.replayed.replay_id == first.pk and kept.run.imported
    PromptTemplateVersion.objects.all().delete()
    page = client.get(f"/c/{made.pk}/replays/{first.pk}/").content.decode()
    assert "prompt template: teacher v3" in page, "whatever rows there are here"


def test_an_answer_that_was_being_made_again_is_stopped_where_it_comes_in(lived: Lived, charlie: Person) -> None:
    """Also one that its replay was cut off in."""
    last = lived.replay.answers.get(place=2)
    for state in ("running", "interrupted"):
        Replayed.objects.filter(pk=last.pk).update(run=Run.objects.create(state=state, text="Half"))
        before = making.waiting()
        data = file_of(lived.chat, lived.alice)
        made = again(charlie, data)
        one = Replayed.objects.get(replay__chat=made, place=2)
        assert one.run and (one.run.state, one.replay.stopped is None) == ("interrupted", False)
        assert file_of(made, charlie) == data and making.waiting() == before


def test_a_judges_marks_show(lived: Lived, charlie: Person) -> None:
    made = again(charlie, file_of(lived.chat, lived.alice))
    one = Judgement.objects.get(run__message__chat=made)
    assert (one.model, one.verdicts[0], str(one.cost)) == ("atlas-long", [0, 4, "weak"], "0.00002000")
    tree.stand(made, charlie, one.run.message)
    page = signed_in(charlie).get(f"/c/{made.pk}/").content.decode()
    assert '<span class="weak"' in page and "supported by atlas-long" in page


def test_a_branch_takes_along_what_points_at_it_alone(lived: Lived, charlie: Person) -> None:
    path = tree.path(lived.chat, lived.answers[1])
    assert [one.pk for one in path] == [lived.questions[0].pk, lived.answers[1].pk]
    lines = lines_of(file_of(lived.chat, lived.alice, path))
    assert {line["message"] for line in lines if line["kind"] == "step"} == {1}
    went = [line for line in lines if line.get("did") == "switched"]
    assert went == [], "from where it led is not in the file"
    replays = [line for line in lines if line["kind"] == "replay"]
    assert [[one["message"] for one in line["answers"]] for line in replays] == [[1]]
    data = whole(lines)
    assert file_of(again(charlie, data), charlie) == data


def test_nobodys_words_become_nobody_elses(alice: Person, bob: Person) -> None:
    """Of people who are gone no name is kept."""
    chat = Chat.objects.create(owner=alice, title="Tea")
    answer(chat, alice, say(chat, alice, None, "Who asked?", 1), "Nobody.", 0)
    Message.objects.filter(chat=chat).update(author=None)
    Run.objects.filter(message__chat=chat).update(person=None)
    data = file_of(chat, alice)
    made = again(bob, data)
    assert file_of(made, bob) == data
    assert set(made.messages.values_list("author", "author_name", "run__person")) == {(None, "", None)}
    assert "Somebody" in signed_in(bob).get(f"/c/{made.pk}/").content.decode()


def test_names_of_others_are_shown(alice: Person, bob: Person) -> None:
    chat = Chat.objects.create(owner=alice, title="Tea")
    asked = say(chat, alice, None, "What is tea?", 1)
    steps.flag(chat, alice, answer(chat, alice, asked, "Leaves.", 0), "Agreed", "")
    made = again(bob, file_of(chat, alice))
    client = signed_in(bob)
    assert '<span class="by">alice</span>' in client.get(f"/c/{made.pk}/").content.decode()
    assert "<small>alice, " in client.get(f"/c/{made.pk}/history/?show=checkpoints").content.decode()
    assert "<small>alice · " in client.get(f"/c/{made.pk}/history/").content.decode()


def test_a_persona_that_is_not_offered_keeps_its_name(alice: Person, bob: Person) -> None:
    persona = personas.keep(alice, None, title="Teacher", about="", system="Teach.", variables={"audience": "all"})
    chat = Chat.objects.create(owner=alice, title="Tea")
    asked = say(chat, alice, None, "What is tea?", 1, persona=persona, variables={"audience": "bakers"})
    answer(chat, alice, asked, "Leaves.", 0)
    data = file_of(chat, alice)
    made = again(bob, data)
    asked = made.messages.get(role="person")
    assert (asked.persona, asked.persona_name, asked.variables) == (None, persona.name, {"audience": "bakers"})
    assert file_of(made, bob) == data
    client = signed_in(bob)
    assert f"Persona {persona.name}</span>" in client.get(f"/c/{made.pk}/").content.decode()
    tip = made.messages.filter(role="model").latest("id")
    assert copies.fork(made, bob, tip, bob).messages.get(role="person").persona_name == persona.name
    own = again(alice, data).messages.get(role="person")
    assert (own.persona, own.persona_name) == (persona, ""), "to whom it is offered, it is the persona again"


def test_the_newest_and_the_order_of_things_stay_what_they_were(alice: Person, bob: Person) -> None:
    """Though a file tells messages by their depth: here the last word was said high up."""
    chat = grow(alice, [(0, "One"), (1, "Two"), (1, "Three"), (0, "Four")])
    made = again(bob, file_of(chat, alice))
    words = [[one.parts for one in each.messages.order_by("pk")] for each in (chat, made)]
    assert words[0] == words[1] and [one["text"] for one in words[1][-1]] == ["Four 0"]


FORGED: list[tuple[str, tuple[Any, ...], Any]] = [
    ("named", ("message",), 99),
    ("named", ("message",), None),
    ("named", ("at",), 0),
    ("named", ("at",), 10**6),
    ("named", ("at",), -1),
    ("named", ("at",), True),
    ("named", ("did",), "burned"),
    ("named", ("did",), "flagged"),
    ("named", ("did",), "switched"),
    ("named", ("by",), 7),
    ("named", ("about",), None),
    ("named", ("created",), "yesterday"),
    ("named", ("undone",), "tomorrow"),
    ("named", ("before",), {}),
    ("named", ("before",), None),
    ("named", ("before", "branch", "start"), 99),
    ("named", ("before", "branch", "start"), 0),
    ("named", ("before", "branch", "name"), "x" * 81),
    ("named", ("before", "branch", "pruned"), "yes"),
    ("named", ("before", "branch"), None),
    ("named", ("before", "chat"), ["1", True]),
    ("named", ("after", "place"), {"message": 1, "exact": True}),
    ("named", ("extra",), 1),
    ("switched", ("before", "place"), None),
    ("switched", ("before", "place", "message"), 99),
    ("switched", ("before", "place", "exact"), 1),
    ("pruned", ("before", "place", "message"), -1),
    ("flagged", ("before", "checkpoint", "flag"), 1),
    ("flagged", ("before", "checkpoint", "id"), 1),
    ("flagged", ("before", "checkpoint", "note"), "x" * 2_001),
    ("forked", ("after",), {"place": {"message": 1, "exact": True}}),
    ("replay", ("by",), ["alice"]),
    ("replay", ("created",), None),
    ("replay", ("stopped",), None),
    ("replay", ("stopped",), "soon"),
    ("replay", ("change",), {}),
    ("replay", ("change", "what"), "everything"),
    ("replay", ("change", "value"), 3),
    ("replay", ("change",), {"what": "evidence", "value": "mine"}),
    ("replay", ("change",), {"what": "parameter", "value": "hot", "name": "temperature"}),
    ("replay", ("change",), {"what": "parameter", "value": 0.5}),
    ("replay", ("answers",), []),
    ("replay", ("answers",), [{"message": 1, "refused": "No."}] * (sense.MOST_AGAIN + 1)),
    ("replay", ("answers", 0, "message"), 0),
    ("replay", ("answers", 0, "message"), 99),
    ("replay", ("answers", 0, "answer"), 0),
    ("replay", ("answers", 0, "answer"), 99),
    ("replay", ("answers", 0, "answer"), 1),  # itself
    ("replay", ("answers", 0, "run"), {}),
    ("replay", ("answers", 1, "refused"), "x" * 301),
    ("replay", ("answers", 1, "run"), {"state": "done"}),
    ("checkpoint", ("name",), None),
    ("checkpoint", ("message",), 99),
    ("checkpoint", ("removed",), "yes"),
    ("origin", ("of",), 99),
]


@pytest.mark.parametrize(("which", "where", "value"), FORGED)
def test_a_step_or_a_replay_that_was_forged_is_refused_by_its_line(
    lived: Lived, which: str, where: tuple[Any, ...], value: Any
) -> None:
    lines = lines_of(file_of(lived.chat, lived.alice))
    assert parse(whole(lines), MOST), "the premise: made anew it is taken"
    number, line = next((n, line) for n, line in enumerate(lines, start=1) if which in (line.get("did"), line["kind"]))
    put(line, where, value)
    with pytest.raises(Unreadable, match=rf"line {number}\b|Line {number}\b"):
        parse(whole(lines), MOST)


def put(target: Any, where: tuple[Any, ...], value: Any) -> None:
    for name in where[:-1]:
        target = target[name]
    target[where[-1]] = value


def test_what_comes_of_itself_by_whatever_way_is_refused(lived: Lived) -> None:
    lines = lines_of(file_of(lived.chat, lived.alice))
    [first, *_] = [line for line in lines if line["kind"] == "origin"]
    back = {**first, "message": first["of"], "of": first["message"]}
    with pytest.raises(Unreadable, match="makes a circle"):
        parse(whole([*lines[:-1], back, lines[-1]]), MOST)
    with pytest.raises(Unreadable, match="what another line does"):
        parse(whole([*lines[:-1], first, lines[-1]]), MOST)
    [replay, *_] = [line for line in lines if line["kind"] == "replay"]
    one = replay["answers"][0]
    turned = {**replay, "answers": [{"message": one["answer"], "answer": one["message"]}]}
    with pytest.raises(Unreadable, match="makes a circle"):
        parse(whole([*lines[:-1], turned, lines[-1]]), MOST)


@pytest.mark.parametrize("kind", ["comparison", "fusion"])
def test_two_lines_of_one_thing_are_refused(alice: Person, bob: Person, kind: str) -> None:
    lines = compared(alice, bob)
    fusion = {"kind": "fusion", "message": 2, "instruction": "Join", "lanes": [1]}
    told = [*lines[:-1], fusion, lines[-1]]
    assert parse(whole(told), MOST), "the premise"
    one = next(line for line in told if line["kind"] == kind)
    with pytest.raises(Unreadable, match="what another line does"):
        parse(whole([*told[:-1], one, told[-1]]), MOST)
    del fusion["instruction"]
    with pytest.raises(Unreadable, match="a fusion, makes no sense"):
        parse(whole(told), MOST)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("persona",), ["teacher"]),
        (("variables",), {"audience": 3}),
        (("grounding",), {"attached": 5}),
        (("grounding",), {"attached": ["x"]}),
        (("grounding",), {"elsewhere": True}),
        (("run", "tokens_input"), -1),
        (("run", "tokens_output"), 2**31),
        (("run", "judged", "verdicts"), [[0, 400, "weak"]]),
        (("run", "judged", "verdicts"), [[3, 5, "weak"], [0, 4, "weak"]]),
        (("run", "judged", "verdicts"), [[0, 4, "<b>"]]),
        (("run", "judged", "verdicts"), [[0, 4]]),
        (("run", "judged", "created"), ""),
        (("run", "judged", "model"), None),
        (("run", "judged"), None),
    ],
)
def test_an_answer_that_was_forged_is_refused(lived: Lived, where: tuple[Any, ...], value: Any) -> None:
    lines = lines_of(file_of(lived.chat, lived.alice))
    line = next(line for line in lines if line["kind"] == "message" and "judged" in (line["run"] or {}))
    put(line, where, value)
    with pytest.raises(Unreadable, match=f"essage {line['n']} of the file makes no sense"):
        parse(whole(linked(lines)), MOST)


def test_a_forged_file_leaves_no_run_of_a_replay(lived: Lived, charlie: Person) -> None:
    """The chat before it is written already, replays and all."""
    found = parse(file_of(lived.chat, lived.alice), MOST)
    tables = (Chat, Message, Run, Step, Replay, Replayed, Judgement, Checkpoint)
    before = [table.objects.count() for table in tables]

    def chats() -> Any:
        yield from found
        raise Unreadable("The disk is full.", "Make room.")

    with pytest.raises(Unreadable):
        bring_in(charlie, chats(), again=True)
    assert [table.objects.count() for table in tables] == before


@pytest.mark.parametrize("version", [1, 2])
def test_a_file_that_an_older_version_wrote_is_taken(alice: Person, bob: Person, version: int) -> None:
    """As its bytes were written then."""
    data = (DATA / f"version{version}.jsonl").read_bytes()
    made = again(bob, data)
    assert (made.title, made.messages.count(), made.checkpoints.get().author_name) == ("Tea", 6, "alice")
    assert made.branches.get().name == "main" and made.comparisons.get().lanes.count() == 2
    assert made.comparisons.get().votes.count() == version - 1
    assert set(made.messages.filter(role="person").values_list("persona_name", flat=True)) == {"teacher"}
    assert [fault.what for fault in chain.verify()] == []
    now = file_of(made, bob)
    assert file_of(again(alice, now), alice) == now and json.loads(now.splitlines()[0])["version"] == 3
    lines = lines_of(data)
    step = {"kind": "step", "at": 6}
    with pytest.raises(Unreadable, match="a kind that is not known: step"):
        parse(whole([*lines[:-1], step, lines[-1]]), MOST)


def test_a_replay_in_a_file_has_as_many_answers_as_one_here() -> None:
    assert sense.MOST_AGAIN == plan.MOST
