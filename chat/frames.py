"""What a browser says, as values: parsed once, here, and refused in words when it makes no sense.

It knows the wire and no row. Authority is not decided here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from workspace.types import Failure
from workspace.wire import (
    MAX_COLLECTIONS,
    MAX_DRAFT,
    MAX_FRAME,
    MAX_LANES,
    MAX_SYSTEM,
    MAX_TEXT,
    MAX_VALUE,
    MAX_VARIABLES,
    Ask,
    Tell,
)

# Of a lane: what it may be given besides its model, and from where to where; whole numbers where the low end is one.
PARAMETERS = {"temperature": (0.0, 2.0), "top_p": (0.01, 1.0), "max_tokens": (1, 10_000_000)}


class Refused(Exception):
    """A frame that is not carried out. ``client_id`` lets the composer give the text back."""

    def __init__(self, code: str, cause: str, action: str, *, client_id: str = "") -> None:
        super().__init__(cause)
        self.failure = Failure(code=code, cause=cause, action=action)
        self.client_id = client_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    chat: UUID
    seen: Mapping[UUID, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """``attached`` are documents for this question, ``kept`` those for the chat from here on."""

    client_id: UUID
    text: str
    chat: UUID | None = None
    parent: UUID | None = None
    blobs: tuple[str, ...] = ()
    model: str = ""
    documents: bool = False
    collections: tuple[UUID, ...] = ()
    attached: tuple[UUID, ...] = ()
    kept: tuple[UUID, ...] = ()
    web: bool = False
    reasoning: bool = False
    persona: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneAsk:
    """What makes one lane of a comparison: its model, and what it is given besides. ``parent`` is the answer it goes on
    from, where that is another one than the others'."""

    model: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)
    system: str | None = None
    configuration: int | None = None
    persona: int | None = None
    parent: UUID | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """As its row keeps it: what was given."""
        fields = {
            "parameters": dict(self.parameters),
            "system": self.system,
            "configuration": self.configuration,
            "persona": self.persona,
        }
        return {"model": self.model} | {name: value for name, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(Send):
    lanes: tuple[LaneAsk, ...]
    blind: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuse:
    client_id: UUID
    chat: UUID
    comparison: UUID
    lanes: tuple[UUID, ...]
    model: str = ""
    instruction: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """One lane more in a comparison that is there; or ``again``, one of its lanes that failed, in its place."""

    client_id: UUID
    chat: UUID
    comparison: UUID
    lane: LaneAsk
    again: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    client_id: UUID
    chat: UUID
    message: UUID
    model: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Continue:
    chat: UUID
    message: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    chat: UUID
    message: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggest:
    id: int
    text: str


Frame = Open | Send | Compare | Fuse | Join | Retry | Continue | Stop | Suggest


def parse(data: str | bytes | None) -> Frame:
    """One frame. Raises Refused."""
    if not isinstance(data, str):
        raise Refused("bad_frame", "The message is not text.", "Reload the page and send it again.")
    if len(data) > MAX_FRAME:
        raise Refused(
            "too_long", f"The message is over {MAX_FRAME // 1_000_000} MB.", "Attach it as a file, or shorten it."
        )
    try:
        said = orjson.loads(data)
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, dict):
        raise Refused("bad_frame", "The message is not JSON.", "Reload the page and send it again.")
    fields = _Fields(said)
    match said.get("type"):
        case Ask.OPEN:
            return Open(chat=fields.id("chat"), seen=fields.seen())
        case Ask.SEND:
            return _send(fields)
        case Ask.COMPARE:
            return _compare(fields)
        case Ask.FUSE:
            return Fuse(
                client_id=fields.id("client_id"),
                chat=fields.id("chat"),
                comparison=fields.id("comparison"),
                lanes=fields.ids("lanes", MAX_LANES),
                model=fields.text("model"),
                instruction=fields.text("instruction").strip()[:MAX_SYSTEM],
            )
        case Ask.LANE:
            return Join(
                client_id=fields.id("client_id"),
                chat=fields.id("chat"),
                comparison=fields.id("comparison"),
                lane=_lane(fields),
                again=fields.maybe_id("again"),
            )
        case Ask.RETRY:
            return Retry(
                client_id=fields.id("client_id"),
                chat=fields.id("chat"),
                message=fields.id("message"),
                model=fields.text("model"),
            )
        case Ask.CONTINUE:
            return Continue(chat=fields.id("chat"), message=fields.id("message"))
        case Ask.STOP:
            return Stop(chat=fields.id("chat"), message=fields.id("message"))
        case Ask.SUGGEST:
            return Suggest(id=fields.number("id"), text=fields.text("text")[-MAX_DRAFT:])
        case other:
            raise fields.refuse(
                "unknown_frame", f"“{str(other)[:40]}” is not something the server does.", "Reload the page."
            )


