"""From the bytes of a file to checked conversations, in a process of its own, under limits.

``python -m chat.exchange.reading`` is that process: bytes on stdin, a conversation a line on stdout, and a last line
that says there are no more. Whatever a file does to it, the server only sees it end.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import IO, Any

import orjson

from chat.exchange import foreign, lines
from chat.exchange.nodes import (
    MOST_CHATS,
    MOST_NODES,
    Conversation,
    Node,
    Unreadable,
    checked,
    moment,
    taking_turns,
)
from workspace.hosts.errand import Busy, Errand, Failed, confine
from workspace.types import canonical, sha256

MEMORY = 3 << 30  # bytes of address space
SECONDS = 90  # of processor time
READING = Errand(module="chat.exchange.reading", patience=180.0, places=2)
INSIDE = 4  # times the limit of a file: what may come out of one that is packed
HUGE = Unreadable("The file unfolds to more than can be read.", "Export fewer chats at a time.")


def conversations(file: IO[bytes], most: int) -> Iterator[Conversation]:
    """Every conversation of a file; none is given before all are found to be good. Raises Unreadable."""
    try:
        with READING.told(file.read(most + 1), str(most)) as told:
            first = orjson.loads(told.readline())
            if "cause" in first:
                raise Unreadable(first["cause"], first["action"])
            for line in told:
                yield _back(orjson.loads(line))
    except Busy:
        raise Unreadable("Too many files are being read just now.", "Try again in a few minutes.") from None
    except Failed:
        raise HUGE from None


def parse(data: bytes, most: int) -> list[Conversation]:
    """The same here and now. Raises Unreadable."""
    if len(data) > most:
        raise Unreadable(f"The file is over {most // 1_000_000} MB.", "Export fewer chats at a time.")
    if data[:4] == b"PK\x03\x04":
        data = _unpacked(data, most * INSIDE)
    if lines.is_ours(data):
        found = lines.read(data)  # each message after its parent, or it is refused
    else:
        found = [taking_turns(checked(one)) for one in foreign.read(_json(data))]
    found = [one for one in found if one.nodes]
    if not found:
        raise Unreadable("There is no message in the file.", "Choose another one.")
    if len(found) > MOST_CHATS or sum(len(one.nodes) for one in found) > MOST_NODES:
        raise Unreadable(f"The file has over {MOST_NODES:,} messages.", "Export fewer chats at a time.")
    return [replace(one, key=_key(one)) for one in found]


def _key(one: Conversation) -> str:
    told = [(node.id, node.parent, node.side, node.text, node.kept.get("digest")) for node in one.nodes]
    return sha256(canonical([one.source, one.title, one.created, told]))


def _unpacked(data: bytes, most: int) -> bytes:
    """The one file of an archive that holds conversations, and never more of it than may be read."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [name for name in archive.namelist() if name.rsplit("/", 1)[-1] == "conversations.json"]
            names = names or [name for name in archive.namelist() if name.endswith((".json", ".jsonl"))][:1]
            if not names:
                raise Unreadable("There is no conversations.json in the archive.", "Choose the export as it came.")
            with archive.open(names[0]) as inside:
                found = inside.read(most + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, ValueError):
        raise Unreadable("The archive can't be opened.", "Download the export again.") from None
    if len(found) > most:
        raise HUGE
    return found


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
        found = parse(sys.stdin.buffer.read(), int(sys.argv[1]))
    except Unreadable as refused:
        out.write(orjson.dumps({"cause": refused.cause, "action": refused.action}) + b"\n")
        return
    except (MemoryError, RecursionError):
        out.write(orjson.dumps({"cause": HUGE.cause, "action": HUGE.action}) + b"\n")
        return
    out.write(orjson.dumps({"chats": len(found)}) + b"\n")
    for one in found:
        out.write(orjson.dumps(asdict(one)) + b"\n")


if __name__ == "__main__":
    main()
