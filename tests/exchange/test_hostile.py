"""A file in our own format that somebody made by hand, digests and all: it is refused in words, or whatever page shows
it opens and nothing of it counts as altered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from chat import chain, tree
from chat.exchange import sense
from chat.exchange.nodes import Unreadable
from chat.exchange.outgoing import file_of
from chat.exchange.reading import parse
from chat.models import Chat, Comparison, Fusion, Lane, Message, Replay
from tests.exchange.test_lossless import MOST, again, cast, grow, lines_of, linked, whole
from tests.exchange.test_whole_history import Lived
from workspace.accounts.models import Person
from workspace.types import canonical, sha256

pytestmark = pytest.mark.django_db
WORDS = ["", " ", "0", "x" * 300, "1e400", "-5", "2025-05-01T12:30:00+00:00", "model", "person", "done", "tie", "é"]
WORDS += ["00000000-0000-0000-0000-000000000000", "../../etc", "\n\n# A\x07", "javascript:alert(1)", "<b>{{"]
PLAIN: list[Any] = [None, True, False, 0, 1, 2, 3, -1, 7, 2**31, 2**53, 2**63, 0.5, -1e300, *WORDS]
VALUES = st.sampled_from([*PLAIN, [], {}, *([one] for one in PLAIN), *({"name": one} for one in PLAIN), [[]], [{}]])
Path = tuple[Any, ...]
# What a manifest may tell besides.
MADE: dict[str, Any] = {
    "decision": {
        "model": "plain", "model_version": 1, "reason": "It is short.", "chosen_by": "route", "route": "short",
        "trace": [{"route": "short", "condition": "tokens < 9", "value": True}], "facts": {"tokens": 3},
        "fallbacks": ["other"], "dropped": [],
    },
    "attempts": [
        {"model": "plain", "model_version": 1, "started": 0.1, "ended": 1.5, "steps": ["Waited."], "cost": "0.1"}
    ],
    "collections": [{"id": str(UUID(int=7)), "name": "Town", "state": 1, "documents": 2, "digest": "d"}],
    "searched": [
        {"asked": "And milk?", "query": "Milk in tea?", "by": "plain"}, {"engine": "web", "query": "tea", "results": 2},
    ],
    "support": {"supported": 1, "weak": 0, "unsupported": 1}, "conversation": {"messages": 1, "digest": "d"},
    "uncited": 1, "asked": {"temperature": 0.3}, "versions": {"model": "d"},
}  # fmt: skip


@pytest.fixture
def everything(alice: Person, bob: Person) -> list[dict[str, Any]]:
    """The lines of a chat in which there is something of every kind, but for pictures."""
    lived = Lived(alice, bob)
    answers = list(lived.questions[0].children.filter(role="model").order_by("pk"))
    comparison = Comparison.objects.create(chat=lived.chat, question=lived.questions[0], person=alice)
    lanes = [
        Lane.objects.create(comparison=comparison, place=n, answer=one, asked={"model": "plain"})
        for n, one in enumerate(answers)
    ]
    lanes[0].thumbs.create(person=alice, up=True, blind=False, reasons=["clearer"])
    cast(comparison, alice, lanes[0])
    Fusion.objects.create(answer=lived.answers[2], instruction="Join them").lanes.set(lanes)
    lines = lines_of(file_of(lived.chat, alice))
    _sealed(next(line["run"] for line in lines if line.get("run")), **MADE)
    return linked(lines)


def _sealed(run: dict[str, Any], **fields: Any) -> None:
    plain = {**{name: value for name, value in run["manifest"].items() if name != "digest"}, **fields}
    run["manifest"] = {**plain, "digest": sha256(canonical(plain))}


def places(value: Any, above: Path = ()) -> Iterator[Path]:
    """Where there is a value in JSON, however deep."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*above, name)
        yield from places(one, (*above, name))


def forged(lines: list[dict[str, Any]], where: Path, change: Callable[[Any], None]) -> bytes:
    """The file with one value changed, and every digest over it made anew."""
    told = json.loads(json.dumps(lines))
    change(told)
    for line in told:
        if where[1:] != ("digest",) and isinstance(line.get("parts"), list):
            line["digest"] = sha256(canonical(line["parts"]))
        for run in (line.get("run"), *(one.get("run") for one in _dicts(line.get("answers")))):
            if isinstance(run, dict) and isinstance(manifest := run.get("manifest"), dict) and manifest:
                if where[-1] != "text_digest" and isinstance(run.get("text"), str):
                    manifest["text_digest"] = sha256(run["text"])
                if where[-2:] != ("manifest", "digest"):
                    manifest.pop("digest", None)
                    manifest["digest"] = sha256(canonical(manifest))
    try:
        told = linked(told)
    except (KeyError, TypeError):
        pass  # a message without a number or a parent hangs on nothing
    return whole(told)


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def put(where: Path, value: Any, *, remove: bool = False) -> Callable[[Any], None]:
    def change(told: Any) -> None:
        for name in where[:-1]:
            told = told[name]
        if remove:
            del told[where[-1]]
        else:
            told[where[-1]] = json.loads(json.dumps(value))  # digests may be put into it

    return change