def dump(type: Tell, /, **fields: Any) -> bytes:
    """A frame as it goes onto the wire."""
    dumped = orjson.dumps({"type": type.value, **fields}, default=str)
    return bytes(memoryview(dumped))  # a copy of its own size: orjson's holds 4 KB, and a live answer keeps its frames


def refusal(failure: Failure, client_id: str = "") -> bytes:
    return dump(
        Tell.REFUSED, client_id=client_id or None, code=failure.code, cause=failure.cause, action=failure.action
    )


def _send(fields: _Fields) -> Send:
    return Send(**_question(fields), model=fields.text("model"))


def _compare(fields: _Fields) -> Compare:
    question = _question(fields)
    lanes = tuple(_lane(each) for each in fields.each("lanes"))
    if not 2 <= len(lanes) <= MAX_LANES:
        raise fields.refuse(
            "lanes", f"A comparison has 2 to {MAX_LANES} lanes, not {len(lanes)}.", "Choose models in the picker."
        )
    if question["chat"] is None and any(lane.parent for lane in lanes):
        raise fields.refuse("no_parent", "A lane goes on from an answer that is in no chat.", "Reload the page.")
    if fields.flag("blind") and len({lane.parent for lane in lanes}) > 1:
        raise fields.refuse(
            "blind_parents",
            "Blind lanes that go on from several answers would tell who is who.",
            "Switch Blind off, or continue from one lane.",
        )
    return Compare(**question, lanes=lanes, blind=fields.flag("blind"))


def _lane(fields: _Fields) -> LaneAsk:
    parameters = {name: fields.between(name, low, high) for name, (low, high) in PARAMETERS.items()}
    system = fields.text("system").strip()
    if len(system) > MAX_SYSTEM:
        raise fields.refuse("too_long", f"An instruction of a lane is over {MAX_SYSTEM:,} characters.", "Shorten it.")
    return LaneAsk(
        model=fields.text("model"),
        parameters={name: value for name, value in parameters.items() if value is not None},
        system=system or None,
        configuration=fields.maybe_number("configuration"),
        persona=fields.maybe_number("persona"),
        parent=fields.maybe_id("parent"),
    )


def _question(fields: _Fields) -> dict[str, Any]:
    """What every question has, however many answer it."""
    text, blobs = fields.text("text").strip(), fields.digests("blobs")
    chat, parent = fields.maybe_id("chat"), fields.maybe_id("parent")
    if not text and not blobs:
        raise fields.refuse("empty", "The message is empty.", "Write something, or attach an image.")
    if len(text) > MAX_TEXT:
        raise fields.refuse(
            "too_long",
            f"The message has {len(text):,} characters; {MAX_TEXT:,} fit.",
            "Shorten it, or send it in parts.",
        )
    if "\x00" in text:
        raise fields.refuse("bad_text", "The message holds a null character.", "Remove it and send again.")
    if parent and not chat:
        raise fields.refuse("no_parent", "The message follows one that is in no chat.", "Reload the page.")
    return {
        "client_id": fields.id("client_id"),
        "chat": chat,
        "parent": parent,
        "text": text,
        "blobs": blobs,
        "documents": fields.flag("documents"),
        "collections": fields.ids("collections", MAX_COLLECTIONS) if fields.has("collections") else (),
        "attached": fields.ids("attached", MAX_COLLECTIONS) if fields.has("attached") else (),
        "kept": fields.ids("kept", MAX_COLLECTIONS) if fields.has("kept") else (),
        "web": fields.flag("web"),
        "reasoning": fields.flag("reasoning"),
        "persona": fields.maybe_number("persona"),
        "variables": fields.variables(),
    }


