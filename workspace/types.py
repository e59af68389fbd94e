"""The words every layer shares: frozen values that cross module borders.

The ground floor. It imports nothing of ours and everything may import it. Nothing here knows a
database, a socket or a wire protocol. Times are seconds as float, money is US dollars as Decimal,
digests are lower-case SHA-256 in hex, text is Unicode.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import orjson

PartKind = Literal["text", "image", "file", "audio"]
Role = Literal["system", "person", "model"]
Mode = Literal["interactive", "background"]

MANIFEST_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One piece of a message. Bytes live once in the blob store, named by ``digest``, never in a row."""

    kind: PartKind
    text: str = ""
    digest: str = ""
    media_type: str = ""
    name: str = ""
    size: int = 0
    width: int = 0
    height: int = 0


def text_part(text: str) -> Part:
    return Part(kind="text", text=text)


def text_of(parts: tuple[Part, ...]) -> str:
    """The words of a message, its text parts joined by a blank line."""
    return "\n\n".join(part.text for part in parts if part.kind == "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptMessage:
    """One message as a model is told it."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounding:
    """Where evidence may come from: ids of collections, of ``attached`` documents, and the web. ``offered``: when the
    person asked for none, a route may take from all that they may read."""

    collections: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    offered: bool = False
    web: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether the person asked for any."""
        return bool(self.collections or self.attached or self.web)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks of the router: the whole of it, so that the same request can be made again.

    ``user`` and ``groups`` are names, as conditions speak of them.

    ``messages`` runs from the first of the branch to the question, oldest first. ``model`` is the name the person
    chose; empty leaves the choice to the router. ``so_far`` is text an interrupted answer already has: the model goes
    on after it. ``system`` is a system prompt of the caller's own, in place of the workspace's; ``None`` takes that
    one. ``configuration``, ``template``, ``model_version`` and ``provider_version`` are versions in place of the
    current ones; ``persona`` is a prompt template whose current version is taken. ``variables`` are what a template's
    names in braces stand for. ``evidence`` was gathered before: nothing is searched. Passages that are ``quoted`` stand
    in the prompt as text, also for a provider that has another form for them: lanes read the same. A request that is
    ``alone`` fails with its model: no other takes over. ``instead_of`` names the model whose answer, the router's
    choice, the person left for this one. ``parameters`` are ours by name (``temperature``, ``top_p``, ``max_tokens``,
    ``stop``); each provider translates them. ``asked`` is the question alone, where the last message holds more than
    it.
    """

    messages: tuple[PromptMessage, ...]
    person_id: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()
    chat_id: str = ""
    model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grounding: Grounding = Grounding()
    mode: Mode = "interactive"
    requires_reasoning: bool = False
    seed: int | None = None
    so_far: str = ""
    system: str | None = None
    instead_of: str = ""
    evidence: tuple[Evidence, ...] | None = None
    quoted: bool = False
    configuration: int | None = None
    template: int | None = None
    persona: int | None = None
    model_version: int | None = None
    provider_version: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False
    asked: str | None = None

    @property
    def prompt(self) -> str:
        """The words of the last message."""
        return text_of(self.messages[-1].parts) if self.messages else ""

    @property
    def question(self) -> str:
        """What the person asked."""
        return self.prompt if self.asked is None else self.asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One passage given to a model. ``number`` is what the prompt and the citation call it.

    ``start`` and ``end`` are character offsets into the document's text; ``digest`` is of ``text``;
    ``score`` lies in 0..1.
    """

    number: int
    chunk_id: str
    document_id: str
    title: str
    text: str
    digest: str
    score: float
    where: str = ""
    start: int = 0
    end: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceStep:
    """One route tried: its condition, the value it had (``None`` when a fact was missing) and a note."""

    route: str
    condition: str
    value: bool | None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """A candidate that was not called, and why."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Which model the router chose and why.

    ``reason`` is one short sentence for the run line. ``configuration`` and ``model_version`` are ids of
    immutable version rows. ``fallbacks`` are names of models, in order.
    """

    model: str
    model_version: int
    reason: str
    chosen_by: Literal["person", "route", "fallback"]
    route: str = ""
    configuration: int | None = None
    fallbacks: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "interactive"
    trace: tuple[TraceStep, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; ``estimated`` when we had to. ``input`` includes ``cached``;
    ``output`` includes ``reasoning``."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    estimated: bool = False
    cost: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why something did not work, in words for the person: the cause and what to do next."""

    code: str
    cause: str
    action: str
    permanent: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a run tells about itself, in order. Subclasses are the whole list."""


@dataclass(frozen=True, slots=True)
class StepTaken(Event):
    """What the run is waiting for, in words: "Reading 4 passages"."""

    text: str


@dataclass(frozen=True, slots=True)
class EvidenceFound(Event):
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Decided(Event):
    decision: Decision


@dataclass(frozen=True, slots=True)
class Delta(Event):
    text: str


@dataclass(frozen=True, slots=True)
class Reasoning(Event):
    text: str


@dataclass(frozen=True, slots=True)
class AttemptFailed(Event):
    """One call failed; the run goes on, from the words that there are, with the same model or another."""

    model: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class UsageReported(Event):
    usage: Usage


@dataclass(frozen=True, slots=True)
class Finished(Event):
    """The last event of every run that was not stopped. ``failure`` is set when it failed."""

    manifest: Manifest
    failure: Failure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """Seconds on one monotonic clock from the moment the router took the request."""

    evidence: float | None = None
    decided: float | None = None
    first_token: float | None = None
    first_answer_token: float | None = None
    total: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One call of a model: how it ended, and what it cost. ``offset`` is where in the answer its words begin; ``cost``
    is ``None`` when its price is not known. ``steps`` are what it had to wait for, or do without, in words;
    ``ran`` is what a model of this machine ran in (precision, device), more than one where short memory changed it.
    ``first_answer_token`` is the first that is no reasoning; times are taken as pieces come from the connection."""

    model: str
    model_version: int
    started: float
    ended: float | None = None
    first_token: float | None = None
    first_answer_token: float | None = None
    last_token: float | None = None
    offset: int = 0
    failure: Failure | None = None
    usage: Usage | None = None
    cost: Decimal | None = None
    steps: tuple[str, ...] = ()
    ran: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What made an answer (version 2): enough to make it again.

    ``model`` and what belongs to it are of the call that wrote last; ``usage`` and ``cost`` are of all ``attempts``.
    ``parameters`` are as sent to the provider, ``asked`` the same by our names. ``versions`` are digests of the rows
    that it names (``workspace/router/pins.py``). ``system`` is a system prompt that came with the request; no version
    holds it. ``conversation`` tells which messages were sent, by digest, and how many did not fit. ``seed`` is as it
    was asked, whether or not the model takes one. ``collections`` were searched, each in a numbered state.
    ``resolved_model`` is what the provider said it ran.
    ``cost`` is ``None`` when a price is not known, never 0. ``support`` counts sentences of a grounded
    answer: supported, weak, unsupported. ``searched`` tells which engines of the web were asked and what failed.
    ``uncited`` counts citations of passages that were never given: they were taken out of the text.
    """

    version: int = MANIFEST_VERSION
    model: str = ""
    model_version: int | None = None
    provider: str = ""
    provider_version: int | None = None
    upstream_model: str = ""
    resolved_model: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    asked: Mapping[str, Any] = field(default_factory=dict)
    prompt_template: str = ""
    prompt_template_version: int | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    system: str | None = None
    system_digest: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    conversation: Mapping[str, Any] = field(default_factory=dict)
    collections: tuple[Mapping[str, Any], ...] = ()
    decision: Decision | None = None
    evidence: tuple[Evidence, ...] = ()
    searched: tuple[Mapping[str, Any], ...] = ()
    seed: int | None = None
    finish_reason: str = ""
    usage: Usage | None = None
    cost: Decimal | None = None
    timings: Timings = Timings()
    attempts: tuple[Attempt, ...] = ()
    support: Mapping[str, int] | None = None
    uncited: int = 0
    text_digest: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values, with the digest of all the rest under ``digest``."""
        plain: dict[str, Any] = orjson.loads(canonical(self))
        plain["digest"] = sha256(canonical(plain))
        return plain


def canonical(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: the bytes that digests are taken of. Decimals become strings."""
    return orjson.dumps(value, default=str, option=orjson.OPT_SORT_KEYS)


def plain(value: Any) -> Any:
    """A frozen value as what JSON knows: mappings, lists, numbers, texts."""
    return orjson.loads(canonical(value))


def sha256(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()
