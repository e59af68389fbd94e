"""What a provider is. It knows one wire protocol, and no chat, person, database row or socket.

To add one: (1) a file here with a class that has ``kind``, ``label`` and ``stream``; (2) its line in
``PROVIDERS`` (``workspace/providers/registry.py``); (3) its recorded streams in ``tests/conformance/``;
(4) a row in the README's table. The contract test then runs every case through it.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from workspace.types import Delta, Evidence, Failure, PromptMessage, Reasoning, Usage

ABILITIES = ("images", "audio", "tools", "reasoning", "seed", "system")

ReadBlob = Callable[[str], Awaitable[bytes]]


class Secret(str):
    """A key, or a header that holds one: itself where it is sent, and nothing where values are listed for a reader,
    as in a log or the page of a traceback."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'(key)'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where and as whom: the base URL (or a Unix socket) and the key, decrypted for this call only."""

    base_url: str = ""
    key: str = field(default="", repr=False)
    socket: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one model. ``system`` is the whole system prompt, evidence already quoted in it;
    ``evidence`` is there for providers that read it themselves (``quotes``, citations of Anthropic)."""

    address: Address
    model: str
    messages: tuple[PromptMessage, ...]
    system: str = ""
    evidence: tuple[Evidence, ...] = ()
    unquoted: str | None = None  # the system prompt without the passages, for who may be given them in another form
    grounded: bool = False  # documents were searched, whether or not a passage was found
    abilities: frozenset[str] = frozenset()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    so_far: str = ""
    chat: str = ""  # whose turn it is, where chats share a machine
    first_token_deadline: float = 60.0
    idle_deadline: float = 60.0
    deadline: float = math.inf  # when it must be over, on ``time.monotonic``
    read_blob: ReadBlob | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The parameters as the provider sent them, for the manifest: always the first thing it yields."""

    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: Mapping[str, Any] | None
    arguments_raw: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A page the provider itself says it used."""

    url: str
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """What the words just said rest on, as the provider tells it beside them: a passage it was given, by its number,
    or a page or file by its address or name. What it never was given comes through too; the router drops that."""

    number: int = 0
    url: str = ""
    title: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The last thing a provider yields when a stream ended as it should: the finish reason as on the wire."""

    finish_reason: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """What the answer waits for, or has to do without, in words: a model that loads, memory that is short."""

    text: str


@dataclass(frozen=True, slots=True)
class Ran:
    """What a model of this machine ran in, from here on: ``precision``, ``device``, the ``context`` in tokens if it was
    cut, and ``short`` if want of memory made it so."""

    how: Mapping[str, Any]


Said = Sent | Delta | Reasoning | Usage | ToolCall | Source | Cited | Step | Ran | Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Wire:
    """An error as the provider sent it, for whoever debugs; never shown to a person."""

    type: str | None = None
    code: str | int | None = None
    message: str | None = None
    status: int | None = None


class ProviderError(Exception):
    """The one error a provider raises. Text already yielded stays; ``failure`` is in words for the person.

    Codes: auth, permission, not_found, bad_request, context_overflow, rate_limited, quota, overloaded,
    server_error, unreachable, timeout, cut_off, garbage, refused_content, out_of_memory. ``wire`` is there when
    the provider itself sent an error, ``finish_reason`` when it said why it gave no answer.
    """

    def __init__(self, failure: Failure, *, wire: Wire | None = None, finish_reason: str = "") -> None:
        super().__init__(failure.cause)
        self.failure = failure
        self.wire = wire
        self.finish_reason = finish_reason


class Provider(Protocol):
    kind: ClassVar[str]
    label: ClassVar[str]

    def stream(self, call: Call) -> AsyncIterator[Said]:
        """The model's answer as it comes. Raises ProviderError, at the call's deadlines too; closing the iterator ends
        the call."""
        ...

    async def models(self, address: Address) -> list[str]:
        """The names of models the key may use. Raises ProviderError."""
        ...
