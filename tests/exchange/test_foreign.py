"""What other programs export becomes chats, with every branch; what is broken or hostile becomes a clear error."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any

import pytest
from PIL import Image

from chat.exchange.nodes import Conversation, Unreadable
from chat.exchange.reading import conversations, parse
from tests.exchange import samples
from workspace.types import sha256

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
    used = next(node for node in one.nodes if node.text == "A cup.")
    assert used.reasoning == "python:\n\n```python\nprint(1)\n```" and one.left_out == {"outputs of tools": 1}
    assert one.nodes[-1].failure, "a question that nobody answered can be tried again"


def png(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (4, 3), colour).save(out, "PNG")
    return out.getvalue()


def shown(colour: str) -> dict[str, Any]:
    digest, size = sha256(png(colour)), len(png(colour))
    return {"kind": "image", "digest": digest, "media_type": "image/png", "size": size, "width": 4, "height": 3}


def with_pictures() -> list[dict[str, Any]]:
    """A person's picture and paper, code that is shown, and a picture that a tool made."""
    value = samples.chatgpt()
    mapping = value[0]["mapping"]
    asked = mapping["q2"]["message"]
    asked["content"]["parts"][0]["asset_pointer"] = "file-service://file-Abc1"
    asked["metadata"] = {
        "attachments": [
            {"id": "file-Abc1", "name": "tea.png"},
            {"id": "file-Doc", "name": "leaves.pdf"},
            {"id": "file-Gone", "name": "old.pdf"},
        ]
    }
    mapping["c1"]["message"] |= {"recipient": "all"}
    made = {"content_type": "image_asset_pointer", "asset_pointer": "sediment://file_00f#x", "metadata": {"dalle": {}}}
    drawn = {
        "content_type": "multimodal_text",
        "parts": [made, {**made, "asset_pointer": "sediment://file_0ff"}, "Hm."],
    }
    mapping["o1"]["message"]["content"] = drawn
    return value


FILES = {"file-Abc1-tea.png": png("green"), "user-1/file_00f-sanitized.dat": png("red"), "file-Doc.dat": b"%PDF-"}


def test_chatgpt_with_the_pictures_of_its_archive() -> None:
    [one] = parse(packed({"conversations.json": with_pictures(), **FILES}), MOST)
    asked = next(node for node in one.nodes if "And this?" in node.text)
    assert asked.text == "And this?\n\n(leaves.pdf, left in the archive)\n\n(old.pdf, not in this file)"
    assert list(asked.pictures) == [shown("green")]
    answer = next(node for node in one.nodes if "A cup." in node.text)
    assert answer.text == "```python\nprint(1)\n```\n\n(image, not in this file)\n\nA cup."
    assert list(answer.pictures) == [shown("red")] and not one.left_out
    assert [base64.b64decode(blob["data"]) for blob in one.kept["blobs"]] == [png("green"), png("red")]
    bare = read(with_pictures())
    assert not bare.kept["blobs"] and any("(image, not in this file)\n\nAnd this?" in node.text for node in bare.nodes)


def test_a_picture_that_is_none_is_no_picture() -> None:
    for data in (b"<svg onload='alert(1)'/>", b"", png("green")[:40]):
        [one] = parse(packed({"conversations.json": with_pictures(), **FILES, "file-Abc1-tea.png": data}), MOST)
        asked = next(node for node in one.nodes if "And this?" in node.text)
        assert not asked.pictures and asked.text.startswith("(image, left in the archive)\n\nAnd this?")


def test_claude_with_what_was_pasted_made_and_done() -> None:
    value = samples.claude()
    asked, answer = value[0]["chat_messages"][:2]
    asked["attachments"] = [{"file_name": "", "extracted_content": "Long words"}, {"file_name": "a.bin"}]
    answer["content"] = [
        {"type": "text", "text": "Here:"},
        {"type": "tool_use", "name": "artifacts", "input": {"title": "Poem", "content": "Elbe, oh Elbe"}},
        {"type": "tool_use", "name": "web_search", "input": {"query": "Elbe"}},
        {"type": "tool_result", "name": "web_search", "content": [{"type": "text", "text": "A river."}]},
        {"type": "flag"},
    ]
    one = read(value)
    assert one.nodes[0].text.startswith("Name a river\n\nPasted:\n\n```\nLong words\n```\n\n(a.bin, not in this file)")
    assert one.nodes[1].text == "Here:\n\nPoem:\n\n```\nElbe, oh Elbe\n```"
    assert one.nodes[1].reasoning == 'web_search:\n\n```json\n{\n  "query": "Elbe"\n}\n```'
    assert one.left_out == {"outputs of tools": 1, "parts of the kind “flag”": 1}


