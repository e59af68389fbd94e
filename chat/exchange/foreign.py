"""Exports of other programs, as they write them: ChatGPT, Claude, Open WebUI, LibreChat. Values in, trees out.

What a model wrote is kept: its words, and what it gave a tool to do among its reasoning. So are pictures, and the text
of files where an export has it. In place of other files that people saw a message tells their names; what else is no
word of a person or a model is counted as left out. What a field holds that should not be there is passed over; a tree
that is none is refused by ``nodes.checked``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from chat.exchange.luggage import Luggage
from chat.exchange.nodes import Conversation, Node, Side, Unknown, moment, text_from

NOBODY = {"00000000-0000-0000-0000-000000000000", "00000000-0000-4000-8000-000000000000", ""}
TOLD_TO_ALL = ("all", "", None)
SIDES: dict[str, Side] = {"user": "person", "human": "person", "assistant": "model", "tool": "model"}

# What is left out, by the names that exports have for it.
OUTPUT = "outputs of tools"
PAGES = "web pages that were read"
INSTRUCTIONS = "instructions to the model"
KINDS = {
    "execution_output": OUTPUT,
    "system_error": OUTPUT,
    "tool_result": OUTPUT,
    "sonic_webpage": PAGES,
    "tether_quote": PAGES,
    "tether_browsing_display": PAGES,
    "reasoning_recap": "notes on how long a model thought",
}

Piece = str | Mapping[str, Any]  # words, or a picture as a part of a message


def read(value: Any, asset: Callable[[str], bytes | None]) -> list[Conversation]:
    """Every conversation of a file that was JSON; ``asset`` gives files that lie beside it, by their ids. Raises
    Unknown where no program is known by it."""
    rows = value if isinstance(value, list) else [value]
    for looks, take in FORMATS:
        if rows and all(isinstance(row, Mapping) and looks(row) for row in rows):
            return [_with_luggage(take, row, Luggage(asset)) for row in rows]
    raise Unknown(
        "The file is JSON, and no export that is known here.",
        "Choose an export of Onepane, ChatGPT, Claude, Open WebUI or LibreChat.",
    )


def _with_luggage(take: Take, row: Mapping[str, Any], luggage: Luggage) -> Conversation:
    one = take(row, luggage)
    return replace(one, kept={"blobs": list(luggage.blobs.values())}, left_out=dict(luggage.left_out))


def _chatgpt(row: Mapping[str, Any], luggage: Luggage) -> Conversation:
    nodes = []
    for id, one in row["mapping"].items():
        entry = one if isinstance(one, Mapping) else {}
        parent, message = entry.get("parent"), _map(entry.get("message"))
        about, role = _map(message.get("metadata")), str(_map(message.get("author")).get("role"))
        hidden = about.get("is_visually_hidden_from_conversation")
        said = {} if hidden else _chatgpt_said(message, role, luggage)
        nodes.append(
            Node(
                id=str(id),
                parent=str(parent) if parent else None,
                side=SIDES.get(role, "other") if any(said.values()) else "other",
                model=text_from(about.get("model_slug")),
                created=moment(message.get("create_time")),
                **said,
            )
        )
    return Conversation(
        title=text_from(row.get("title")),
        nodes=tuple(nodes),
        source="ChatGPT",
        created=moment(row.get("create_time")),
        current=str(row.get("current_node") or "") or None,
    )


def _chatgpt_said(message: Mapping[str, Any], role: str, luggage: Luggage) -> dict[str, Any]:
    """The fields of a node that hold what its people saw. What a tool tells the model in words is for it alone; the
    pictures that it makes are not."""
    content, to = _map(message.get("content")), text_from(message.get("recipient"))
    kind, language = text_from(content.get("content_type")), text_from(content.get("language"))
    parts = _list(content.get("parts"))
    source = text_from(content.get("text")) or _joined(map(text_from, parts))
    if kind == "thoughts":
        return {"reasoning": _joined(text_from(_map(one).get("content")) for one in _list(content.get("thoughts")))}
    if role == "assistant" and to not in TOLD_TO_ALL:
        return {"reasoning": _fenced(to, source, language)}
    if role == "assistant" and kind == "code":
        return {"text": _fenced("", source, language)}
    if role in ("user", "assistant") and kind in ("text", "multimodal_text"):
        return _pieces([*(_chatgpt_part(part, luggage) for part in parts), *_chatgpt_files(message, parts, luggage)])
    if role == "tool" and kind == "multimodal_text":
        return _pieces([_chatgpt_part(part, luggage) for part in parts if isinstance(part, Mapping)])
    if source or content.get("result") or content.get("content"):
        other = INSTRUCTIONS if role == "system" else OUTPUT if role == "tool" else f"parts of the kind “{kind[:40]}”"
        luggage.left_out[KINDS.get(kind, other)] += 1
    return {}


def _chatgpt_part(part: Any, luggage: Luggage) -> Piece:
    if not isinstance(part, Mapping):
        return text_from(part)
    kind = str(part.get("content_type") or "")
    what = next((word for word in ("image", "audio", "video") if word in kind), "file" if "asset" in kind else "")
    return text_from(part.get("text")) or _file(what, text_from(part.get("asset_pointer")), luggage)


def _chatgpt_files(message: Mapping[str, Any], parts: list[Any], luggage: Luggage) -> Iterator[Piece]:
    """What lay beside a message and is no part of it."""
    shown = [text_from(_map(part).get("asset_pointer")) for part in parts]
    for one in map(_map, _list(_map(message.get("metadata")).get("attachments"))):
        id, name = text_from(one.get("id")), text_from(one.get("name"))
        if not (id and any(id in pointer for pointer in shown)):
            yield _file(name, id, luggage)


def _claude(row: Mapping[str, Any], luggage: Luggage) -> Conversation:
    nodes: list[Node] = []
    for one in map(_map, _list(row.get("chat_messages"))):
        before = nodes[-1].id if nodes else None
        parent = text_from(one.get("parent_message_uuid")) if "parent_message_uuid" in one else before
        nodes.append(
            Node(
                id=str(one.get("uuid")),
                parent=None if parent in (*NOBODY, None) else parent,
                side=SIDES.get(str(one.get("sender")), "other"),
                model=text_from(row.get("model")) or "claude",
                created=moment(one.get("created_at")),
                **_claude_said(one, luggage),
            )
        )
    return Conversation(
        title=text_from(row.get("name")),
        nodes=tuple(nodes),
        source="Claude",
        created=moment(row.get("created_at")),
        current=text_from(row.get("current_leaf_message_uuid")) or (nodes[-1].id if nodes else None),
    )


def _claude_said(one: Mapping[str, Any], luggage: Luggage) -> dict[str, Any]:
    """An artifact stands where it was shown; what other tools were given is reasoning."""
    words, reasoning = [], []
    for block in map(_map, _list(one.get("content"))):
        kind, given = text_from(block.get("type")), _map(block.get("input"))
        if kind == "text":
            words.append(text_from(block.get("text")))
        elif kind == "thinking":
            reasoning.append(text_from(block.get("thinking")))
        elif kind == "tool_use" and block.get("name") == "artifacts" and text_from(given.get("content")):
            words.append(_fenced(text_from(given.get("title")) or "Artifact", text_from(given.get("content"))))
        elif kind == "tool_use":
            reasoning.append(_fenced(text_from(block.get("name")) or "Tool", _written(given), "json"))
        elif kind:
            luggage.left_out[KINDS.get(kind, f"parts of the kind “{kind[:40]}”")] += 1
    words = [word for word in words if word] or [text_from(one.get("text"))]
    for file in map(_map, _list(one.get("attachments"))):
        name, text = text_from(file.get("file_name")), text_from(file.get("extracted_content"))
        words.append(_fenced(name or "Pasted", text) if text else _elsewhere(name))
    names = [text_from(_map(file).get("file_name")) for file in _list(one.get("files"))]
    return {"text": _joined([*words, *map(_elsewhere, names)]), "reasoning": _joined(reasoning)}


def _open_webui(row: Mapping[str, Any], luggage: Luggage) -> Conversation:
    chat = _map(row.get("chat")) or row
    history = _map(chat.get("history"))
    nodes = []
    for id, one in ((str(id), _map(one)) for id, one in _map(history.get("messages")).items()):
        parent = one.get("parentId")
        nodes.append(
            Node(
                id=id,
                parent=str(parent) if parent else None,
                side=SIDES.get(str(one.get("role")), "other"),
                model=text_from(one.get("model")),
                created=moment(one.get("timestamp")),
                **_open_webui_said(one, luggage),
            )
        )
    return Conversation(
        title=text_from(row.get("title") or chat.get("title")),
        nodes=tuple(nodes),
        source="Open WebUI",
        created=moment(row.get("created_at") or chat.get("timestamp")),
        current=text_from(history.get("currentId")) or None,
    )


def _open_webui_said(one: Mapping[str, Any], luggage: Luggage) -> dict[str, Any]:
    """Pictures stand in their addresses, and of a file its text where the program had read it."""
    content = one.get("content")
    pieces: list[Piece] = []
    for part in content if isinstance(content, list) else [{"text": content}]:
        url = text_from(_map(_map(part).get("image_url")).get("url"))
        pieces.append(luggage.inline(url) or _elsewhere("image") if url else text_from(_map(part).get("text")))
    for file in map(_map, _list(one.get("files"))):
        inner = _map(file.get("file"))
        name = text_from(file.get("name")) or text_from(inner.get("filename"))
        url = text_from(file.get("url"))
        text = text_from(_map(inner.get("data")).get("content"))
        is_image = file.get("type") == "image"
        picture = luggage.inline(url) if url else None
        pieces.append(picture or (_fenced(name, text) if text else _elsewhere(name or ("image" if is_image else ""))))
    return _pieces(pieces)


def _librechat(row: Mapping[str, Any], luggage: Luggage) -> Conversation:
    nodes = [_librechat_node(one, parent, luggage) for one, parent in _unfolded(_list(row.get("messages")))]
    return Conversation(
        title=text_from(row.get("title")),
        nodes=tuple(nodes),
        source="LibreChat",
        created=nodes[0].created if nodes else None,
        current=nodes[-1].id if nodes else None,
    )


def _librechat_node(one: Mapping[str, Any], folded_in: str | None, luggage: Luggage) -> Node:
    parent = text_from(one.get("parentMessageId")) or folded_in or ""
    words, reasoning, names = [], [], []
    for block in map(_map, _list(one.get("content"))):
        kind, call = text_from(block.get("type")), _map(block.get("tool_call"))
        if kind == "think":
            reasoning.append(text_from(block.get("think")))
        elif kind == "tool_call":
            reasoning.append(_fenced(text_from(call.get("name")) or "Tool", text_from(call.get("args")), "json"))
            luggage.left_out[OUTPUT] += bool(call.get("output"))
        elif kind == "image_file":
            names.append("image")
        else:
            words.append(text_from(_map(block.get("text")).get("value")) or text_from(block.get("text")))
    files = [*_list(one.get("files")), *_list(one.get("attachments"))]
    names += [text_from(_map(file).get("filename")) for file in files]
    return Node(
        id=str(one.get("messageId")),
        parent=None if parent in NOBODY else parent,
        side="person" if one.get("isCreatedByUser") else "model",
        text=_joined([text_from(one.get("text")) or _joined(words), *map(_elsewhere, names)]),
        reasoning=_joined(reasoning),
        model=text_from(one.get("model")) or text_from(one.get("sender")),
        created=moment(one.get("createdAt")),
    )


def _unfolded(messages: list[Any]) -> Iterator[tuple[Mapping[str, Any], str | None]]:
    """Messages in a list, or each in the list of its parent's ``children``."""
    waiting = [(_map(one), None) for one in reversed(messages)]
    while waiting:
        one, parent = waiting.pop()
        yield one, parent
        id = str(one.get("messageId"))
        waiting += [(_map(child), id) for child in reversed(_list(one.get("children")))]  # type: ignore[misc]


