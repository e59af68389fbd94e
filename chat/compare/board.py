"""A comparison as its templates show it: lanes side by side, what they all read, and what was voted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db.models import prefetch_related_objects
from django.template.loader import render_to_string

from chat.compare.masks import mask, names_in
from chat.compare.rows import DISLIKED, LIKED, REASONS
from chat.models import Comparison, Fusion, Lane, Message, Thumb, Vote
from chat.record import parts_of
from chat.requests import OF_ROWS
from chat.thread import Shown, shown
from retrieval.support import cited_numbers
from workspace.accounts.models import Person
from workspace.router import catalog
from workspace.router.models import PromptTemplate
from workspace.router.prompts import FUSE, estimate_tokens
from workspace.router.states import LIVE
from workspace.types import canonical, sha256
from workspace.wire import MAX_LANES


@dataclass
class LaneShown(Shown):
    """One lane. ``held``: it is of a blind comparison that is not over, so how far it is, is not told by the page.
    ``before`` are answers that failed in its place, before it was asked again."""

    lane: Lane | None = None
    withheld: bool = False
    held: bool = False
    thumb: Thumb | None = None
    before: Sequence[Message] = ()

    @property
    def letter(self) -> str:
        assert self.lane is not None
        return self.lane.letter

    @cached_property
    def text(self) -> str:
        """Of a blind lane without the names that would tell who wrote it."""
        text = "\n\n".join(part.text for part in self.parts if part.kind == "text")
        return masked(self.message, text) if self.withheld else text

    @property
    def times(self) -> int:
        """How often it was asked."""
        return len(self.before) + 1

    @property
    def state(self) -> str:
        return "running" if self.held else self.run.state

    @property
    def mark(self) -> int | None:
        """Of the model that answers; before that is decided, of the one that was asked for."""
        found = super().mark
        asked = catalog.load_sync().candidates.get(self.lane.asked["model"]) if self.lane else None
        return asked.mark if found is None and asked else found

    @property
    def differs(self) -> str:
        """What it was given besides its model: “temperature 0.2 · own instruction”."""
        assert self.lane is not None
        asked = self.lane.asked
        words = [f"{name.replace('_', ' ')} {value:g}" for name, value in asked.get("parameters", {}).items()]
        words += [f"persona {persona}"] if (persona := self._persona) else []
        words += ["own instruction"] if asked.get("system") else []
        words += [f"router {self.run.router_version or 'version of its own'}"] if asked.get("configuration") else []
        return " · ".join(words)

    @property
    def given(self) -> str:
        """What it was given besides its model, as the page's lanes have it, for who goes on with it: JSON."""
        assert self.lane is not None
        asked = dict(self.lane.asked)
        given = {**asked.pop("parameters", {}), **asked}
        known = {name: value for name, value in given.items() if name not in OF_ROWS or isinstance(value, int)}
        return json.dumps({name: value for name, value in known.items() if name != "model"})

    @property
    def _persona(self) -> PromptTemplate | None:
        assert self.lane is not None
        chosen = self.lane.asked.get("persona")
        return PromptTemplate.objects.filter(pk=chosen).first() if isinstance(chosen, int) else None

    @property
    def price(self) -> Decimal | None:
        """Dollars for a million tokens of the answer, where a page comes in the middle of it."""
        found = catalog.load_sync().candidates.get(self.model or self.lane.asked["model"]) if self.lane else None
        return found.price_output if found else None

    @property
    def because(self) -> Sequence[str]:
        """What a thumb may be for."""
        return () if self.thumb is None else LIKED if self.thumb.up else DISLIKED

    @property
    def citations(self) -> int:
        return len(set(cited_numbers(self.text)) & {e["number"] for e in self.evidence})

    @property
    def finish(self) -> str:
        """How it ended, where that is worth a word."""
        reason = (self.run.manifest or {}).get("finish_reason") or ""
        return "" if reason in ("stop", "end_turn", "stopped", "") else f"ended by {reason}"


@dataclass
class Board:
    """All lanes, the one that the path goes on from, and the reader's own vote."""

    comparison: Comparison
    lanes: list[LaneShown]
    at: UUID
    vote: Vote | None = None
    votes: int = 0
    is_mine: bool = False
    is_tip: bool = False
    reasons: Sequence[str] = field(default=REASONS)
    instruction: str = FUSE

    @property
    def withheld(self) -> bool:
        return self.comparison.is_withheld

    @cached_property
    def round(self) -> int:
        """The how manieth comparison of its chat it is."""
        return Comparison.objects.filter(chat=self.comparison.chat_id, created__lte=self.comparison.created).count()

    @property
    def forks(self) -> Sequence[float]:
        """Where each lane's middle is, in hundredths of the board's width."""
        return [100 * (at + 0.5) / len(self.lanes) for at in range(len(self.lanes))]

    @property
    def alike(self) -> str:
        """What is the same for all lanes."""
        alike = ["same question"] if len({lane.message.parent_id for lane in self.lanes}) == 1 else []
        alike += ["same evidence"] if self.evidence else []
        asked = [{**lane.lane.asked, "model": ""} for lane in self.lanes if lane.lane]
        alike += ["same settings"] if all(one == asked[0] for one in asked) else []
        return " · ".join([f"{len(self.lanes)} lanes", *alike])

    @property
    def digests(self) -> Sequence[str]:
        """The beginnings of what the vote is bound to."""
        return [lane.message.digest[:4] for lane in self.lanes]

    @property
    def may_grow(self) -> bool:
        """Whether another model may join."""
        return self.is_tip and not self.withheld and len(self.lanes) < MAX_LANES

    @property
    def is_over(self) -> bool:
        return all(lane.run.state not in LIVE for lane in self.lanes)

    @property
    def may_vote(self) -> bool:
        return self.vote is None or not self.vote.blind

    @property
    def waiting(self) -> list[str]:
        return [lane.letter for lane in self.lanes if not lane.message.settled]

    @property
    def best(self) -> str:
        """The letter that the reader voted for."""
        return next((lane.letter for lane in self.lanes if self.vote and lane.lane and self.vote.lane == lane.lane), "")

    @cached_property
    def evidence(self) -> list[dict[str, Any]]:
        return next((lane.evidence for lane in self.lanes if lane.evidence), [])

    @property
    def gathered(self) -> Mapping[str, Any]:
        return gathered(self.evidence)


