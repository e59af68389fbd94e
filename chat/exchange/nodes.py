"""A conversation on its way in or out: a tree of nodes that knows no row, no file and no format.

``checked`` is the one gate: what passes it is a tree with one root side, in which questions and answers take turns.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Literal

MOST_CHATS = 20_000
MOST_NODES = 200_000  # of a file
MOST_TEXT = 2_000_000  # characters of one message
NO_QUESTION = "(The file begins with an answer.)"
NO_ANSWER = {"code": "not_in_file", "cause": "The file has no answer here.", "action": "Retry for one."}

Side = Literal["person", "model", "other"]


class Unreadable(Exception):
    """Why a file is not taken, in words: the cause, and what to do."""

    def __init__(self, cause: str, action: str) -> None:
        super().__init__(cause)
        self.cause, self.action = cause, action


class Unknown(Unreadable):
    """A file of no program that is known here: beside one that is, it is left out."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One message. ``other`` is what is neither a question nor an answer (a system prompt, a tool's output): it is
    passed over, and what follows it follows its parent. ``pictures`` are parts of the message behind its text; ``kept``
    holds what only our own format knows."""

    id: str
    parent: str | None
    side: Side
    text: str = ""
    pictures: Sequence[Mapping[str, Any]] = ()
    model: str = ""
    author: str = ""
    created: datetime | None = None
    reasoning: str = ""
    failure: Mapping[str, str] | None = None
    kept: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """``key`` is the same for the same conversation of the same content; ``current`` where it stood. ``left_out``
    counts by its name what the file has of it and no node has. ``kept`` again is of our own format, but for its
    ``blobs``: the bytes of all pictures."""

    title: str
    nodes: tuple[Node, ...]
    source: str
    key: str = ""
    created: datetime | None = None
    current: str | None = None
    left_out: Mapping[str, int] = field(default_factory=dict)
    kept: Mapping[str, Any] = field(default_factory=dict)


def checked(one: Conversation) -> Conversation:
    """The same, parents before children, or Unreadable: an id twice, a parent that is not there, a circle."""
    nodes = {node.id: node for node in one.nodes}
    where = f"“{one.title[:60]}”"
    if len(nodes) != len(one.nodes):
        raise Unreadable(f"{where} has two messages with one id.", "Export it again.")
    children: dict[str | None, list[Node]] = defaultdict(list)
    for node in one.nodes:
        if node.parent is not None and node.parent not in nodes:
            raise Unreadable(f"{where} has a message that follows one that is not there.", "Export it again.")
        if len(node.text) > MOST_TEXT:
            raise Unreadable(f"{where} has a message of over {MOST_TEXT:,} characters.", "Leave it out of the file.")
        children[node.parent].append(node)
    ordered: list[Node] = []
    waiting = list(reversed(children[None]))
    while waiting:
        node = waiting.pop()
        ordered.append(node)
        waiting += reversed(children[node.id])
    if len(ordered) != len(nodes):
        raise Unreadable(f"{where} has messages that follow each other in a circle.", "Export it again.")
    return replace(one, nodes=tuple(ordered))


def taking_turns(one: Conversation) -> Conversation:
    """The conversation with a question above every answer and an answer under every question, whatever it came as.

    What is neither is passed over. Answers that follow each other become one, on every branch; between two questions,
    and under a question that nobody answered, stands an answer that says it is missing and can be tried again.
    """
    turns = _Turns(one)
    turns.place_all()
    return replace(one, nodes=tuple(turns.made), current=turns.stands.get(one.current or ""))


class _Turns:
    """The walk behind ``taking_turns``: without recursion, for a conversation may be as deep as it is long."""

    def __init__(self, one: Conversation) -> None:
        self.made: list[Node] = []
        self.stands: dict[str, str] = {}  # an old id -> the node that shows it
        self._placed: set[str] = set()
        self._below: dict[str | None, list[Node]] = defaultdict(list)
        for node in one.nodes:
            self._below[node.parent].append(node)

    def place_all(self) -> None:
        # A node, what it follows, whether that is a question, and words of an answer that is not placed yet.
        waiting: list[tuple[Node, str | None, bool, tuple[Node, ...]]] = []
        waiting += [(node, None, False, ()) for node in reversed(self._below[None])]
        while waiting:
            node, parent, asked, begun = waiting.pop()
            below = self._below[node.id]
            if node.side == "person":
                if begun:
                    parent, asked = self._answer(begun, parent), False
                self._add(replace(node, parent=self._missing(parent, node) if asked else parent))
                waiting += [(child, node.id, True, ()) for child in reversed(below)]
                continue
            if node.side == "model":
                if not asked and not begun:
                    parent = self._add(
                        Node(id=f"{node.id}/q", parent=parent, side="person", text=NO_QUESTION, created=node.created)
                    )
                begun = (*begun, node)
            if begun and not below:
                self._answer(begun, parent)
            waiting += [(child, parent, asked or bool(begun), begun) for child in reversed(below)]
        answered = {node.parent for node in self.made}
        for node in [node for node in self.made if node.side == "person" and node.id not in answered]:
            self._missing(node.id, node)

    def _add(self, node: Node) -> str:
        self.made.append(node)
        self._placed.add(node.id)
        self.stands[node.id] = node.id
        return node.id

    def _answer(self, begun: Sequence[Node], parent: str | None) -> str:
        """The one answer that these make together."""
        id = "+".join(node.id for node in begun)
        if id not in self._placed:
            text = "\n\n".join(node.text for node in begun if node.text)
            reasoning = "\n\n".join(node.reasoning for node in begun if node.reasoning)
            pictures = [picture for node in begun for picture in node.pictures]
            model = next((node.model for node in reversed(begun) if node.model), "")
            last = replace(begun[-1], text=text, reasoning=reasoning, pictures=pictures, model=model)
            self._add(replace(last, id=id, parent=parent))
        self.stands |= {node.id: id for node in begun}
        return id

    def _missing(self, parent: str | None, near: Node) -> str:
        id = f"{parent}/a{len(self.made)}"
        return self._add(Node(id=id, parent=parent, side="model", created=near.created, failure=NO_ANSWER))


def moment(value: Any) -> datetime | None:
    """Seconds or milliseconds since 1970, or an ISO date; ``None`` for anything else."""
    try:
        if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
            read = datetime.fromisoformat(value)
            read = read if read.tzinfo else read.replace(tzinfo=UTC)
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            read = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        else:
            return None
        return read.astimezone(UTC) if 1990 <= read.year <= 2200 else None
    except (ValueError, OverflowError, OSError):
        return None


def when(moment: datetime | None) -> str | None:
    """As a file tells it."""
    return moment.astimezone(UTC).isoformat() if moment else None


def text_from(value: Any) -> str:
    """What PostgreSQL and UTF-8 take of a value that should be text."""
    text = value if isinstance(value, str) else ""
    return text.replace("\x00", "").encode(errors="replace").decode()