def _joined(texts: Iterable[str]) -> str:
    return "\n\n".join(filter(None, texts))


def _pieces(pieces: Iterable[Piece]) -> dict[str, Any]:
    """The fields of a node for words and pictures in any order."""
    found = list(pieces)
    pictures = [piece for piece in found if not isinstance(piece, str)]
    return {"text": _joined(piece for piece in found if isinstance(piece, str)), "pictures": pictures}


def _file(name: str, id: str, luggage: Luggage) -> Piece:
    """A file of the archive: its picture, or its name in its place."""
    data = luggage.asset(id) if id else None
    if data is None:
        return _elsewhere(name)
    return luggage.picture(data) or (f"({name}, left in the archive)" if name else "")


def _elsewhere(name: str) -> str:
    """In place of a file that an export names and does not hold."""
    return f"({name}, not in this file)" if name else ""


def _fenced(name: str, text: str, language: str = "") -> str:
    """Text that is no words of the message, under its name."""
    if not text:
        return ""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    known = language if re.fullmatch(r"[\w+#.-]{1,20}", language) and language != "unknown" else ""
    return (f"{name}:\n\n" if name else "") + f"{fence}{known}\n{text}\n{fence}"


def _written(value: Any) -> str:
    return text_from(json.dumps(value, ensure_ascii=False, indent=2))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


Looks = Callable[[Mapping[str, Any]], bool]
Take = Callable[[Mapping[str, Any], Luggage], Conversation]
FORMATS: tuple[tuple[Looks, Take], ...] = (
    (lambda row: isinstance(row.get("mapping"), Mapping), _chatgpt),
    (lambda row: isinstance(row.get("chat_messages"), list), _claude),
    (lambda row: bool(_map((_map(row.get("chat")) or row).get("history")).get("messages") is not None), _open_webui),
    (lambda row: isinstance(row.get("messages"), list) and "conversationId" in row, _librechat),
)
