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


def packed(files: dict[str, Any], *, deflated: bool = True) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED) as archive:
        for name, value in files.items():
            archive.writestr(name, value if isinstance(value, bytes) else json.dumps(value))
    return out.getvalue()


def told(data: bytes) -> tuple[list[str], tuple[str, ...]]:
    """The titles of the chats of a file, and what was left out, by the process that the page asks."""
    with conversations(io.BytesIO(data), MOST) as found:
        return [one.title for one in found.chats], found.left_out


def called(title: str, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "title": title}


def test_an_archive_as_it_is_downloaded() -> None:
    data = packed({"user.json": {}, "export/conversations.json": samples.chatgpt()})
    with conversations(io.BytesIO(data), MOST) as found:
        [one] = found.chats
        assert one.title == "Tea" and len(one.nodes) == 7 and one.nodes[0].created
        assert found.left_out == ("user.json",)


def test_an_archive_in_parts_comes_in_whole_and_says_what_it_left() -> None:
    [tea] = samples.chatgpt()
    files = {
        "export_manifest.json": {"export_files": []},
        "conversations-000.json": [called("First", tea), called("Second", tea)],
        "conversations-001.json": [called("Third", tea)],
        "conversation_asset_file_names.json": {"file-a.dat": "a.png"},
        "chat.html": b"<html>",
        "__MACOSX/._conversations-000.json": b"not JSON",
    }
    titles, left_out = told(packed(files))
    assert titles == ["First", "Second", "Third"]
    assert left_out == ("export_manifest.json", "conversation_asset_file_names.json", "chat.html")
    broken = packed({**files, "conversations-001.json": b"[{"})
    with pytest.raises(Unreadable, match=r"^conversations-001.json: The file is not JSON"):
        parse(broken, MOST)


def test_an_archive_of_several_files_takes_each_that_it_knows() -> None:
    chat = samples.librechat()
    many = {f"assets/{number}.png": b"" for number in range(20)}
    files = {"a.json": called("One", chat), "notes.json": {"no": "chat"}, "b.json": called("Two", chat), **many}
    titles, left_out = told(packed(files))
    assert titles == ["One", "Two"]
    assert left_out[:2] == ("notes.json", "0.png") and left_out[-1] == "13 more files"
    for nothing, words in (({"notes.json": {"no": "chat"}}, "no export that is known"), ({"a.txt": b""}, "no file of")):
        with pytest.raises(Unreadable, match=words):
            parse(packed(nothing), MOST)


def test_the_limit_is_one_for_all_files_of_an_archive() -> None:
    spread = packed({f"conversations-{number}.json": b" " * (MOST * 2) for number in range(3)})
    with pytest.raises(Unreadable, match="not JSON"):  # the first alone is within it
        parse(spread, MOST)
    blank = {f"conversations-{number}.json": [{"mapping": {}, "pad": "x" * (MOST * 2)}] for number in range(3)}
    with pytest.raises(Unreadable, match="unfolds to more"):
        parse(packed(blank), MOST)


def torn() -> bytes:
    data = bytearray(packed({"conversations.json": samples.chatgpt()}))
    data[200:230] = bytes(30)
    return bytes(data)


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
    return packed({"conversations.json": b" " * (MOST * 5)})


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
        (torn(), "can't be opened"),
        (bomb(), "unfolds to more than can be read"),
        (b" " * (MOST + 1), "over 10 MB"),
        (b"\xff\xfe\x00", "not JSON"),
    ],
    ids=["circle", "orphan", "cut off", "empty", "nothing", "unknown", "no message", "deep", "no archive", "torn",
         "bomb",
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
