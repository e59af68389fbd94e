"""Two messages beside each other: every word of both, and whatever differs of what made them."""

from __future__ import annotations

import random
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from chat import diff, made
from chat.models import Chat, Message
from workspace.accounts.models import Person
from workspace.router import frozen
from workspace.router.models import Run

TEXTS = st.text(st.sampled_from("ab .\n\r\t|-~\u2028"), max_size=60) | st.lists(
    st.sampled_from(["```\n", "~~~", "a | b\n", "--|--\n", "    c\n", "> ```", "\n", "words here\n", "\r"]), max_size=12
).map("".join)


@given(TEXTS, TEXTS)
def test_the_pieces_are_both_texts(old: str, new: str) -> None:
    pieces = diff.words(old, new)
    assert "".join(p.text for p in pieces if p.kind != "added") == old
    assert "".join(p.text for p in pieces if p.kind != "removed") == new


def test_a_changed_word_is_one_piece_each_way() -> None:
    pieces = [(p.kind, p.text) for p in diff.words("The hut is red.", "The hut is blue.")]
    assert pieces == [("same", "The hut is "), ("removed", "red"), ("added", "blue"), ("same", ".")]


CODE = """First this:

```python
def area(width, height):
    return width * height
```

Then that.
"""


def test_code_is_told_by_lines_and_keeps_its_own() -> None:
    """What became of two lines is not one line of both."""
    new = CODE.replace("area(width, height)", "area(side)").replace("width * height", "side**2").replace("that", "this")
    pieces = [(p.kind, p.text, p.lined) for p in diff.words(CODE, new)]
    assert pieces == [
        ("same", "First this:\n\n", False),
        ("same", "```python\n", True),
        ("removed", "def area(width, height):\n    return width * height\n", True),
        ("added", "def area(side):\n    return side**2\n", True),
        ("same", "```\n", True),
        ("same", "\nThen ", False),
        ("removed", "that", False),
        ("added", "this", False),
        ("same", ".\n", False),
    ]


def test_one_line_that_became_another_is_told_by_its_words() -> None:
    old = "| Tea | Minutes |\n|---|---|\n| green | 2 |\n| black | 4 |\n"
    pieces = [(p.kind, p.text) for p in diff.words(old, old.replace("| 2 |", "| 3 |")) if p.kind != "same"]
    assert pieces == [("removed", "2"), ("added", "3")]
    assert all(p.lined for p in diff.words(old, old.replace("| 2 |", "| 3 |")))
    more = [(p.kind, p.text) for p in diff.words(old, f"{old}| white | 5 |\n") if p.kind != "same"]
    assert more == [("added", "| white | 5 |\n")]


def test_what_only_looks_like_code_is_words() -> None:
    assert [p.lined for p in diff.words("Either a|b or `c`.", "Either a|b or `d`.")] == [False] * 4


def test_of_what_made_them_only_what_differs_is_told() -> None:
    old = {"model": "a", "seed": 1, "parameters": {"temperature": 0.2}, "decision": {"configuration": 3, "route": "x"}}
    new = {**old, "parameters": {"temperature": 0.7}}
    assert made.differences(old, new) == [diff.Difference("temperature", "0.2", "0.7")]
    assert made.differences(old, old) == []


