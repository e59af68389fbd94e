"""JSON with ``//`` comments, and where each value stands in the text, so that a complaint can point at it.

It knows nothing of routers. Stricter than ``json.loads`` where a mistake hides: a key given twice, NaN, half of a
surrogate pair and endless nesting are refused. Reading takes time in proportion to the text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 20


class JsonError(Exception):
    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """``value`` holds nodes when it is an object or a list. Offsets are of the first character, from 0."""

    value: Any
    offset: int
    keys: Mapping[str, int] = field(default_factory=dict)

    def plain(self) -> Any:
        match self.value:
            case dict():
                return {key: child.plain() for key, child in self.value.items()}
            case list():
                return [child.plain() for child in self.value]
            case _:
                return self.value


def read(source: str) -> Node:
    """The whole text as one node. Raises JsonError."""
    return _Reader(blank_comments(source)).whole()


def blank_comments(source: str) -> str:
    """The same text with comments as spaces: every place stays where it was."""
    # A string's closing quote may be missing: the match still ends, at the line's end, so no text is read twice.
    pattern = re.compile(r'"(?:\\.|[^"\\\n])*"?|//[^\n]*')
    return pattern.sub(lambda m: m[0] if m[0].startswith('"') else " " * len(m[0]), source)


def offset_in(source: str, node: Node, index: int) -> int:
    """Where character ``index`` of a string node stands in the text, its escapes counted."""
    escape = re.compile(r"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u....|\\.|.", re.DOTALL)
    place = node.offset + 1
    for _ in range(index):
        found = escape.match(source, place)
        if found is None:
            break
        place = found.end()
    return place


def line_and_column(source: str, offset: int) -> tuple[int, int]:
    """Both count from 1."""
    return source.count("\n", 0, offset) + 1, offset - source.rfind("\n", 0, offset)


_SPACE = re.compile(r"[ \t\r\n\ufeff]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?(?:[eE][-+]?[0-9]{1,3})?(?![\w.])")
_WORD = re.compile("true|false|null")
_STRINGS = json.JSONDecoder()
_WORDS = {"true": True, "false": False, "null": None}


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Node:
        node = self._value(0)
        self._skip()
        if self._at < len(self._text):
            raise JsonError("The file ends before this. Delete what follows.", self._at)
        return node

    def _value(self, depth: int) -> Node:
        self._skip()
        at = self._at
        if depth > MAX_DEPTH:
            raise JsonError(f"Brackets lie more than {MAX_DEPTH} deep.", at)
        match self._text[at : at + 1]:
            case "{":
                return self._object(depth)
            case "[":
                return self._list(depth)
            case '"':
                return Node(value=self._string(), offset=at)
            case "":
                raise JsonError("The file ends too early. A bracket is not closed.", at)
            case _:
                return Node(value=self._scalar(), offset=at)

    def _object(self, depth: int) -> Node:
        start, values, keys = self._at, dict[str, Node](), dict[str, int]()
        while self._goes_on("}", first=not values):
            at = self._at
            if self._text[at : at + 1] != '"':
                raise JsonError("A key in double quotes is missing here.", at)
            key = self._string()
            if key in values:
                raise JsonError(f"The key “{key[:40]}” stands here twice.", at)
            self._skip()
            if self._text[self._at : self._at + 1] != ":":
                raise JsonError("A colon is missing here.", self._at)
            self._at += 1
            keys[key], values[key] = at, self._value(depth + 1)
        return Node(value=values, offset=start, keys=keys)

    def _list(self, depth: int) -> Node:
        start, values = self._at, list[Node]()
        while self._goes_on("]", first=not values):
            values.append(self._value(depth + 1))
        return Node(value=values, offset=start)

    def _goes_on(self, end: str, *, first: bool) -> bool:
        """Steps over the opening bracket or the comma to the next entry; false when the bracket closes."""
        if first:
            self._at += 1
        self._skip()
        found = self._text[self._at : self._at + 1]
        if found == end:
            self._at += 1
            return False
        if first:
            return True
        if found != ",":
            raise JsonError(f"A comma or {end} is missing here.", self._at)
        comma = self._at
        self._at += 1
        self._skip()
        if self._text[self._at : self._at + 1] == end:
            raise JsonError("Delete this comma: nothing follows it.", comma)
        return True

    def _string(self) -> str:
        start = self._at
        try:
            text, self._at = _STRINGS.raw_decode(self._text, start)
        except json.JSONDecodeError as error:
            raise JsonError(f"This text is not valid JSON: {error.msg}.", min(error.pos, len(self._text))) from None
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise JsonError("This text holds half of a character (\\ud800 to \\udfff).", start)
        return text

    def _scalar(self) -> Any:
        at = self._at
        if word := _WORD.match(self._text, at):
            self._at = word.end()
            return _WORDS[word[0]]
        number = _NUMBER.match(self._text, at)
        if number is None:
            raise JsonError("A value is missing here: text in double quotes, a number, true, false, [ or {.", at)
        self._at = number.end()
        value = json.loads(number[0])
        if isinstance(value, float) and not math.isfinite(value):
            raise JsonError("This number is too large.", at)
        return value

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at
