"""Our own format: what goes out comes in again as it was, byte for byte, and not when a byte was changed."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from chat import chain, record, requests, steps
from chat.compare.leaderboard import Wanted, leaderboard
from chat.exchange.incoming import bring_in
from chat.exchange.nodes import Unreadable
from chat.exchange.outgoing import file_of
from chat.exchange.reading import parse
from chat.models import (
    Attachment,
    Blob,
    Branch,
    Chat,
    Checkpoint,
    Comparison,
    Fusion,
    Imported,
    Lane,
    Message,
    MessageBlob,
    Thumb,
    Vote,
)  # fmt: skip
from workspace import blobs
from workspace.accounts.models import Person
from workspace.ids import new_id
from workspace.router.models import PromptTemplate, Run
from workspace.types import Evidence, Manifest, Request, Usage, canonical, sha256, text_part

pytestmark = pytest.mark.django_db
MOST = 10_000_000
BEGAN = datetime(2025, 5, 1, 12, 30, 0, 123456, UTC)


def grow(person: Person, texts: list[tuple[int, str]], *, title: str = "Tree", again: Person | None = None) -> Chat:
    """A chat of so many turns; each follows the answer with the number it names (modulo what there is), or none. Where
    a question is answered twice, the second time is for who asked ``again``."""
    chat = Chat.objects.create(owner=person, title=title)
    answers: list[Message] = []
    for at, (under, text) in enumerate(texts):
        parent = answers[under % (len(answers) + 1) - 1] if answers and under % (len(answers) + 1) else None
        question = say(chat, person, parent, text, at)
        for number in range(1 + under % 2):
            answers.append(answer(chat, again if again and number else person, question, f"{text} {number}", at))
    return chat


def say(chat: Chat, person: Person, parent: Message | None, text: str, at: int, **fields: Any) -> Message:
    parts = [record.plain_part(text_part(text))] if text else []
    message = Message.objects.create(
        **fields, id=new_id(), chat=chat, parent=parent, role="person", author=person if at % 3 else None,
        author_name="" if at % 3 else "somebody else", parts=parts, digest=sha256(canonical(parts)), settled=True,
        depth=parent.depth + 1 if parent else 0, created=BEGAN + timedelta(minutes=at), reasoning=at % 2 == 0,
        grounding={"documents": True} if at % 2 else {},
    )  # fmt: skip
    chain.settle(message.pk)
    message.refresh_from_db()
    return message


def answer(chat: Chat, person: Person, question: Message, text: str, at: int) -> Message:
    passage = Evidence(
        number=1, chunk_id="c", document_id="d", title="Tea", text="Leaves.", digest=sha256("Leaves."), score=0.5
    )
    state = ("done", "stopped", "failed", "interrupted")[at % 4]
    manifest = Manifest(
        model="plain", text_digest=sha256(text), evidence=(passage,) if at % 2 else (), seed=at,
        usage=Usage(input=3, output=4), parameters={"temperature": 0.3}, variables={"audience": "all"},
    ).as_dict()  # fmt: skip
    run = Run.objects.create(
        person=person, state=state, text=text, manifest=manifest, evidence=manifest["evidence"], reasoning="Hm.",
        tokens_input=3, tokens_output=4, cost="0.00001234", first_token_s=0.125, total_s=1.5,
    )  # fmt: skip
    parts = [record.plain_part(text_part(text))]
    message = Message.objects.create(
        chat=chat, parent=question, role="model", run=run, parts=parts, digest=sha256(canonical(parts)),
        depth=question.depth + 1, settled=state != "interrupted",
    )  # fmt: skip
    chain.settle(message.pk)
    message.refresh_from_db()
    return message


def cast(comparison: Comparison, person: Person, lane: Lane | None, **fields: Any) -> Vote:
    answers = comparison.lanes.select_related("answer")
    return Vote.objects.create(
        comparison=comparison, person=person, choice="best" if lane else "tie", lane=lane,
        digests={one.letter: one.answer.digest for one in answers}, **{"blind": False, **fields},
    )  # fmt: skip


def again(person: Person, data: bytes) -> Chat:
    [chat] = bring_in(person, parse(data, MOST), again=True).chats
    return Chat.objects.get(pk=chat.pk)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=40)
TURNS = st.lists(st.tuples(st.integers(0, 50), TEXT), max_size=8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TURNS)
def test_any_tree_goes_out_and_comes_in_as_it_was(alice: Person, turns: list[tuple[int, str]]) -> None:
    with transaction.atomic():
        chat = grow(alice, [(0, "First"), *turns])
        data = file_of(chat, alice)
        other = again(alice, data)
        assert file_of(other, alice) == data
        assert (other.title, other.created, other.pk != chat.pk) == (chat.title, chat.created, True)
        assert list(chain.verify()) == []
        transaction.set_rollback(True)


def test_what_points_at_messages_and_pictures_come_along(alice: Person, bob: Person) -> None:
    chat = grow(alice, [(1, "What is tea?"), (1, "And milk?")])
    question = chat.messages.filter(role="person").first()
    answers = list(chat.messages.filter(role="model", parent=question).order_by("pk"))
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), "teal").save(picture, "PNG")
    digest = blobs.keep(picture.getvalue())
    blob = Blob.objects.create(digest=digest, media_type="image/png", size=len(picture.getvalue()), width=3, height=2)
    parts = [{"kind": "image", "digest": digest, "media_type": "image/png", "width": 3, "height": 2}]
    shown = Message.objects.create(
        chat=chat, role="person", author=alice, parts=parts, digest=sha256(canonical(parts)), settled=True
    )
    chain.settle(shown.pk)
    MessageBlob.objects.create(message=shown, blob=blob)
    Checkpoint.objects.create(chat=chat, name="Agreed", note="By all", message=answers[0], author=alice)
    Branch.objects.create(chat=chat, name="main", start=answers[1], starred=True)
    copy = Message.objects.create(
        chat=chat, parent=answers[1], role="person", author=alice, parts=[], digest=sha256(canonical([])), settled=True,
        origin=question, depth=answers[1].depth + 1,
    )  # fmt: skip
    chain.settle(copy.pk)
    comparison = Comparison.objects.create(chat=chat, question=question, person=alice)
    made = Lane.objects.create
    lanes = [made(comparison=comparison, place=0, answer=a, replaced=a != answers[-1]) for a in answers]  # asked again
    cast(comparison, alice, lanes[1], reasons=["clearer"])
    cast(comparison, bob, None)
    Thumb.objects.create(lane=lanes[0], person=alice, up=False, reasons=["too long"], blind=False, created=BEGAN)
    Thumb.objects.create(lane=lanes[0], person=bob, up=True, blind=False)
    fusion = Fusion.objects.create(answer=chat.messages.filter(role="model").last(), instruction="Join them")
    fusion.lanes.set(lanes)

    data = file_of(chat, alice)
    other = again(bob, data)
    assert file_of(other, bob) == data, "though Bob brought it in"
    assert file_of(again(alice, data), alice) == data
    assert [(one.name, one.note) for one in other.checkpoints.all()] == [("Agreed", "By all")]
    assert (other.branches.get().name, other.branches.get().starred) == ("main", True)
    asked = other.comparisons.get().lanes.values_list("place", "replaced")
    assert list(asked) == [(0, True)] * (len(answers) - 1) + [(0, False)] and len(answers) == 2
    cast_there = other.comparisons.get().votes.order_by("pk")
    votes = [(one.person, one.person_name, one.choice, one.reasons) for one in cast_there]
    assert votes == [(None, "alice", "best", ["clearer"]), (None, "", "tie", [])], "whose Bob's is, Alice's file hides"
    assert [one.up for one in Thumb.objects.filter(lane__comparison__chat=other).order_by("pk")] == [False, True]
    assert Fusion.objects.get(answer__chat=other).lanes.count() == 2
    assert other.messages.filter(origin__chat=other).count() == 1
    assert Attachment.objects.filter(person=bob, blob=blob).exists()
    assert other.messages.get(attached__blob=blob).parts == parts
    authors = set(other.messages.filter(role="person").values_list("author", "author_name"))
    assert authors == {(None, "alice"), (None, "somebody else")}, "nobody's words become another person's"
    assert not Run.objects.filter(message__chat=other, imported=False).exists()


def lines_of(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def whole(lines: list[dict[str, Any]]) -> bytes:
    """With the digest of all lines made anew, as somebody would who knows the format."""
    body = b"".join(canonical(line) + b"\n" for line in lines[:-1])
    return body + canonical({"kind": "end", "digest": sha256(body)}) + b"\n"


def linked(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """And all links too."""
    links: dict[int, str] = {}
    for line in lines:
        if line["kind"] == "message":
            bare = {name: value for name, value in line.items() if name != "link"}
            above = links.get(line["parent"], "") if line["parent"] is not None else ""
            line["link"] = links[line["n"]] = sha256(above + "\n" + canonical(bare).decode())
    return lines


def test_a_file_that_was_changed_is_refused_whatever_was_changed(alice: Person) -> None:
    data = file_of(grow(alice, [(0, "First"), (1, "Second")]), alice)
    before = Chat.objects.count(), Run.objects.count()
    for position in range(0, len(data), 211):
        changed = data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :]
        with pytest.raises(Unreadable):
            bring_in(alice, parse(changed, MOST))
    for cut in (1, len(data) // 2, len(data) - 2):
        with pytest.raises(Unreadable):
            bring_in(alice, parse(data[:cut], MOST))
    assert (Chat.objects.count(), Run.objects.count()) == before


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("parent",), 3, "makes no sense"),
        (("parent",), 1, "makes no sense"),
        (("role",), "person", "makes no sense"),
        (("run", "state"), "running", "makes no sense"),
        (("run", "manifest", "attempts"), [{"offset": "x"}], "makes no sense"),
        (("run", "manifest", "model"), "other", "not what was exported"),
        (("run", "evidence"), [{"number": 1}], "makes no sense"),
        (("parts",), [{"kind": "script", "text": "x"}], "makes no sense"),
        (("parts",), [{"kind": "image", "digest": "0" * 64}], "not what was exported"),
        (("created",), "yesterday", "makes no sense"),
    ],
)
def test_a_file_that_was_forged_is_refused(alice: Person, where: tuple[str, ...], value: Any, words: str) -> None:
    lines = lines_of(file_of(grow(alice, [(0, "First")]), alice))
    assert parse(whole(linked(lines)), MOST), "the premise: made anew it is taken"
    target = lines[2]
    for name in where[:-1]:
        target = target[name]
    target[where[-1]] = value
    with pytest.raises(Unreadable) as refused:
        parse(whole(linked(lines)), MOST)
    assert words in refused.value.cause


def compared(alice: Person, bob: Person) -> list[dict[str, Any]]:
    """The lines of a chat with a comparison of two lanes, on which both have voted: the comparison is the last but
    one."""
    chat = grow(alice, [(1, "Which?")])
    answers = list(chat.messages.filter(role="model").order_by("pk"))
    comparison = Comparison.objects.create(chat=chat, question=answers[0].parent, person=alice)
    lanes = [
        Lane.objects.create(comparison=comparison, place=n, answer=one, asked={"model": "plain"})
        for n, one in enumerate(answers)
    ]
    cast(comparison, alice, lanes[0])
    cast(comparison, bob, None)
    return lines_of(file_of(chat, alice))


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("votes", 0, "digests"), {"A": "0" * 64, "B": "0" * 64}),
        (("votes", 0, "lane"), 0),
        (("votes", 0, "lane"), None),
        (("votes", 1, "lane"), 1),
        (("votes", 0, "choice"), "worst"),
        (("votes", 0, "reasons"), "clearer"),
        (("votes", 0, "created"), "yesterday"),
        (("votes", 1, "by"), "alice"),
        (("lanes", 0, "message"), 0),
        (("lanes", 0, "thumbs"), [{"up": True}]),
        (("lanes", 0, "asked"), {"parameters": {"temperature": "<b>"}}),
        (("lanes", 0, "asked"), {"person_id": "1"}),
        (("lanes", 0, "place"), 7),
        (("lanes", 1, "place"), 0),
        (("lanes", 1, "replaced"), True),
        (("lanes",), []),
        (("lanes",), "AB"),
        (("lanes",), [1, 2]),
    ],
)
def test_a_vote_that_was_forged_is_refused(alice: Person, bob: Person, where: tuple[Any, ...], value: Any) -> None:
    """Also where all digests of the file were made anew: it must be for what the lanes say."""
    lines = compared(alice, bob)
    assert parse(whole(lines), MOST), "the premise: made anew it is taken"
    target = lines[-2]
    for name in where[:-1]:
        target = target[name]
    target[where[-1]] = value
    with pytest.raises(Unreadable):
        parse(whole(lines), MOST)


def test_a_file_of_the_first_version_has_no_votes_and_is_taken(alice: Person, bob: Person) -> None:
    lines = compared(alice, bob)
    lines[0]["version"] = 1
    del lines[-2]["votes"]
    for lane in lines[-2]["lanes"]:
        del lane["thumbs"]
        lane["asked"] |= {"persona": 7, "configuration": 3}  # rows of where it came from
    chat = again(alice, whole(lines))
    assert chat.comparisons.get().votes.count() == 0
    assert {str(one.asked) for one in Lane.objects.filter(comparison__chat=chat)} == {"{'model': 'plain'}"}
    lines[0]["version"] = 4
    with pytest.raises(Unreadable, match="version"):
        parse(whole(lines), MOST)


def test_what_a_lane_was_given_is_named_and_names_nothing_here(alice: Person, bob: Person) -> None:
    persona = PromptTemplate.objects.create(name="teacher", title="Teacher")
    lines = compared(alice, bob)
    chat = again(alice, whole(lines))
    lane = Lane.objects.filter(comparison__chat=chat).first()
    assert lane
    Lane.objects.filter(pk=lane.pk).update(asked={"model": "plain", "system": "Be brief.", "persona": persona.pk})
    data = file_of(chat, alice)
    made = again(alice, data)
    assert file_of(made, alice) == data
    lane = Lane.objects.filter(comparison__chat=made).first()
    assert lane and lane.asked == {"model": "plain", "system": "Be brief.", "persona": "teacher"}
    request = requests.as_lane(Request(messages=()), lane)
    assert (request.model, request.system, request.persona) == ("plain", "Be brief.", None)


def test_votes_in_a_file_count_in_no_ranking(alice: Person, bob: Person) -> None:
    lines = compared(alice, bob)
    before = leaderboard(set(), Wanted(blind=False)).votes
    again(alice, whole(lines))
    assert (before, leaderboard(set(), Wanted(blind=False)).votes, Vote.objects.count()) == (2, 2, 4)


def test_nothing_is_half_imported(alice: Person) -> None:
    """The last chat of a file breaks while it is written."""
    found = parse(file_of(grow(alice, [(0, "One")]), alice) + file_of(grow(alice, [(0, "Two")]), alice), MOST)
    before = Chat.objects.count(), Message.objects.count(), Run.objects.count()

    def chats() -> Any:
        yield from found
        raise Unreadable("The disk is full.", "Make room.")

    with pytest.raises(Unreadable):
        bring_in(alice, chats(), again=True)
    assert (Chat.objects.count(), Message.objects.count(), Run.objects.count()) == before


def test_what_was_killed_is_out_of_sight_and_swept_away(alice: Person) -> None:
    chat = again(alice, file_of(grow(alice, [(0, "One")]), alice))
    Chat.objects.filter(pk=chat.pk).update(deleted=BEGAN)
    Imported.objects.filter(chat=chat).update(source="pendingOnepane", created=BEGAN)
    again(alice, file_of(grow(alice, [(0, "Two")]), alice))
    assert not Chat.objects.filter(pk=chat.pk).exists()


def test_the_same_file_again_brings_nothing_twice(alice: Person, bob: Person) -> None:
    data = file_of(grow(alice, [(0, "One")]), alice)
    first = bring_in(bob, parse(data, MOST))
    second = bring_in(bob, parse(data, MOST))
    assert (len(first.chats), len(second.chats), second.known) == (1, 0, 1)
    assert len(bring_in(alice, parse(data, MOST)).chats) == 1, "what Bob has, Alice may bring in too"


def test_what_a_blind_comparison_withholds_stays_here(alice: Person) -> None:
    chat = grow(alice, [(1, "Which?")])
    answers = list(chat.messages.filter(role="model").order_by("pk"))
    comparison = Comparison.objects.create(chat=chat, question=answers[0].parent, person=alice, blind=True)
    for place, one in enumerate(answers):
        Lane.objects.create(comparison=comparison, place=place, answer=one)
        Run.objects.filter(pk=one.run_id).update(withheld=True)
    lines = lines_of(file_of(chat, alice))
    assert [line["kind"] for line in lines] == ["onepane.chat", "message", "end"]


def test_who_said_what_is_told_of_people_that_are_not_here(alice: Person, bob: Person) -> None:
    chat = grow(bob, [(1, "What is tea?")])  # asked by somebody else
    last = Message.objects.filter(chat=chat).order_by("pk").last()
    Checkpoint.objects.create(chat=chat, message=last, name="Here", author=bob)
    copy = again(alice, file_of(chat, bob))
    client = Client()
    client.force_login(alice)
    question, retried = (
        copy.messages.filter(role="person").first(),
        copy.messages.filter(role="model").order_by("pk")[1],
    )
    assert (question.who, copy.checkpoints.get().who) == ("somebody else", "bob")
    page = client.get(f"/c/{copy.pk}/?at={question.pk}").content.decode()
    history = client.get(f"/c/{copy.pk}/history/?show=checkpoints&a={question.pk}&b={question.pk}").content.decode()
    assert 'class="by">somebody else<' in page and "somebody else" in history and "bob," in history
    story = client.get(f"/c/{copy.pk}/history/?show=steps").content.decode()
    told = [(one.who, one.what, one.about) for one in steps.story(copy, alice) if one.message == retried.pk]
    assert told == [("bob", "tried an answer again", "plain")]
    assert "alice" not in {one.who for one in steps.story(copy, alice)} and "somebody else" in story
