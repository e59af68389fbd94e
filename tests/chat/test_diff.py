"""Two messages beside each other: every word of both, and only what differs of what made them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from django.test import Client
from hypothesis import given
from hypothesis import strategies as st

from chat import diff
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
    assert diff.manifests(old, new) == [diff.Difference("temperature", "0.2", "0.7")]
    assert diff.manifests(old, old) == []


@pytest.mark.django_db
def test_the_page_shows_both_and_withholds_a_blind_lane(client: Client, alice: Person) -> None:
    chat = Chat.objects.create(owner=alice)
    question = Message.objects.create(chat=chat, role="person", author=alice, settled=True)
    made = [
        Message.objects.create(
            chat=chat, parent=question, role="model", depth=1, settled=True,
            run=Run.objects.create(person=alice, state="done", text=text, manifest={"model": model}),
        )
        for text, model in (("The hut is red.", "fast"), ("The hut is blue.", "deep"))
    ]  # fmt: skip
    client.force_login(alice)
    address = f"/c/{chat.pk}/diff/?a={made[0].pk}&b={made[1].pk}"
    page = client.get(address).content.decode()
    assert "<del>red</del><ins>blue</ins>" in page and "<td>fast</td><td>deep</td>" in page
    frozen.lift()
    Run.objects.filter(pk=made[0].run_id).update(text=CODE)
    Run.objects.filter(pk=made[1].run_id).update(
        text=CODE.replace("    return width * height\n", "    pass\n    <b>\n")
    )
    page = client.get(address).content.decode()
    lines = '<del class="lined">    return width * height\n</del><ins class="lined">    pass\n    &lt;b&gt;\n</ins>'
    history = client.get(f"/c/{chat.pk}/history/?a={made[0].pk}&b={made[1].pk}").content.decode()
    assert lines in page and lines in history
    for missing in (f"/c/{chat.pk}/diff/", f"/c/{chat.pk}/diff/?a={made[0].pk}&b={uuid4()}", f"{address}x"):
        assert client.get(missing).status_code == 404
    Run.objects.filter(pk=made[1].run_id).update(withheld=True)
    assert client.get(address).status_code == 404