def opened(chat: Chat, client: Client) -> None:
    """Every page that shows anything of the chat."""
    at = f"/c/{chat.pk}/"
    answers = list(Message.objects.filter(chat=chat, role="model").order_by("depth", "pk"))
    pages = [f"{at}history/?show=steps", f"{at}history/?show=checkpoints&a={answers[0].pk}&b={answers[1].pk}"]
    pages += [f"{at}export/{form}/?message={answers[-1].pk}" for form in ("jsonl", "html")]
    pages += [f"{at}replays/{one.pk}/" for one in Replay.objects.filter(chat=chat)]
    pages += [f"/runs/{one.run_id}/why/" for one in answers] + [f"/runs/{answers[0].run_id}/manifest.json"]
    for page in pages:
        assert client.get(page).status_code == 200, page
    for one in answers:
        if not one.children.exists():
            tree.stand(chat, chat.owner, one)
            assert client.get(at).status_code == 200, "wherever one stands"


def refused_or_opened(file: bytes, person: Person) -> None:
    with transaction.atomic():
        try:
            chat = again(person, file)
        except Unreadable:
            transaction.set_rollback(True)
            return
        client = Client()
        client.force_login(person)
        opened(chat, client)
        assert [fault.what for fault in chain.verify() if fault.chat == chat.pk] == []
        transaction.set_rollback(True)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.reuse, Phase.generate],
)  # fmt: skip
@given(data=st.data())
def test_what_was_forged_is_refused_or_opens_and_verifies(
    everything: list[dict[str, Any]], charlie: Person, data: st.DataObject
) -> None:
    where = data.draw(st.sampled_from([place for place in places(everything[:-1]) if len(place) > 1]))
    value = data.draw(VALUES)
    remove = data.draw(st.booleans()) and not isinstance(where[-1], int)

    refused_or_opened(forged(everything, where, put(where, value, remove=remove)), charlie)


@pytest.mark.parametrize("name", MADE["attempts"][0])
def test_a_call_that_lacks_anything_is_refused_or_opens(
    everything: list[dict[str, Any]], charlie: Person, name: str
) -> None:
    line = next(place for place, line in enumerate(everything) if line.get("run"))
    where = (line, "run", "manifest", "attempts", 0, name)
    refused_or_opened(forged(everything, where, put(where, None, remove=True)), charlie)


@pytest.fixture
def talk(alice: Person) -> list[dict[str, Any]]:
    """The lines of two questions, the second below the answer to the first, and two answers to the second."""
    lines = lines_of(file_of(grow(alice, [(0, "First"), (1, "Second")]), alice))
    assert [line.get("role") for line in lines[1:-1]] == ["person", "model", "person", "model", "model"]
    assert parse(forged(lines, ("", ""), lambda told: None), MOST), "the premise: made anew it is taken"
    return lines


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        ((2, "parent"), None, "Line 3 of the file follows no question"),
        ((3, "parent"), None, ""),
        ((3, "parent"), 0, "Line 4 of the file follows no answer"),
        ((4, "parent"), 1, "Line 5 of the file follows no question"),
        ((4, "parent"), 0, ""),
    ],
)
def test_questions_and_answers_take_turns(talk: list[dict[str, Any]], where: Path, value: Any, words: str) -> None:
    file = forged(talk, where, put(where, value))
    if words:
        with pytest.raises(Unreadable, match=words):
            parse(file, MOST)
    else:
        assert parse(file, MOST), "another tree, and a tree"


def test_a_message_is_no_longer_than_one_of_another_format(
    talk: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sense, "MOST_TEXT", len("Second 1") - 1)
    with pytest.raises(Unreadable, match="Line 5 of the file has over 7 characters"):
        parse(whole(talk), MOST)


def test_lanes_answer_the_question_of_their_comparison(everything: list[dict[str, Any]]) -> None:
    """Where one went on from elsewhere the same was asked there."""
    [comparison] = [n for n, line in enumerate(everything) if line["kind"] == "comparison"]
    others = [line["n"] for line in everything if line.get("role") and line["n"] != everything[comparison]["question"]]
    for number in others:
        where = (comparison, "question")
        with pytest.raises(Unreadable, match="makes no sense"):
            parse(forged(everything, where, put(where, number)), MOST)


UNFIT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no digest": lambda run: run["manifest"].pop("digest"),
    "another model": lambda run: run["manifest"].update(model="other"),
    "another text": lambda run: _sealed(run, text_digest=sha256("Third")),
    "no manifest": lambda run: run.update(manifest=None),
    "an empty manifest": lambda run: run.update(manifest={}),
    "other evidence": lambda run: run.update(evidence=[{**run["manifest"]["evidence"][0], "title": "Coffee"}]),
    "no evidence": lambda run: run.update(evidence=[]),
    "no words": lambda run: run.update(text=""),
    "words that its message has not": lambda run: (run.update(text="Third"), _sealed(run, text_digest=sha256("Third"))),
}


@pytest.mark.parametrize("what", UNFIT)
@pytest.mark.parametrize("of", ["a message", "a replay"])
def test_a_run_that_does_not_fit_its_manifest_is_refused(everything: list[dict[str, Any]], of: str, what: str) -> None:
    """Else ``verify_history`` would tell of it for ever."""
    runs = [line["run"] for line in everything if line.get("run") and line["run"]["state"] == "stopped"]
    run = next(run for run in runs if run["manifest"]["evidence"])
    if of == "a replay":
        run = json.loads(json.dumps(run))
        next(one for line in everything for one in line.get("answers", ()) if one.get("run"))["run"] = run
    assert parse(whole(linked(everything)), MOST), "the premise"
    UNFIT[what](run)
    if (of, what) == ("a replay", "words that its message has not"):
        assert parse(whole(linked(everything)), MOST), "it has no message"
    else:
        with pytest.raises(Unreadable, match="is not what was exported"):
            parse(whole(linked(everything)), MOST)
