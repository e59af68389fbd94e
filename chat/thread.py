"""A chat's thread as its templates show it: each message with its versions, its run's figures and its evidence.

The page, a settled frame and a fragment render the same partials from the same values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from chat import tree
from chat.models import Message
from chat.record import asked, parts_of
from chat.rendering import render, split_closed
from retrieval.models import Document
from retrieval.support import FOUND, RIGHT, cited_numbers, grounds, sentences
from workspace.router.models import Judgement, Run
from workspace.router.states import LIVE, RunState
from workspace.types import Evidence, Part
from workspace.wire import RunEventKind

if TYPE_CHECKING:
    from chat.compare.board import Board

FEW = 3  # passages shown before an answer cites any


@dataclass(frozen=True)
class Versions:
    """‹ 2/3 ›: which of its siblings a message is, and its neighbours."""

    place: int
    count: int
    earlier: UUID | None
    later: UUID | None


@dataclass(frozen=True)
class Passages:
    """The evidence of an answer: what it cites, else the best few, and the rest, which the model was given too."""

    first: list[dict[str, Any]]
    rest: list[dict[str, Any]]

    @classmethod
    def of(cls, evidence: list[dict[str, Any]], cited: Sequence[int] = ()) -> Passages:
        wanted = set(cited) & {e["number"] for e in evidence} or {e["number"] for e in evidence[:FEW]}
        return cls([e for e in evidence if e["number"] in wanted], [e for e in evidence if e["number"] not in wanted])


@dataclass
class Shown:
    """A message as a template reads it."""

    message: Message
    versions: Versions | None = None
    board: Board | None = None  # of the comparison that it is a lane of
    flags: Sequence[str] = ()  # the names of the checkpoints that stand here
    fused: str = ""  # the letters of the lanes that it was made of
    instruction: str = ""  # by which

    @property
    def is_question(self) -> bool:
        return self.message.role == Message.Role.PERSON

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        return parts_of(self.message)

    @cached_property
    def text(self) -> str:
        return "\n\n".join(part.text for part in self.parts if part.kind == "text")

    @property
    def brought_from(self) -> Message | None:
        """What it was copied from, of this chat: a copy of another chat says so once, at its top."""
        origin = self.message.origin
        return origin if origin and origin.chat_id == self.message.chat_id else None

    @property
    def images(self) -> list[Part]:
        return [part for part in self.parts if part.kind == "image"]

    @property
    def files(self) -> list[str]:
        """The documents that lay beside the question and are still there."""
        given = self.message.grounding
        ids = [*given.get("attached", ()), *given.get("kept", ())]
        return list(Document.objects.filter(pk__in=ids).values_list("name", flat=True)) if ids else []

    @property
    def searched_for(self) -> str:
        """What was searched in place of the question's own words, where it leaned on the one before it."""
        lines = (self.run.manifest or {}).get("searched") or []
        return next(
            (str(line.get("query")) for line in lines if line.get("asked", line.get("query")) != line.get("query")), ""
        )

    @property
    def run(self) -> Run:
        assert self.message.run is not None
        return self.message.run

    @property
    def is_live(self) -> bool:
        return self.run.state in LIVE

    @property
    def is_interrupted(self) -> bool:
        return self.run.state == RunState.INTERRUPTED

    @cached_property
    def may_continue(self) -> bool:
        """What was asked below an answer was asked of it as it is."""
        return self.is_interrupted and not self.message.children.exists()

    @cached_property
    def live(self) -> _LiveText:
        return _LiveText.of(self.run)

    @property
    def seq(self) -> int:
        return self.live.seq if self.is_live else self.run.seq

    @property
    def evidence(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.live.evidence if self.is_live else self.run.evidence
        return found

    @cached_property
    def passages(self) -> Passages:
        return Passages.of(self.evidence, cited_numbers(self.text))

    @cached_property
    def html(self) -> SafeString:
        return render(self.text, issued={e["number"] for e in self.evidence}, marks=self._marked())

    def _marked(self) -> Sequence[tuple[int, int, str]]:
        if self.judgement:
            return [(start, end, verdict) for start, end, verdict in self.judgement.verdicts if verdict != "supported"]
        if not self.support:
            return ()
        return _marks(self.text, tuple(Evidence(**passage) for passage in self.evidence), asked(self.message))

    @property
    def decision(self) -> Mapping[str, Any] | None:
        return self.live.decision if self.is_live else self.run.decision

    @property
    def model(self) -> str:
        """The model that answered, else the one that was decided on."""
        manifest = self.run.manifest or {}
        return manifest.get("model") or (self.decision or {}).get("model") or ""

    @property
    def mark(self) -> int | None:
        version = self.run.model_version
        return version.model.mark if version else None

    @property
    def reason(self) -> str:
        return (self.decision or {}).get("reason", "")

    @property
    def reasoning(self) -> str:
        return self.live.reasoning if self.is_live else self.run.reasoning

    @cached_property
    def broke_off(self) -> list[str]:
        """“fast broke off after 12 words; deep went on”: each time that somebody went on with the answer."""
        attempts = (self.run.manifest or {}).get("attempts") or []
        ends = [after["offset"] for after in attempts[1:]] + [len(self.run.text)]
        wrote = [attempt for attempt, end in zip(attempts, ends, strict=False) if end > attempt["offset"]]
        told = []
        for one, after in pairwise(wrote):
            words = len(self.run.text[: after["offset"]].split())
            who = "it" if after["model"] == one["model"] else after["model"]
            told.append(f"{one['model']} broke off after {words} word{'' if words == 1 else 's'}; {who} went on.")
        return told

    @property
    def usage(self) -> Mapping[str, Any]:
        return (self.run.manifest or {}).get("usage") or {}

    @property
    def speed(self) -> int | None:
        """Tokens per second after the first: of the answer's decoding, not of the wait before it."""
        run = self.run
        if not run.tokens_output or run.first_token_s is None or run.total_s is None:
            return None
        spent = run.total_s - run.first_token_s
        return round((run.tokens_output - 1) / spent) if spent > 0.02 and run.tokens_output > 4 else None

    @property
    def judgement(self) -> Judgement | None:
        """A judge's, where one read the answer."""
        return getattr(self.run, "judgement", None)

    @property
    def judge(self) -> str:
        return self.judgement.model if self.judgement else ""

    @property
    def uncited(self) -> int:
        """Citations of what was never given."""
        return int((self.run.manifest or {}).get("uncited") or 0)

    @property
    def accuracy(self) -> Mapping[str, int]:
        return {"found": FOUND, "right": RIGHT}

    @property
    def support(self) -> Mapping[str, int] | None:
        found: Mapping[str, int] | None = (self.run.manifest or {}).get("support")
        if self.judgement:
            told = [verdict for *_, verdict in self.judgement.verdicts]
            found = {verdict: told.count(verdict) for verdict in ("supported", "weak", "unsupported")}
        return {**found, "all": sum(found.values())} if found and sum(found.values()) else None


@dataclass(frozen=True)
class _LiveText:
    """What the journal holds of a running answer, as a page that comes in the middle shows it."""

    seq: int
    closed: SafeString
    tail: str
    reasoning: str
    step: str
    evidence: list[dict[str, Any]]
    decision: dict[str, Any] | None

    @classmethod
    def of(cls, run: Run) -> _LiveText:
        text, reasoning, step = [run.text], [run.reasoning], ""
        evidence: list[dict[str, Any]] = []
        decision, last = None, run.seq
        for event in run.events.all():
            last = event.seq
            match event.kind:
                case RunEventKind.DELTA:
                    text += orjson.loads(event.data)
                case RunEventKind.REASONING:
                    reasoning += orjson.loads(event.data)
                case RunEventKind.STEP:
                    step = orjson.loads(event.data)["text"]
                case RunEventKind.EVIDENCE:
                    evidence = orjson.loads(event.data)
                case RunEventKind.DECISION:
                    decision = orjson.loads(event.data)
        closed, tail = split_closed("".join(text))
        html = render(closed, issued={e["number"] for e in evidence})
        return cls(last, html, tail, "".join(reasoning), step, evidence, decision)


def shown(messages: Sequence[Message]) -> list[Shown]:
    """The messages of a path with their versions. What one answers is loaded already, but for the first's."""
    by = {message.pk: message for message in messages}
    for message in messages:
        if message.parent_id in by:
            message.parent = by[message.parent_id]
    family = tree.siblings(list(messages))
    return [Shown(message, _versions(message, family[message.pk])) for message in messages]


def evidence_html(run_id: UUID, evidence: list[dict[str, Any]]) -> str:
    """The cards of an answer's evidence."""
    return render_to_string("chat/_evidence.html", {"passages": Passages.of(evidence), "run_id": run_id})


@lru_cache(maxsize=2_048)
def _marks(text: str, evidence: tuple[Evidence, ...], question: str) -> tuple[tuple[int, int, str], ...]:
    """Sentences that do not stand on their passages. The same answer is shown more than once."""
    found = sentences(text, grounds(evidence, question))
    return tuple((one.start, one.end, one.verdict) for one in found if one.verdict != "supported")


def _versions(message: Message, family: list[UUID]) -> Versions | None:
    if len(family) < 2:
        return None
    place = family.index(message.pk)
    earlier = family[place - 1] if place else None
    later = family[place + 1] if place + 1 < len(family) else None
    return Versions(place + 1, len(family), earlier, later)
