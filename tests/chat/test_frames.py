"""A browser's frame becomes a value, or is refused with what to do next."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from chat.frames import Open, Refused, Send, Stop, parse
from workspace.wire import MAX_FRAME, MAX_TEXT

ID = "0193a6c2-7d8f-7000-8000-000000000001"
OTHER = "0193a6c2-7d8f-7000-8000-000000000002"


def send(**fields: object) -> str:
    return json.dumps({"type": "send", "client_id": ID, "text": "What is a branch?", **fields})


def test_a_question_is_parsed() -> None:
    frame = parse(send(chat=OTHER, model="fast-flash", documents=True, reasoning=True, text="  What is a branch?\n"))
    assert frame == Send(
        client_id=UUID(ID),
        chat=UUID(OTHER),
        text="What is a branch?",
        model="fast-flash",
        documents=True,
        reasoning=True,
    )


def test_what_was_seen_is_parsed_by_run() -> None:
    frame = parse(json.dumps({"type": "open", "chat": ID, "seen": {OTHER: 7}}))
    assert frame == Open(chat=UUID(ID), seen={UUID(OTHER): 7})


def test_stop_names_its_answer() -> None:
    assert parse(json.dumps({"type": "stop", "chat": ID, "message": OTHER})) == Stop(chat=UUID(ID), message=UUID(OTHER))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (send(text=""), "empty"),
        (send(text=" \n\t "), "empty"),
        (send(text="a" * (MAX_TEXT + 1)), "too_long"),
        ("x" * (MAX_FRAME + 1), "too_long"),
        (send(text="a\x00b"), "bad_text"),
        (f'{{"type":"send","client_id":"{ID}","text":"\\ud800"}}', "bad_frame"),
        (send(text=7), "bad_frame"),
        (send(client_id="no id"), "bad_frame"),
        (send(client_id=None), "bad_frame"),
        (send(documents="yes"), "bad_frame"),
        (send(reasoning=1), "bad_frame"),
        (send(blobs=["short"]), "bad_frame"),
        (send(blobs=["a" * 64] * 17), "bad_frame"),
        (send(parent=OTHER), "no_parent"),
        (b"\xff\xfe", "bad_frame"),
        ("", "bad_frame"),
        ("{", "bad_frame"),
        ("[]", "bad_frame"),
        ("null", "bad_frame"),
        ('{"type":"websocket.disconnect"}', "unknown_frame"),
        ('{"type":["send"]}', "unknown_frame"),
        (json.dumps({"type": "open", "chat": ID, "seen": {"x": 1}}), "bad_frame"),
        (json.dumps({"type": "open", "chat": ID, "seen": [1]}), "bad_frame"),
        ("[" * 5000, "bad_frame"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(data: str | bytes, code: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(data)
    failure = refused.value.failure
    assert failure.code == code
    assert failure.cause.endswith(".") and failure.action.endswith(".")


def test_a_refusal_names_the_question_so_that_the_composer_keeps_its_text() -> None:
    with pytest.raises(Refused) as refused:
        parse(send(text=""))
    assert refused.value.client_id == ID