def with_boards(thread: list[Shown], person: Person | None = None) -> list[Shown]:
    """The thread, where each answer that is a lane carries its comparison's board, and one that was made of lanes says
    of which. What a message is of both was loaded with it."""
    for one in thread:
        lane: Lane | None = getattr(one.message, "lane", None)
        fusion: Fusion | None = getattr(one.message, "fusion", None)
        if lane:
            one.board = _board(lane.comparison_id, one.message.pk, person)
            one.board.is_tip = one is thread[-1]
        if fusion:
            one.fused = ", ".join(lane.letter for lane in fusion.lanes.all())
            one.instruction = fusion.instruction
    return thread


def board_of(answer: Message, person: Person | None = None) -> Board:
    return _board(Lane.objects.get(answer=answer).comparison_id, answer.pk, person)


def board_html(answer: Message, person: Person | None = None) -> str:
    """A whole board, new or drawn again."""
    board = board_of(answer, person)
    board.is_tip = True
    return render_to_string("chat/_board.html", {"board": board})


def lane_html(board: Board, answer: Message) -> str:
    """One lane that has ended as its board shows it: it may be shown, though its blind neighbours still write."""
    lane = next(lane for lane in board.lanes if lane.message.pk == answer.pk)
    lane.held = False
    return render_to_string("chat/_lane.html", {"lane": lane})


def settled_html(answer: Message) -> str:
    """An answer that has ended, lane or not, as the page shows it."""
    if hasattr(answer, "lane"):
        return lane_html(board_of(answer), answer)
    return render_to_string("chat/_answer.html", {"shown": with_boards(shown([answer]))[0]})


def gathered_html(evidence: list[dict[str, Any]]) -> str:
    return render_to_string("chat/_gathered.html", {"gathered": gathered(evidence)})


def gathered(evidence: list[dict[str, Any]]) -> Mapping[str, Any]:
    """What all lanes read: the passages, about how many tokens they are, and a digest of them all."""
    return {
        "passages": evidence,
        "tokens": sum(estimate_tokens(passage["text"]) for passage in evidence),
        "digest": sha256(canonical([passage["digest"] for passage in evidence]))[:8] if evidence else "",
    }


def masked(answer: Message, text: str) -> str:
    """What a blind lane says, without names."""
    asked = " ".join(part.text for part in parts_of(answer.parent)) if answer.parent else ""
    read = " ".join(passage["text"] for passage in answer.run.evidence) if answer.run else ""
    return mask(text, names_in(catalog.load_sync()), f"{asked} {read}")


def _board(comparison_id: UUID, at: UUID, person: Person | None) -> Board:
    comparison = Comparison.objects.get(pk=comparison_id)
    of_run = ("model_version__model", "router_version", "judgement")
    related = ("comparison", "answer__author", "answer__parent", "answer__chat", *(f"answer__run__{n}" for n in of_run))
    every = list(Lane.objects.filter(comparison=comparison).select_related(*related))
    lanes = [lane for lane in every if not lane.replaced]
    before: dict[int, list[Message]] = {}
    for lane in every:
        before.setdefault(lane.place, []).extend([lane.answer] if lane.replaced else [])
        if lane.replaced and lane.answer_id == at:
            at = next(one.answer_id for one in lanes if one.place == lane.place)
    withheld = comparison.is_withheld
    live = [lane.answer.run for lane in lanes if lane.answer.run and lane.answer.run.state in LIVE]
    prefetch_related_objects(live, "events")
    held = withheld and bool(live)
    votes = Vote.objects.filter(comparison=comparison)
    thumbs = _by_lane(Thumb.objects.filter(lane__in=lanes, person=person)) if person else {}
    return Board(
        comparison=comparison,
        lanes=[
            LaneShown(
                lane.answer,
                lane=lane,
                withheld=withheld,
                held=held,
                thumb=thumbs.get(lane.pk),
                before=before[lane.place],
            )
            for lane in lanes
        ],
        at=at,
        vote=votes.filter(person=person).select_related("lane").first() if person else None,
        votes=votes.count(),
        is_mine=person is not None and comparison.person_id == person.pk,
    )


def _by_lane(thumbs: Iterable[Thumb]) -> dict[int, Thumb]:
    return {thumb.lane_id: thumb for thumb in thumbs}
