"""What came out of a replay beside what was there: the same text or how different, what made the difference, and what
both took.

*Changed* is what was asked to be otherwise, *followed* what came of it and was asked by nobody. Where nothing was to
change, both are empty unless something outside did.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any

from django.utils.safestring import SafeString

from chat import diff, made
from chat.diff import Difference, Piece
from chat.models import Replay, Replayed
from chat.rendering import render
from chat.replay.plan import CALLED, MOST, Change
from chat.thread import Shown
from retrieval.support import cited_numbers
from workspace.router.models import Run
from workspace.router.states import LIVE, SETTLED
from workspace.types import canonical, sha256


@dataclass
class Drift:
    """One answer, old and new."""

    one: Replayed
    change: Change
    old: Shown
    new: Run | None = None
    causes: list[Difference] = field(default_factory=list)

    @property
    def is_live(self) -> bool:
        return self.new is not None and self.new.state in LIVE

    @property
    def is_made(self) -> bool:
        return self.new is not None and self.new.state in SETTLED

    @property
    def failed(self) -> str:
        failure = (self.new.failure if self.new else None) or {}
        return f"{failure.get('cause', '')} {failure.get('action', '')}".strip()

    @property
    def text(self) -> str:
        return self.new.text if self.new else ""

    @property
    def same(self) -> bool:
        """Byte for byte."""
        return self.is_made and not self.failed and sha256(self.text) == sha256(self.old.run.text)

    @cached_property
    def likeness(self) -> float | None:
        return diff.likeness(self.pieces) if self.is_made and not self.failed else None

    @cached_property
    def pieces(self) -> list[Piece]:
        return _words(self.old.run.text, self.text)

    @cached_property
    def html(self) -> SafeString:
        return render(self.text, issued={one["number"] for one in (self.new.evidence if self.new else [])})

    @property
    def _asked(self) -> str:
        return (
            self.change.name.replace("_", " ") if self.change.what == "parameter" else CALLED.get(self.change.what, "")
        )

    @property
    def changed(self) -> list[Difference]:
        return [one for one in self.causes if one.name == self._asked]

    @property
    def followed(self) -> list[Difference]:
        return [one for one in self.causes if one.name != self._asked]

    @property
    def figures(self) -> list[Difference]:
        return diff.figures(self.old.run.manifest, self.new.manifest if self.new else None)

    @property
    def citations(self) -> tuple[int, int, int]:
        """How many passages both cite, the old one alone, the new one alone; by what they say, not by number."""
        old = _cited(self.old.run.text, self.old.run.evidence)
        new = _cited(self.text, self.new.evidence if self.new else [])
        return len(old & new), len(old - new), len(new - old)


@dataclass(frozen=True)
class Sum:
    """Of a replay as a whole."""

    answers: int
    made: int
    same: int
    likeness: float | None
    cost: tuple[Decimal | None, Decimal | None]
    first: tuple[float | None, float | None]
    total: tuple[float | None, float | None]


def drifts(replay: Replay) -> list[Drift]:
    related = ("run", "message__run__model_version__model", "message__parent", "message__author")
    change = Change.of(replay.change)
    told = []
    for one in replay.answers.select_related(*related):
        drift = Drift(one, change, Shown(one.message), one.run)
        if drift.is_made and one.run:
            drift.causes = made.between(one.message.run, one.run, leaving=made.CAME_OF_IT)
        told.append(drift)
    return told


def sum_of(told: Sequence[Drift]) -> Sum:
    again = [one for one in told if one.is_made and not one.failed and one.new]
    pairs = [(one.old.run, one.new) for one in again if one.new]
    alike = [one.likeness for one in again if one.likeness is not None]
    return Sum(
        answers=len(told),
        made=len(again),
        same=sum(one.same for one in again),
        likeness=statistics.fmean(alike) if alike else None,
        cost=(_sum([old.cost for old, _ in pairs]), _sum([new.cost for _, new in pairs])),
        first=(_median([old.first_token_s for old, _ in pairs]), _median([new.first_token_s for _, new in pairs])),
        total=(_median([old.total_s for old, _ in pairs]), _median([new.total_s for _, new in pairs])),
    )


def state_of(replay: Replay) -> str:
    """Another one whenever the report is another one."""
    rows = replay.answers.values_list("place", "run__state", "run__settled", "refused")
    return sha256(canonical([replay.stopped, *rows]))


def as_json(replay: Replay, told: Sequence[Drift]) -> dict[str, Any]:
    whole = sum_of(told)
    return {
        "replay": replay.pk,
        "chat": replay.chat_id,
        "change": str(Change.of(replay.change)),
        "summary": asdict(whole),
        "answers": [
            {
                "message": one.one.message_id,
                "state": one.new.state if one.new else "refused" if one.one.refused else "waiting",
                "refused": one.one.refused or one.failed or None,
                "same": one.same if one.is_made else None,
                "likeness": one.likeness,
                "changed": [asdict(each) for each in one.changed],
                "followed": [asdict(each) for each in one.followed],
                "figures": [asdict(each) for each in one.figures],
                "citations": dict(zip(("both", "old alone", "new alone"), one.citations, strict=True)),
                "text": one.text,
                "manifest": one.new.manifest if one.new else None,
            }
            for one in told
        ],
    }


_words = lru_cache(maxsize=MOST)(diff.words)  # a report is looked at again and again while it grows


def _cited(text: str, evidence: Sequence[Mapping[str, Any]]) -> set[str]:
    digests = {one["number"]: one["digest"] for one in evidence}
    return {digests[number] for number in cited_numbers(text) if number in digests}


def _sum(costs: Sequence[Decimal | None]) -> Decimal | None:
    """Unknown where one is."""
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if costs and len(known) == len(costs) else None


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