class _Fields:
    """Typed reading of one frame's fields; what is wrong names the field."""

    def __init__(self, said: dict[str, Any]) -> None:
        self._said = said

    def refuse(self, code: str, cause: str, action: str) -> Refused:
        client_id = self._said.get("client_id")
        return Refused(code, cause, action, client_id=client_id[:64] if isinstance(client_id, str) else "")

    def maybe_id(self, name: str) -> UUID | None:
        return None if self._said.get(name) is None else self.id(name)

    def id(self, name: str) -> UUID:
        try:
            return UUID(self._said[name])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise self._wrong(name, "an id") from None

    def text(self, name: str) -> str:
        value = self._said.get(name) or ""
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise self._wrong(name, "valid Unicode") from None
        return value

    def number(self, name: str) -> int:
        value = self._said.get(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._wrong(name, "a number")
        return value

    def has(self, name: str) -> bool:
        return self._said.get(name) is not None

    def maybe_number(self, name: str) -> int | None:
        return None if self._said.get(name) is None else self.number(name)

    def between(self, name: str, low: float, high: float) -> float | None:
        value = self._said.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self._wrong(name, f"a number from {low:g} to {high:g}")
        if isinstance(low, int) and value != int(value):
            raise self._wrong(name, "a whole number")
        return int(value) if isinstance(low, int) else value

    def each(self, name: str) -> list[_Fields]:
        value = self._said.get(name)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise self._wrong(name, "a list of objects")
        return [_Fields({**one, "client_id": self._said.get("client_id")}) for one in value]

    def ids(self, name: str, most: int) -> tuple[UUID, ...]:
        value = self._said.get(name)
        try:
            if isinstance(value, list) and len(value) <= most:
                return tuple(dict.fromkeys(UUID(one) for one in value))
        except (ValueError, TypeError, AttributeError):
            pass
        raise self._wrong(name, f"a list of at most {most} ids")

    def flag(self, name: str) -> bool:
        value = self._said.get(name) or False
        if not isinstance(value, bool):
            raise self._wrong(name, "true or false")
        return value

    def digests(self, name: str) -> tuple[str, ...]:
        value = self._said.get(name) or []
        if (
            not isinstance(value, list)
            or len(value) > 16
            or not all(isinstance(d, str) and len(d) == 64 for d in value)
        ):
            raise self._wrong(name, "a list of at most 16 digests")
        return tuple(dict.fromkeys(value))

    def variables(self) -> dict[str, str]:
        value = self._said.get("variables") or {}
        if not isinstance(value, dict) or len(value) > MAX_VARIABLES:
            raise self._wrong("variables", f"at most {MAX_VARIABLES} texts by name")
        read = _Fields(value)
        try:
            return {name[:40]: read.text(name)[:MAX_VALUE].replace("\x00", "") for name in value}
        except Refused:
            raise self._wrong("variables", f"at most {MAX_VARIABLES} texts by name") from None

    def seen(self) -> dict[UUID, int]:
        value = self._said.get("seen") or {}
        if not isinstance(value, dict) or len(value) > 256 or not all(isinstance(n, int) for n in value.values()):
            raise self._wrong("seen", "numbers by run")
        try:
            return {UUID(run): number for run, number in value.items()}
        except ValueError:
            raise self._wrong("seen", "numbers by run") from None

    def _wrong(self, name: str, wanted: str) -> Refused:
        return self.refuse("bad_frame", f"The field “{name}” is not {wanted}.", "Reload the page and send it again.")
