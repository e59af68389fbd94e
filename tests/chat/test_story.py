"""What an answer tells of the calls that made it: under it, when it changed hands, and on its page of reasons."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from chat.models import Chat
from chat.thread import Shown
from tests.chat.test_pages import answer, question
from workspace.accounts.models import Person

TEXT = "one two three four five six"


def attempt(model: str, offset: int, code: str = "", **fields: Any) -> dict[str, Any]:
    failure = {"code": code, "cause": f"It was {code}.", "action": ""} if code else None
    usage = {"input": 9, "output": 2, "estimated": bool(code)}
    times = {"started": 0.1, "ended": 0.2}
    return {"model": model, "offset": offset, "failure": failure, "usage": usage, "cost": "0.00123", **times, **fields}


TWO, FOUR = len("one two "), len("one two three four ")


@pytest.mark.parametrize(
    ("attempts", "told"),
    [
        ([attempt("a", 0)], []),
        ([attempt("a", 0, "timeout"), attempt("b", 0)], []),  # nobody had said a word
        ([attempt("a", 0, "cut_off"), attempt("a", TWO)], ["a broke off after 2 words; it went on."]),
        ([attempt("a", 0, "cut_off"), attempt("b", TWO)], ["a broke off after 2 words; b went on."]),
        (
            [attempt("a", 0, "cut_off"), attempt("a", TWO, "overloaded"), attempt("b", TWO)],
            ["a broke off after 2 words; b went on."],
        ),
        (
            [attempt("a", 0, "cut_off"), attempt("b", TWO, "cut_off"), attempt("c", FOUR)],
            ["a broke off after 2 words; b went on.", "b broke off after 4 words; c went on."],
        ),
        ([attempt("a", 0, "outrun"), attempt("b", 0)], []),
        ([attempt("a", TWO)], []),  # what was there before, another run had said
        ([attempt("a", 0, "cut_off"), attempt("a", len(TEXT), "overloaded")], []),  # nobody went on
    ],
)
def test_an_answer_that_changed_hands_says_so(alice: Person, attempts: list[dict[str, Any]], told: list[str]) -> None:
    asked = question(Chat.objects.create(owner=alice), "Count.")
    made = answer(asked, TEXT, manifest={"model": attempts[-1]["model"], "attempts": attempts})
    assert Shown(made).broke_off == told


def test_the_page_and_its_reasons_tell_every_call(client: Client, alice: Person) -> None:
    client.force_login(alice)
    chat = Chat.objects.create(owner=alice)
    attempts = [attempt("first", 0, "cut_off"), attempt("second", TWO)]
    made = answer(question(chat, "Count."), TEXT, manifest={"model": "second", "attempts": attempts, "usage": None})
    page = client.get(reverse("chat", args=[chat.pk])).text
    assert "first broke off after 2 words; second went on." in page
    why = client.get(reverse("run-why", args=[made.run_id])).text
    assert "It was cut_off." in why and "answered" in why
    assert "≈ 9, 2" in why and f'<td class="num">{TWO}</td>' in why and "$0.0012" in why


@pytest.mark.parametrize("state", ["stopped", "interrupted"])
def test_a_call_that_was_cut_short_did_not_answer(client: Client, alice: Person, state: str) -> None:
    client.force_login(alice)
    chat = Chat.objects.create(owner=alice)
    attempts = [attempt("first", 0, "timeout"), attempt("second", 0)]
    made = answer(question(chat, "Count."), TEXT, state=state, manifest={"model": "second", "attempts": attempts})
    why = client.get(reverse("run-why", args=[made.run_id])).text
    assert f"<td>{state}</td>" in why and "<td>answered</td>" not in why