WHOLE: dict[str, Any] = {
    "version": 2,
    "model": "fast",
    "model_version": 3,
    "provider": "ours",
    "provider_version": 4,
    "upstream_model": "fast-1",
    "resolved_model": "fast-1-a",
    "asked": {"temperature": 0.2},
    "parameters": {"temperature": 0.2, "seed": 5},
    "prompt_template": "default",
    "prompt_template_version": 6,
    "variables": {"person": "alice"},
    "system": None,
    "system_digest": "d1",
    "conversation": {"messages": 3, "digest": "d2"},
    "collections": [{"name": "Kettles", "digest": "d3"}],
    "decision": {"configuration": 7, "route": "short", "chosen_by": "route"},
    "evidence": [{"digest": "d4", "number": 1}],
    "seed": 5,
    "finish_reason": "stop",
}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"model": "deep"}, "model"),
        ({"model_version": 9}, "model"),
        ({"provider_version": 9}, "model"),
        ({"resolved_model": "fast-1-b"}, "model"),
        ({"asked": {"temperature": 0.3}}, "temperature"),
        ({"asked": {}}, "temperature"),
        ({"parameters": {"temperature": 0.21, "seed": 5}}, "parameters as sent"),
        ({"prompt_template_version": 9}, "prompt template"),
        ({"system": "Be brief."}, "prompt template"),
        ({"variables": {"person": "bob"}}, "{person}"),
        ({"system_digest": "other"}, "system prompt as sent"),
        ({"conversation": {"messages": 3, "digest": "other"}}, "conversation"),
        ({"collections": []}, "collections"),
        ({"decision": {**WHOLE["decision"], "configuration": 9}}, "router version"),
        ({"decision": {**WHOLE["decision"], "route": "other"}}, "route"),
        ({"decision": {**WHOLE["decision"], "chosen_by": "person"}}, "chosen by"),
        ({"evidence": [{"digest": "other", "number": 1}]}, "evidence"),
        ({"seed": None}, "seed"),
        ({"finish_reason": "length"}, "finish reason"),
    ],
)
def test_whatever_makes_an_answer_is_compared_and_shown_as_two_things(changed: dict[str, Any], name: str) -> None:
    [one] = made.differences(WHOLE, {**WHOLE, **changed})
    assert one.name == name and one.old != one.new


def test_the_words_that_were_sent_follow_from_the_prompt() -> None:
    other = {**WHOLE, "evidence": [], "system_digest": "other", "seed": 6, "parameters": {"seed": 6, "top_k": 1}}
    assert [one.name for one in made.differences(WHOLE, other)] == ["evidence", "seed"]


@pytest.mark.timeout(10)
@pytest.mark.parametrize("between", [" ", "\n"])
@pytest.mark.parametrize("kinds", [2, 110, 100_000])
def test_long_texts_take_no_longer_than_a_page_may(kinds: int, between: str) -> None:
    chance = random.Random(7)
    old, new = (between.join(f"w{chance.randrange(kinds)}" for _ in range(20_000)) for _ in range(2))
    for left, right in ((old, new), (old, f"{old} {new}"), (old[:20_000], new[:20_000])):
        pieces = diff.words(left, right)
        assert "".join(p.text for p in pieces if p.kind != "added") == left
        assert "".join(p.text for p in pieces if p.kind != "removed") == right


def test_a_changed_word_is_found_in_a_long_text() -> None:
    old = " ".join(f"The {n}th hut is red." for n in range(500))
    pieces = diff.words(old, old.replace("The 250th hut is red", "The 250th hut is blue"))
    assert [p.text for p in pieces if p.kind != "same"] == ["red", "blue"] and 0.99 < diff.likeness(pieces) < 1


@pytest.mark.django_db
def test_the_page_shows_both_and_withholds_a_blind_lane(client: Client, alice: Person) -> None:
    chat = Chat.objects.create(owner=alice)
    question = Message.objects.create(chat=chat, role="person", author=alice, settled=True)
    answers = [
        Message.objects.create(
            chat=chat, parent=question, role="model", depth=1, settled=True,
            run=Run.objects.create(person=alice, state="done", text=text, manifest={"model": model}),
        )
        for text, model in (("The hut is red.", "fast"), ("The hut is blue.", "deep"))
    ]  # fmt: skip
    client.force_login(alice)
    address = f"/c/{chat.pk}/history/?a={answers[0].pk}&b={answers[1].pk}"
    page = client.get(address).content.decode()
    assert "<del>red</del><ins>blue</ins>" in page and "fast</td>" in page
    assert '<span class="changed">deep</span>' in page
    frozen.lift()
    Run.objects.filter(pk=answers[0].run_id).update(text=CODE)
    other = CODE.replace("    return width * height\n", "    pass\n    <b>\n")
    Run.objects.filter(pk=answers[1].run_id).update(text=other)
    lines = '<del class="lined">    return width * height\n</del><ins class="lined">    pass\n    &lt;b&gt;\n</ins>'
    assert lines in client.get(address).content.decode()
    for missing in (f"/c/{chat.pk}/history/?a={answers[0].pk}&b={uuid4()}", f"{address}x"):
        assert client.get(missing).status_code == 404
    Run.objects.filter(pk=answers[1].run_id).update(withheld=True)
    assert client.get(address).status_code == 404
