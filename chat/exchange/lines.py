"""Our own format: JSON Lines that lose nothing, and show when a byte was changed.

The first line tells what follows; then come files, messages (each after its parent, named by its number), and what
points at them. Every message carries a link over its parent's and its own content, the last line the digest of all
lines before it. Nothing in a file names a row, so the same chat is the same file wherever it is.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from chat.exchange.nodes import Conversation, Node, Unreadable, moment
from chat.exchange.sense import (
    ALTERED,
    POINTERS,
    Line,
    check_pointers,
    check_run,
    check_sizes,
    check_turns,
    is_grounding,
)
from chat.exchange.shapes import conforms
from workspace.types import Part, canonical, sha256, text_of

KIND = "onepane.chat"
VERSION = 3  # the first had no votes, the second no steps, no replays, and no order in time
READABLE = (1, 2, 3)
SINCE = {"step": 3, "replay": 3}  # kinds of lines that an older version has not


def write(head: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> bytes:
    """The file. ``lines`` are of the kinds that ``read`` takes, messages in the order of their numbers."""
    told = [canonical({"kind": KIND, "version": VERSION, **head})]
    links: dict[int, str] = {}
    for line in lines:
        if line["kind"] == "message":
            links[line["n"]] = _link(line, links)
            line = {**line, "link": links[line["n"]]}
        told.append(canonical(line))
    body = b"".join(one + b"\n" for one in told)
    return body + canonical({"kind": "end", "digest": sha256(body)}) + b"\n"


def is_ours(data: bytes) -> bool:
    return data.lstrip()[:400].split(b"\n", 1)[0].find(b'"onepane.chat"') > 0


def read(data: bytes) -> list[Conversation]:
    """One file, or several after each other. Raises Unreadable."""
    found, begin = [], 0
    lines = data.splitlines(keepends=True) if b"\r" not in data else data.replace(b"\r\n", b"\n").splitlines(True)
    for at, line in enumerate(lines):
        if line.startswith(b'{"digest"') and b'"kind":"end"' in line:
            found.append(_conversation(lines[begin:at], _value(line), first=begin + 1))
            begin = at + 1
    if begin < len(lines) or not found:
        raise Unreadable("The file ends before its last line.", "Take another copy of it: this one is not whole.")
    return found


def _conversation(lines: list[bytes], end: Mapping[str, Any], *, first: int) -> Conversation:
    """The lines of one conversation, the first of them with its number in the file."""
    if sha256(b"".join(lines)) != end.get("digest"):
        raise Unreadable("The file is not what was exported: its digest does not fit.", ALTERED)
    head, *rest = [_value(line) for line in lines] or [{}]
    version = head.get("version")
    if head.get("kind") != KIND or version not in READABLE:
        raise Unreadable("The file is of a version that is not known here.", "Bring Onepane up to date.")
    kinds: dict[str, list[Line]] = {name: [] for name in ("blob", "message", *POINTERS)}
    for at, line in enumerate(rest, start=first + 1):
        kind = str(line.get("kind"))
        if kind not in kinds or version < SINCE.get(kind, 0):
            raise Unreadable(f"The file has lines of a kind that is not known: {kind[:30]}.", ALTERED)
        kinds[kind].append((at, line))
    check_sizes(kinds)
    blobs = {str(line.get("digest")): _blob(line) for _, line in kinds["blob"]}
    links: dict[int, str] = {}
    nodes = tuple(_node(line, place, links, blobs) for place, (_, line) in enumerate(kinds["message"]))
    check_turns(kinds["message"])
    check_pointers(kinds, ordered=version >= 3)
    # When each came to be among all messages and steps; in older files they stand in that order, as well as they can.
    order = [line["at"] if version >= 3 else place for place, (_, line) in enumerate(kinds["message"])]
    return Conversation(
        title=str(head.get("title") or ""),
        nodes=nodes,
        source="Onepane",
        created=moment(head.get("created")),
        kept={name: [line for _, line in kinds[name]] for name in POINTERS}
        | {"blobs": list(blobs.values()), "order": order},
    )


def _node(line: Mapping[str, Any], place: int, links: dict[int, str], blobs: Mapping[str, Any]) -> Node:
    """A message as it stands in its line; every value that a page reads is of the shape it has here."""
    number, parent, run = line.get("n"), line.get("parent"), line.get("run")
    bare = {name: value for name, value in line.items() if name != "link"}
    role = line.get("role")
    good = (
        number == place
        and (parent is None or (type(parent) is int and 0 <= parent < place))
        and role in ("person", "model")
        and (role == "model") is isinstance(run, Mapping)
        and conforms(line.get("parts"), tuple[Part, ...])
        and all(part.get("text") for part in line["parts"] if part["kind"] == "text")
        and is_grounding(line.get("grounding"))
        and conforms(line.get("variables"), Mapping[str, str])
        and isinstance(line.get("reasoning"), bool)
        and all(isinstance(line.get(name), str | None) for name in ("author", "persona"))
        and moment(line.get("created")) is not None
    )
    if not good:
        raise Unreadable(f"Message {place} of the file makes no sense.", ALTERED)
    links[place] = _link(bare, links)
    if line.get("link") != links[place] or line.get("digest") != sha256(canonical(line["parts"])):
        raise Unreadable(f"Message {place} of the file is not what was exported.", ALTERED)
    if any(part.get("kind") != "text" and part.get("digest") not in blobs for part in line["parts"]):
        raise Unreadable(f"Message {place} shows a file that is not there.", ALTERED)
    if run is not None:
        check_run(run, f"message {place}", said=text_of(tuple(Part(**part) for part in line["parts"])))
    return Node(
        id=str(place),
        parent=None if parent is None else str(parent),
        side="person" if role == "person" else "model",
        author=line.get("author") or "",
        created=moment(line["created"]),
        kept=bare,
    )


def _blob(line: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        data = base64.b64decode(str(line.get("data") or ""), validate=True)
    except binascii.Error:
        data = b""
    if not data or sha256(data) != line.get("digest"):
        raise Unreadable("A picture in the file is not what was exported.", ALTERED)
    return line


def _link(line: Mapping[str, Any], links: Mapping[int, str]) -> str:
    above = links.get(line["parent"], "") if line.get("parent") is not None else ""
    return sha256(above + "\n" + canonical(line).decode())


def _value(line: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise Unreadable("A line of the file is not JSON.", ALTERED)
    return value