def test_claude_with_an_edited_question() -> None:
    one = read(samples.claude())
    quoted = "map.pdf:\n\n````\nThe rivers:\n```\nElbe\n```\n````"
    assert tree(one) == [
        ("", f"Name a river\n\n{quoted}\n\n(photo.png, not in this file)"),
        (f"Name a river\n\n{quoted}\n\n(photo.png, not in this file)", "The Elbe."),
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


def test_open_webui_with_files_that_are_in_it() -> None:
    value = samples.open_webui()
    messages = value[0]["chat"]["history"]["messages"]
    address = f"data:image/png;base64,{base64.b64encode(png('blue')).decode()}"
    read_before = {
        "type": "file",
        "name": "sky.txt",
        "file": {"filename": "sky.txt", "data": {"content": "It is blue."}},
    }
    bad = [{"type": "image", "url": url} for url in ("data:image/png;base64,!", "https://example.org/a.png")]
    messages["1"]["files"] = [{"type": "image", "url": address}, read_before, *bad, {"type": "file", "name": "b.doc"}]
    messages["2"]["content"] = [{"type": "text", "text": "Thus."}, {"type": "image_url", "image_url": {"url": address}}]
    one = read(value)
    notes = "(image, not in this file)\n\n(image, not in this file)\n\n(b.doc, not in this file)"
    assert one.nodes[0].text == f"Why is the sky blue?\n\nsky.txt:\n\n```\nIt is blue.\n```\n\n{notes}"
    assert one.nodes[1].text == "Thus."
    assert [list(node.pictures) for node in one.nodes] == [[shown("blue")], [shown("blue")], []]
    assert len(one.kept["blobs"]) == 1


def test_librechat_nested_and_flat() -> None:
    nested = samples.librechat()
    expected = [("", "What shall I bake?"), ("What shall I bake?", "Bread."), ("What shall I bake?", "Rye bread.")]
    assert tree(read(nested)) == expected
    [root] = nested["messages"]
    flat = {**nested, "recursive": False, "messages": [{**root, "children": []}, *root["children"]]}
    assert tree(read(flat)) == expected
    root["files"] = [{"filename": "oven.png", "type": "image/png"}]
    call = {"name": "search", "args": '{"q": "rye"}', "output": "Much."}
    root["children"][1]["content"] += [{"type": "tool_call", "tool_call": call}, {"type": "image_file"}]
    one = read(nested)
    assert one.nodes[0].text == "What shall I bake?\n\n(oven.png, not in this file)"
    assert one.nodes[2].text == "Rye bread.\n\n(image, not in this file)" and "rye" in one.nodes[2].reasoning
    assert one.left_out == {"outputs of tools": 1}


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
        assert found.left_out == ("outputs of tools (1)", "user.json")


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
    assert left_out == (
        "outputs of tools (3)", "export_manifest.json", "conversation_asset_file_names.json", "chat.html",
    )  # fmt: skip
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


def test_what_was_left_out_is_named_within_bounds() -> None:
    [tea] = samples.chatgpt()
    for number in range(50):
        content = {"content_type": f"{number:02} {'x' * 500}", "text": "?"}
        message = {"author": {"role": "user"}, "content": content}
        tea["mapping"][f"x{number}"] = {"id": f"x{number}", "parent": "q1", "message": message}
    _, left_out = told(packed({"conversations.json": [tea], f"{'y' * 500}.txt": b""}))
    assert len(left_out) == 10 and left_out[8] == "43 more kinds"
    assert all(len(one) < 120 for one in left_out)


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
