"""Small exports in the shapes that other programs write, branches and all; and trees drawn for properties."""

from __future__ import annotations

from typing import Any

T = 1_730_000_000
LONG = "A drink of leaves. Зелёный чай, 绿茶, شاي."


def chatgpt() -> list[dict[str, Any]]:
    """A retried answer, a hidden system prompt, thoughts, a tool's call and output, a picture."""

    def node(id: str, parent: str | None, children: list[str], message: dict[str, Any] | None) -> dict[str, Any]:
        return {"id": id, "message": message, "parent": parent, "children": children}

    def said(role: str, content: dict[str, Any], at: int, **more: Any) -> dict[str, Any]:
        author = {"role": role, "name": None, "metadata": {}}
        message = {
            "id": f"m{at}", "author": author, "create_time": T + at, "update_time": None, "content": content,
            "status": "finished_successfully", "end_turn": True, "weight": 1.0, "metadata": {}, "recipient": "all",
            "channel": None,
        }  # fmt: skip
        return {**message, **more}

    def text(*parts: Any) -> dict[str, Any]:
        return {"content_type": "text", "parts": list(parts)}

    model = {"metadata": {"model_slug": "gpt-5-2", "finish_details": {"type": "stop"}}}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x", "width": 4, "height": 4}
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Think", "content": "Tea comes from leaves."}]}
    call = {"content_type": "code", "language": "python", "text": "print(1)"}
    shown = {"content_type": "multimodal_text", "parts": [picture, "And this?"]}
    mapping = {
        "root": node("root", None, ["sys"], None),
        "sys": node("sys", "root", ["q1"], said("system", text(""), 0, **hidden)),
        "q1": node("q1", "sys", ["a1", "t1"], said("user", text("What is tea?"), 1)),
        "a1": node("a1", "q1", [], said("assistant", text("A drink."), 2, **model)),
        "t1": node("t1", "q1", ["a2"], said("assistant", thoughts, 3, **model)),
        "a2": node("a2", "t1", ["q2"], said("assistant", text(LONG), 4, **model)),
        "q2": node("q2", "a2", ["c1"], said("user", shown, 5)),
        "c1": node("c1", "q2", ["o1"], said("assistant", call, 6, recipient="python")),
        "o1": node("o1", "c1", ["a3"], said("tool", {"content_type": "execution_output", "text": "1"}, 7)),
        "a3": node("a3", "o1", ["q3"], said("assistant", text("A cup."), 8, **model)),
        "q3": node("q3", "a3", [], said("user", text("Thanks"), 9)),
    }
    head = {"title": "Tea", "create_time": T, "update_time": T + 9, "moderation_results": [], "current_node": "q3"}
    return [{**head, "mapping": mapping, "conversation_id": "c-1", "id": "c-1"}]


def claude() -> list[dict[str, Any]]:
    """An edited question: two roots of one conversation."""
    root = "00000000-0000-4000-8000-000000000000"

    def said(uuid: str, parent: str, sender: str, text: str, minute: int, **more: Any) -> dict[str, Any]:
        at = f"2025-11-01T10:{minute:02}:00.000000Z"
        content = [{"start_timestamp": at, "stop_timestamp": at, "type": "text", "text": text, "citations": []}]
        message = {
            "uuid": uuid, "text": text, "content": content, "sender": sender, "created_at": at, "updated_at": at,
            "attachments": [], "files": [], "parent_message_uuid": parent,
        }  # fmt: skip
        return {**message, **more}

    thinking = {"type": "thinking", "thinking": "Short is best.", "summaries": []}
    beside = {
        "attachments": [{"file_name": "map.pdf", "extracted_content": "The rivers:\n```\nElbe\n```"}],
        "files": [{"file_name": "photo.png"}],
    }
    messages = [
        said("u1", root, "human", "Name a river", 0, **beside),
        said("a1", "u1", "assistant", "The Elbe.", 1),
        said("u2", root, "human", "Name two rivers", 2),
        said("a2", "u2", "assistant", "", 3, content=[thinking, {"type": "text", "text": "The Elbe and the Oder."}]),
    ]
    head = {"uuid": "c-2", "name": "Rivers", "created_at": "2025-11-01T10:00:00.000000Z", "account": {"uuid": "x"}}
    return [{**head, "updated_at": "2025-11-01T10:03:00.000000Z", "chat_messages": messages}]


def open_webui() -> list[dict[str, Any]]:
    """Two models beside each other under one question."""

    def said(id: str, parent: str | None, children: list[str], role: str, content: str, **more: Any) -> dict[str, Any]:
        message = {"id": id, "parentId": parent, "childrenIds": children, "role": role, "content": content}
        return {**message, "timestamp": T, **more}

    messages = {
        "1": said("1", None, ["2", "3"], "user", "Why is the sky blue?", models=["llama3", "qwen3"]),
        "2": said("2", "1", [], "assistant", "Rayleigh.", model="llama3", modelName="llama3", done=True),
        "3": said("3", "1", [], "assistant", "Scattering.", model="qwen3", modelName="qwen3", done=True),
    }
    chat = {"title": "Sky", "models": ["llama3"], "history": {"messages": messages, "currentId": "2"}, "messages": []}
    return [{"id": "c-3", "user_id": "u", "title": "Sky", "chat": chat, "created_at": T, "updated_at": T}]


def librechat() -> dict[str, Any]:
    """As it exports with branches and nested children."""
    nobody = "00000000-0000-0000-0000-000000000000"

    def said(id: str, parent: str, own: bool, text: str, *children: Any, **more: Any) -> dict[str, Any]:
        message = {
            "messageId": id, "parentMessageId": parent, "conversationId": "c-4", "isCreatedByUser": own, "text": text,
            "sender": "User" if own else "GPT", "createdAt": "2025-06-01T08:00:00.000Z", "children": list(children),
        }  # fmt: skip
        return {**message, **more}

    answers = (
        said("a1", "q1", False, "Bread.", model="gpt-5"),
        said("a2", "q1", False, "", model="gpt-5", content=[{"type": "text", "text": {"value": "Rye bread."}}]),
    )
    root = said("q1", nobody, True, "What shall I bake?", *answers)
    head = {"conversationId": "c-4", "endpoint": "openAI", "title": "Baking", "exportAt": "now", "branches": True}
    return {**head, "recursive": True, "options": {"model": "gpt-5"}, "messages": [root]}
