"""What goes wrong on the wire and at the provider.

Each row ends in clear words, a stored state and a next question that works.
"""

from __future__ import annotations

import json
import uuid

import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.talk import Talk, rows
from tests.serving import Served

pytestmark = pytest.mark.timeout(120)

STRANGE = str(uuid.uuid4())
CLIENT = str(uuid.uuid4())

FRAMES = {
    "empty": ({"type": "send", "client_id": CLIENT, "text": "  \n "}, "The message is empty."),
    "one megabyte": ({"type": "send", "client_id": CLIENT, "text": "x" * 1_000_000}, "1,000,000 characters"),
    "a null character": ({"type": "send", "client_id": CLIENT, "text": "a\x00b"}, "null character"),
    "half a surrogate": ('{"type": "send", "client_id": "' + CLIENT + '", "text": "\\ud800"}', ""),
    "not JSON": ("hello", "not JSON"),
    "a list": ("[]", "not JSON"),
    "bytes": (b"\xff\xfe", "not text"),
    "no type": ({}, "not something the server does"),
    "unknown frame": ({"type": "dance"}, "not something the server does"),
    "no id": ({"type": "send", "text": "hello"}, "client_id"),
    "wrong parent": (
        {"type": "send", "client_id": CLIENT, "text": "hello", "chat": STRANGE, "parent": STRANGE},
        "not here",
    ),
    "parent without a chat": ({"type": "send", "client_id": CLIENT, "text": "hello", "parent": STRANGE}, "in no chat"),
    "a chat that is not": ({"type": "open", "chat": STRANGE}, "not here"),
    "stop of nothing": ({"type": "stop", "chat": STRANGE, "message": STRANGE}, "not here"),
    "retry of nothing": ({"type": "retry", "client_id": CLIENT, "chat": STRANGE, "message": STRANGE}, "not here"),
    "a blob that is not": ({"type": "send", "client_id": CLIENT, "text": "hello", "blobs": ["0" * 64]}, "image"),
}

# model -> words of the failure, text that stays, the run's state
PROVIDERS = {
    "err401": ("refused the key", "", "failed"),
    "err429": ("takes no more requests", "", "failed"),
    "err500": ("The provider failed", "", "failed"),
    "html502": ("The provider failed", "", "failed"),
    "hang": ("did not answer in time", "", "failed"),
    "cut0": ("connection broke", "", "failed"),
    "cut": ("connection broke", "part1 part2", "failed"),
    "hang10": ("did not answer in time", "part10", "failed"),
    "garbage": ("can't be read", "one two three", "failed"),
}


@pytest.mark.parametrize("case", FRAMES)
def test_a_bad_frame_is_refused_in_words_and_the_next_works(served: Served, keys: list[str], case: str) -> None:
    frame, words = FRAMES[case]
    with Talk(served, keys.pop()) as talk:
        talk.raw(frame if isinstance(frame, str | bytes) else json.dumps(frame))
        refused = talk.until("refused")
        assert words in refused["cause"]
        assert refused["action"]
        expect_next_works(talk)


def test_invalid_utf8_in_a_text_frame_closes_that_socket_alone(served: Served, keys: list[str]) -> None:
    key = keys.pop()
    with Talk(served, key) as talk:
        talk.raw(b"\xff\xfe", text=True)
        with pytest.raises(ConnectionClosed):
            talk.until("refused")
    with Talk(served, key) as talk:
        expect_next_works(talk)


def test_somebody_elses_chat_is_as_absent_as_none(served: Served, keys: list[str]) -> None:
    with Talk(served, keys.pop()) as alice, Talk(served, keys.pop()) as charlie:
        alice.ask("A secret", model="echo")
        started = alice.until("started")
        alice.until("settled")
        charlie.send("open", chat=started["chat"])
        theirs = charlie.until("refused")
        charlie.send("open", chat=STRANGE)
        assert charlie.until("refused") == theirs
        for frame in (
            {"type": "retry", "client_id": CLIENT, "chat": started["chat"], "message": started["answer"]},
            {"type": "stop", "chat": started["chat"], "message": started["answer"]},
            {"type": "continue", "chat": started["chat"], "message": started["answer"]},
            {"type": "send", "client_id": CLIENT, "chat": started["chat"], "parent": started["answer"], "text": "x"},
        ):
            charlie.raw(json.dumps(frame))
            assert charlie.until("refused")["code"] == theirs["code"], frame["type"]


def test_a_model_that_is_gone_is_named(served: Served, keys: list[str]) -> None:
    with Talk(served, keys.pop()) as talk:
        talk.ask("hello", model="retired")
        told = talk.until("refused", "settled")
        assert "retired" in json.dumps(told)
        expect_next_works(talk)


@pytest.mark.parametrize("model", PROVIDERS)
def test_a_provider_that_fails_leaves_words_a_state_and_a_way_on(served: Served, keys: list[str], model: str) -> None:
    words, text, state = PROVIDERS[model]
    with Talk(served, keys.pop()) as talk:
        talk.ask("hello", model=model)
        settled = talk.until("settled")
        [(stored, kept, failure)] = rows(
            served, "SELECT state, text, failure FROM router_run WHERE id = ?", key_of(served, settled["run"])
        )
        assert (stored, settled["state"]) == (state, state)
        assert text in kept
        failure = failure if isinstance(failure, dict) else json.loads(failure)
        cause, action = failure["cause"], failure["action"]
        assert words in cause
        assert action
        assert action in settled["html"].replace("&#x27;", "'")
        expect_next_works(talk)


def key_of(served: Served, id: str) -> object:
    """An id as the database keeps it."""
    return uuid.UUID(id) if served.database else uuid.UUID(id).hex


def expect_next_works(talk: Talk) -> None:
    talk.ask("still there", model="echo")
    settled = talk.until("settled", "refused")
    assert settled["type"] == "settled", settled
    assert settled["state"] == "done"
    assert "still there" in settled["html"]
