"""What other programs export becomes chats, with every branch; what is broken or hostile becomes a clear error."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from chat.exchange.nodes import Conversation, Unreadable
from chat.exchange.reading import conversations, parse
from tests.exchange import samples

MOST = 10_000_000


def read(value: Any) -> Conversation:
    [one] = parse(json.dumps(value).encode(), MOST)
    return one


def tree(one: Conversation) -> list[tuple[str, str]]:
    """Each message by the words above it and its own."""
    words = {node.id: node.text or "(none)" for node in one.nodes}
    return [(words.get(node.parent or "", ""), words[node.id]) for node in one.nodes]


def test_chatgpt_with_a_retry_thoughts_and_a_tool() -> None:
    one = read(samples.chatgpt())
    long = "A drink of leaves. Зелёный чай, 绿茶, شاي."
    assert (one.title, one.source) == ("Tea", "ChatGPT")
    assert tree(one) == [
        ("", "What is tea?"),
        ("What is tea?", "A drink."),
        ("What is tea?", long),
        (long, "(image, not in this file)\n\nAnd this?"),
        ("(image, not in this file)\n\nAnd this?", "A cup."),
        ("A cup.", "Thanks"),
        ("Thanks", "(none)"),
    ]
    answer = next(node for node in one.nodes if node.text == long)
    assert (answer.model, answer.reasoning) == ("gpt-5-2", "Tea comes from leaves.")
    assert answer.created and answer.created.timestamp() == samples.T + 4
    assert one.nodes[-1].failure, "a question that nobody answered can be tried again"


def test_claude_with_an_edited_question() -> None:
    one = read(samples.claude())
    assert tree(one) == [
        ("", "Name a river\n\n(map.pdf, not in this file)"),
        ("Name a river\n\n(map.pdf, not in this file)", "The Elbe."),
        ("", "Name two rivers"),
        ("Name two rivers", "The Elbe and the Oder."),
    ]
    assert one.nodes[-1].reasoning == "Short is best."
    older = samples.claude()
    for message in older[0]["chat_messages"]:
        del message["parent_message_uuid"]
    assert [above for above, _ in tree(read(older))][2:] == ["The Elbe.", "Name two rivers"]


def test_open_webui_with_two_models_beside_each_other() -> None:
    one = read(samples.open_webui())
    assert tree(one)[1:] == [("Why is the sky blue?", "Rayleigh."), ("Why is the sky blue?", "Scattering.")]
    assert [node.model for node in one.nodes] == ["", "llama3", "qwen3"] and one.current == "2"
    assert read(samples.open_webui()[0]["chat"]).title == "Sky"


def test_librechat_nested_and_flat() -> None:
    nested = samples.librechat()
    expected = [("", "What shall I bake?"), ("What shall I bake?", "Bread."), ("What shall I bake?", "Rye bread.")]
    assert tree(read(nested)) == expected
    [root] = nested["messages"]
    flat = {**nested, "recursive": False, "messages": [{**root, "children": []}, *root["children"]]}
    assert tree(read(flat)) == expected


def test_an_archive_as_it_is_downloaded() -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("export/conversations.json", json.dumps(samples.chatgpt()))
    packed.seek(0)
    [one] = conversations(packed, MOST)  # in the process of its own, as the page reads
    assert one.title == "Tea" and len(one.nodes) == 7 and one.nodes[0].created


def test_answers_that_follow_each_other_are_one_on_every_branch() -> None:
    def said(id: str, parent: str | None, role: str, content: str) -> dict[str, Any]:
        return {"id": id, "parentId": parent, "role": role, "content": content, "timestamp": samples.T}

    rows = [
        said("a0", None, "assistant", "Welcome."),
        said("q1", "a0", "user", "One"),
        said("q2", "q1", "user", "Two"),
        said("a1", "q2", "assistant", "First."),
        said("a2", "a1", "assistant", "Second."),
        said("q3", "a1", "user", "Three"),
        said("a3", "q3", "assistant", "Third."),
    ]
    one = read({"history": {"messages": {row["id"]: row for row in rows}, "currentId": "a2"}, "title": "Odd"})
    assert sorted(tree(one)) == sorted([
        ("", "(The file begins with an answer.)"),
        ("(The file begins with an answer.)", "Welcome."),
        ("Welcome.", "One"),
        ("One", "(none)"),
        ("(none)", "Two"),
        ("Two", "First."),
        ("Two", "First.\n\nSecond."),
        ("First.", "Three"),
        ("Three", "Third."),
    ])  # fmt: skip


def altered(change: Any) -> bytes:
    value = samples.chatgpt()
    change(value[0]["mapping"])
    return json.dumps(value).encode()


def a_circle(mapping: dict[str, Any]) -> None:
    mapping["sys"]["parent"] = "q3"


def an_orphan(mapping: dict[str, Any]) -> None:
    mapping["q2"]["parent"] = "nowhere"


def bomb() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", b" " * (MOST * 5))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (altered(a_circle), "in a circle"),
        (altered(an_orphan), "follows one that is not there"),
        (json.dumps(samples.chatgpt()).encode()[:-40], "not JSON: it breaks at line 1"),
        (b"", "not JSON"),
        (b"[]", "no export that is known"),
        (b'{"hello": "world"}', "no export that is known"),
        (b'[{"mapping": {}}]', "no message in the file"),
        (b"[" * 5_000, "nested too deep"),
        (b"PK\x03\x04 no archive", "can't be opened"),
        (bomb(), "unfolds to more than can be read"),
        (b" " * (MOST + 1), "over 10 MB"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
    ids=["circle", "orphan", "cut off", "empty", "nothing", "unknown", "no message", "deep", "no archive", "bomb",
         "too large", "bytes"],
)  # fmt: skip
def test_what_is_broken_or_hostile_says_so(data: bytes, words: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse(data, MOST)
    assert words in refused.value.cause and refused.value.action


def test_values_of_the_wrong_kind_are_passed_over() -> None:
    value = samples.chatgpt()
    mapping = value[0]["mapping"]
    parts = [None, 3, {"text": ["x"]}, "\ud800 kept\x00"]
    mapping["a1"]["message"]["content"] = {"content_type": "text", "parts": parts}
    mapping["a1"]["message"]["create_time"] = 10**30
    mapping["a3"]["message"]["metadata"] = "none"
    value[0]["title"] = None
    one = read(value)
    assert "? kept" in {node.text for node in one.nodes}
