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

from chat.exchange.nodes import MOST_NODES, Conversation, Node, Unreadable, moment
from chat.exchange.shapes import Asked, Thumbed, Voted, conforms
from workspace.types import Evidence, Failure, Manifest, Part, canonical, sha256
from workspace.wire import LANE_LETTERS, MAX_LANES

KIND = "onepane.chat"
VERSION = 2  # the first had no votes
READABLE = (1, 2)
STATES = ("done", "stopped", "failed", "interrupted")
ALTERED = "Take another copy of it. A file that was changed by hand is not taken."


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
            found.append(_conversation(lines[begin:at], _value(line)))
            begin = at + 1
    if begin < len(lines) or not found:
        raise Unreadable("The file ends before its last line.", "Take another copy of it: this one is not whole.")
    return found


def _conversation(lines: list[bytes], end: Mapping[str, Any]) -> Conversation:
    if sha256(b"".join(lines)) != end.get("digest"):
        raise Unreadable("The file is not what was exported: its digest does not fit.", ALTERED)
    head, *rest = [_value(line) for line in lines] or [{}]
    if head.get("kind") != KIND or head.get("version") not in READABLE:
        raise Unreadable("The file is of a version that is not known here.", "Bring Onepane up to date.")
    kinds: dict[str, list[Mapping[str, Any]]] = {}
    for line in rest:
        kinds.setdefault(str(line.get("kind")), []).append(line)
    if unknown := kinds.keys() - {"blob", "message", *POINTERS}:
        raise Unreadable(f"The file has lines of a kind that is not known: {min(unknown)[:30]}.", ALTERED)
    messages = kinds.get("message", [])
    if len(messages) > MOST_NODES:
        raise Unreadable(f"The file has over {MOST_NODES:,} messages.", "Export a branch of it.")
    blobs = {str(line.get("digest")): _blob(line) for line in kinds.get("blob", [])}
    links: dict[int, str] = {}
    nodes = tuple(_node(line, place, links, blobs) for place, line in enumerate(messages))
    kept = {name: [_pointer(line, len(messages)) for line in kinds.get(name, [])] for name in POINTERS}
    for line in kept["comparison"]:
        _check_comparison(line, messages)
    return Conversation(
        title=str(head.get("title") or ""),
        nodes=nodes,
        source="Onepane",
        created=moment(head.get("created")),
        kept={**kept, "blobs": list(blobs.values())},
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
        and all(isinstance(line.get(name), dict) for name in ("grounding", "variables"))
        and isinstance(line.get("reasoning"), bool)
        and isinstance(line.get("author"), str | None)
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
        _check_run(run, place)
    return Node(
        id=str(place),
        parent=None if parent is None else str(parent),
        side="person" if role == "person" else "model",
        author=line.get("author") or "",
        created=moment(line["created"]),
        kept=bare,
    )


def _check_run(run: Mapping[str, Any], place: int) -> None:
    manifest = run.get("manifest")
    good = (
        run.get("state") in STATES
        and all(isinstance(run.get(name), str) for name in ("text", "reasoning"))
        and all(run.get(name) is None or conforms(run[name], int) for name in ("tokens_input", "tokens_output"))
        and all(run.get(name) is None or conforms(run[name], float) for name in ("first_token_s", "total_s"))
        and (run.get("failure") is None or conforms(run["failure"], Failure))
        and (run.get("evidence") is None or conforms(run["evidence"], tuple[Evidence, ...]))
        and (manifest is None or conforms(manifest, Manifest, also=("digest",)))
    )
    if not good:
        raise Unreadable(f"What made message {place} of the file makes no sense.", ALTERED)
    if manifest and "digest" in manifest:
        plain = {name: value for name, value in manifest.items() if name != "digest"}
        if manifest["digest"] != sha256(canonical(plain)):
            raise Unreadable(f"The manifest of message {place} is not what was exported.", ALTERED)


# What points at messages, and the fields that do.
POINTERS = {
    "checkpoint": ("message",),
    "branch": ("message",),
    "origin": ("message", "of"),
    "comparison": ("question",),
    "fusion": ("message",),
}


def _pointer(line: Mapping[str, Any], messages: int) -> Mapping[str, Any]:
    numbers = [line.get(name) for name in POINTERS[str(line["kind"])]]
    lanes = line.get("lanes", [])
    if isinstance(lanes, list):
        numbers += [one.get("message") if isinstance(one, dict) else one for one in lanes]
    if not all(type(number) is int and 0 <= number < messages for number in numbers):
        raise Unreadable(f"A {line['kind']} of the file points at no message.", ALTERED)
    return line


def _check_comparison(line: Mapping[str, Any], messages: list[Mapping[str, Any]]) -> None:
    """Its lanes are answers, what they were given is of the shape it has here, and every vote is for what they said."""
    lanes = line.get("lanes")
    if not isinstance(lanes, list) or not lanes or not _are_places(lanes):
        raise Unreadable("A comparison of the file makes no sense.", ALTERED)
    answers = [messages[one["message"]] for one in lanes]
    said = {(LANE_LETTERS[one["place"]], answer["digest"]) for one, answer in zip(lanes, answers, strict=True)}
    digests = {one["message"]: answer["digest"] for one, answer in zip(lanes, answers, strict=True)}
    votes, thumbs = line.get("votes", []), [one.get("thumbs", []) for one in lanes]
    good = (
        all(answer["role"] == "model" for answer in answers)
        and all(conforms(one.get("asked", {}), Asked) for one in lanes)
        and conforms(votes, tuple[Voted, ...])
        and all(conforms(each, tuple[Thumbed, ...]) for each in thumbs)
        and all(_is_once_each(each) for each in (votes, *thumbs))
        and all(
            vote["digests"].items() <= said  # a lane may have come after a vote
            and (
                digests.get(vote["lane"]) in vote["digests"].values()
                if vote["choice"] == "best"
                else vote["lane"] is None
            )
            for vote in votes
        )
    )
    if not good:
        raise Unreadable("A vote or a lane of a comparison in the file makes no sense.", ALTERED)


def _are_places(lanes: list[Mapping[str, Any]]) -> bool:
    """Each has one lane that stands; those that were asked again stood in one."""
    standing = [one.get("place") for one in lanes if not one.get("replaced")]
    return (
        len(standing) <= MAX_LANES
        and standing == [*range(len(standing))]
        and all(one.get("place") in standing for one in lanes)
    )


def _is_once_each(thoughts: list[Mapping[str, Any]]) -> bool:
    """Nobody has two votes."""
    names = [one["by"] for one in thoughts if one["by"]]
    return len(names) == len(set(names)) and all(moment(one["created"]) for one in thoughts)


def _blob(line: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        data = base64.b64decode(str(line.get("data") or ""), validate=True)
    except binascii.Error:
        data = b""
    if sha256(data) != line.get("digest"):
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
