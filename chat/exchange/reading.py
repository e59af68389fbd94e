"""From the bytes of a file to checked conversations, in a process of its own, under limits.

``python -m chat.exchange.reading`` is that process: bytes on stdin, a conversation a line on stdout after a first line
that says what came of the file. Whatever a file does to it, the server only sees it end.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import IO, Any

import orjson

from chat.exchange import foreign, lines
from chat.exchange.archive import HUGE, Brought
from chat.exchange.nodes import (
    MOST_CHATS,
    MOST_NODES,
    Conversation,
    Node,
    Unknown,
    Unreadable,
    checked,
    moment,
    taking_turns,
)
from workspace.hosts.errand import Busy, Errand, Failed, confine
from workspace.types import canonical, sha256

MEMORY = 3 << 30  # bytes of address space
SECONDS = 90  # of processor time
NAMED = 8  # of what was left out
READING = Errand(module="chat.exchange.reading", patience=180.0, places=2)


@dataclass(frozen=True, kw_only=True)
class Found:
    """``left_out`` names what of the file is in none of the chats."""

    chats: Iterator[Conversation]
    left_out: tuple[str, ...] = ()


@contextmanager
def conversations(file: IO[bytes], most: int) -> Iterator[Found]:
    """Every conversation of a file; none is given before all are found to be good. Raises Unreadable."""
    try:
        with READING.told(file.read(most + 1), str(most)) as told:
            first = orjson.loads(told.readline())
            if "cause" in first:
                raise Unreadable(first["cause"], first["action"])
            yield Found(chats=(_back(orjson.loads(line)) for line in told), left_out=tuple(first["left_out"]))
    except Busy:
        raise Unreadable("Too many files are being read just now.", "Try again in a few minutes.") from None
    except Failed:
        raise HUGE from None


def parse(data: bytes, most: int) -> list[Conversation]:
    """The same here and now. Raises Unreadable."""
    return list(_found(data, most).chats)


def _found(data: bytes, most: int) -> Found:
    brought = Brought(data, most)
    found: list[Conversation] = []
    unknown: Unreadable = Unreadable("There is no file of chats in the archive.", "Choose the export as it came.")
    used = set()
    for name, text in brought.texts():
        try:
            found += [replace(one, key=_key(one)) for one in _conversations(text, brought) if one.nodes]
        except Unknown as refused:
            unknown = refused
            continue
        except Unreadable as refused:
            raise Unreadable(f"{name[-100:]}: {refused.cause}" if name else refused.cause, refused.action) from None
        used.add(name)
        if len(found) > MOST_CHATS or sum(len(one.nodes) for one in found) > MOST_NODES:
            raise Unreadable(f"The file has over {MOST_NODES:,} messages.", "Export fewer chats at a time.")
    if not used:
        raise unknown
    if not found:
        raise Unreadable("There is no message in the file.", "Choose another one.")
    return Found(chats=iter(found), left_out=(*_passed_over(found), *_named(brought.others(used))))


def _conversations(text: bytes, brought: Brought) -> list[Conversation]:
    if lines.is_ours(text):
        return lines.read(text)  # each message after its parent, or it is refused
    return [taking_turns(checked(one)) for one in foreign.read(_json(text), brought.asset)]


def _passed_over(found: list[Conversation]) -> list[str]:
    total = sum((Counter(one.left_out) for one in found), Counter())
    return _named([f"{kind} ({count:,})" for kind, count in sorted(total.items())], "kinds")


def _named(names: list[str], what: str = "files") -> list[str]:
    more = len(names) - NAMED
    return names if more <= 1 else [*names[:NAMED], f"{more:,} more {what}"]


def _key(one: Conversation) -> str:
    told = [(node.id, node.parent, node.side, node.text, node.kept.get("digest")) for node in one.nodes]
    return sha256(canonical([one.source, one.title, one.created, told]))


def _json(data: bytes) -> Any:
    """Half a character, as some exports hold where they cut a text, is no reason to refuse the rest: Python's own
    reader takes it."""
    try:
        return orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)
    except RecursionError:
        raise Unreadable("The file is nested too deep.", "Export it without nesting (not recursive).") from None
    except UnicodeDecodeError:
        raise Unreadable("The file is not JSON, nor an archive of it.", "Choose the export as it came.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Unreadable(f"The file is not JSON: it breaks at {where}.", "Download the export again.") from None


def _back(row: dict[str, Any]) -> Conversation:
    nodes = tuple(Node(**{**one, "created": moment(one["created"])}) for one in row.pop("nodes"))
    return Conversation(**{**row, "created": moment(row["created"]), "nodes": nodes})


def main() -> None:
    confine(memory=MEMORY, seconds=SECONDS)
    out = sys.stdout.buffer
    try:
        found = _found(sys.stdin.buffer.read(), int(sys.argv[1]))
    except Unreadable as refused:
        out.write(orjson.dumps({"cause": refused.cause, "action": refused.action}) + b"\n")
        return
    except (MemoryError, RecursionError):
        out.write(orjson.dumps({"cause": HUGE.cause, "action": HUGE.action}) + b"\n")
        return
    out.write(orjson.dumps({"left_out": found.left_out}) + b"\n")
    for one in found.chats:
        out.write(orjson.dumps(asdict(one)) + b"\n")


if __name__ == "__main__":
    main()
