"""Exports of other programs, as they write them: ChatGPT, Claude, Open WebUI, LibreChat. Values in, trees out.

What a field holds that should not be there is passed over; a tree that is none is refused by ``nodes.checked``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from chat.exchange.nodes import Conversation, Node, Unknown, moment, text_from

NOBODY = {"00000000-0000-0000-0000-000000000000", "00000000-0000-4000-8000-000000000000", ""}
TOLD_TO_ALL = ("all", "", None)


def read(value: Any) -> list[Conversation]:
    """Every conversation of a file that was JSON. Raises Unknown where no program is known by it."""
    rows = value if isinstance(value, list) else [value]
    for looks, take in FORMATS:
        if rows and all(isinstance(row, Mapping) and looks(row) for row in rows):
            return [take(row) for row in rows]
    raise Unknown(
        "The file is JSON, and no export that is known here.",
        "Choose an export of Onepane, ChatGPT, Claude, Open WebUI or LibreChat.",
    )


def _chatgpt(row: Mapping[str, Any]) -> Conversation:
    nodes = []
    for id, one in row["mapping"].items():
        entry = one if isinstance(one, Mapping) else {}
        parent = entry.get("parent")
        nodes.append(_chatgpt_node(str(id), str(parent) if parent else None, entry.get("message") or {}))
    return Conversation(
        title=text_from(row.get("title")),
        nodes=tuple(nodes),
        source="ChatGPT",
        created=moment(row.get("create_time")),
        current=str(row.get("current_node") or "") or None,
    )


def _chatgpt_node(id: str, parent: str | None, message: Mapping[str, Any]) -> Node:
    content, about = _map(message.get("content")), _map(message.get("metadata"))
    role, kind = _map(message.get("author")).get("role"), content.get("content_type")
    text, reasoning = "", ""
    if kind == "thoughts":
        reasoning = _joined(text_from(_map(one).get("content")) for one in _list(content.get("thoughts")))
    elif kind in ("text", "multimodal_text"):
        text = _joined(_chatgpt_part(one) for one in _list(content.get("parts")))
    hidden = about.get("is_visually_hidden_from_conversation") or message.get("recipient") not in TOLD_TO_ALL
    side = {"user": "person", "assistant": "model"}.get(str(role), "other")
    if hidden or not (text or reasoning):
        side = "other"
    return Node(
        id=id,
        parent=parent,
        side=side,  # type: ignore[arg-type]
        text=text,
        reasoning=reasoning,
        model=text_from(about.get("model_slug")),
        created=moment(message.get("create_time")),
    )


def _chatgpt_part(part: Any) -> str:
    if isinstance(part, Mapping):
        kind = str(part.get("content_type") or "")
        return text_from(part.get("text")) or _elsewhere(kind.split("_")[0])
    return text_from(part)


def _claude(row: Mapping[str, Any]) -> Conversation:
    nodes: list[Node] = []
    for one in map(_map, _list(row.get("chat_messages"))):
        blocks = [_map(block) for block in _list(one.get("content"))]
        said = [text_from(block.get("text")) for block in blocks if block.get("type") == "text"]
        files = [*_list(one.get("attachments")), *_list(one.get("files"))]
        names = [text_from(_map(file).get("file_name")) for file in files]
        words = [
            *filter(None, said or [text_from(one.get("text"))]),
            *(f"({name}, not in this file)" for name in names if name),
        ]
        before = nodes[-1].id if nodes else None
        parent = text_from(one.get("parent_message_uuid")) if "parent_message_uuid" in one else before
        nodes.append(
            Node(
                id=str(one.get("uuid")),
                parent=None if parent in (*NOBODY, None) else parent,
                side={"human": "person", "assistant": "model"}.get(str(one.get("sender")), "other"),  # type: ignore[arg-type]
                text=_joined(words),
                reasoning="\n\n".join(
                    text_from(block.get("thinking")) for block in blocks if block.get("type") == "thinking"
                ),
                model=text_from(row.get("model")) or "claude",
                created=moment(one.get("created_at")),
            )
        )
    return Conversation(
        title=text_from(row.get("name")),
        nodes=tuple(nodes),
        source="Claude",
        created=moment(row.get("created_at")),
        current=text_from(row.get("current_leaf_message_uuid")) or (nodes[-1].id if nodes else None),
    )


def _open_webui(row: Mapping[str, Any]) -> Conversation:
    chat = _map(row.get("chat")) or row
    history = _map(chat.get("history"))
    nodes = []
    for id, one in ((str(id), _map(one)) for id, one in _map(history.get("messages")).items()):
        parent = one.get("parentId")
        content = one.get("content")
        pieces = [_map(part).get("text") for part in content] if isinstance(content, list) else [content]
        words = [*map(text_from, pieces), *(_elsewhere(_named(file)) for file in _list(one.get("files")))]
        nodes.append(
            Node(
                id=id,
                parent=str(parent) if parent else None,
                side={"user": "person", "assistant": "model"}.get(str(one.get("role")), "other"),  # type: ignore[arg-type]
                text=_joined(words),
                model=text_from(one.get("model")),
                created=moment(one.get("timestamp")),
            )
        )
    return Conversation(
        title=text_from(row.get("title") or chat.get("title")),
        nodes=tuple(nodes),
        source="Open WebUI",
        created=moment(row.get("created_at") or chat.get("timestamp")),
        current=text_from(history.get("currentId")) or None,
    )


def _librechat(row: Mapping[str, Any]) -> Conversation:
    nodes = [_librechat_node(one, parent) for one, parent in _unfolded(_list(row.get("messages")))]
    return Conversation(
        title=text_from(row.get("title")),
        nodes=tuple(nodes),
        source="LibreChat",
        created=nodes[0].created if nodes else None,
        current=nodes[-1].id if nodes else None,
    )


def _librechat_node(one: Mapping[str, Any], folded_in: str | None) -> Node:
    parent = text_from(one.get("parentMessageId")) or folded_in or ""
    blocks = [_map(block) for block in _list(one.get("content"))]
    said = [text_from(_map(block.get("text")).get("value")) or text_from(block.get("text")) for block in blocks]
    return Node(
        id=str(one.get("messageId")),
        parent=None if parent in NOBODY else parent,
        side="person" if one.get("isCreatedByUser") else "model",
        text=text_from(one.get("text")) or _joined(said),
        reasoning=_joined(text_from(block.get("think")) for block in blocks),
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


def _elsewhere(name: str) -> str:
    """In place of a file that an export names and does not hold."""
    return f"({name}, not in this file)" if name else ""


def _named(file: Any) -> str:
    return text_from(_map(file).get("name")) or text_from(_map(_map(file).get("file")).get("filename"))


def _map(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


Looks = Callable[[Mapping[str, Any]], bool]
FORMATS: tuple[tuple[Looks, Callable[[Mapping[str, Any]], Conversation]], ...] = (
    (lambda row: isinstance(row.get("mapping"), Mapping), _chatgpt),
    (lambda row: isinstance(row.get("chat_messages"), list), _claude),
    (lambda row: bool(_map((_map(row.get("chat")) or row).get("history")).get("messages") is not None), _open_webui),
    (lambda row: isinstance(row.get("messages"), list) and "conversationId" in row, _librechat),
)
