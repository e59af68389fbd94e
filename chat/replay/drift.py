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
from functools import cached_property
from typing import Any

from django.utils.safestring import SafeString

from chat import diff
from chat.diff import Difference, Piece
from chat.models import Replay, Replayed
from chat.rendering import render
from chat.replay.plan import CALLED, Change
from chat.thread import Shown
from retrieval.support import cited_numbers
from workspace.router.models import PromptTemplateVersion, RouterVersion, Run
from workspace.router.states import LIVE, SETTLED
from workspace.types import sha256


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
        return diff.likeness(self.old.run.text, self.text) if self.is_made and not self.failed else None

    @cached_property
    def pieces(self) -> list[Piece]:
        return diff.words(self.old.run.text, self.text)

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
            drift.causes = causes(one.message.run, one.run)
        told.append(drift)
    return told


def sum_of(told: Sequence[Drift]) -> Sum:
    made = [one for one in told if one.is_made and not one.failed and one.new]
    pairs = [(one.old.run, one.new) for one in made if one.new]
    alike = [one.likeness for one in made if one.likeness is not None]
    return Sum(
        answers=len(told),
        made=len(made),
        same=sum(one.same for one in made),
        likeness=statistics.fmean(alike) if alike else None,
        cost=(_sum([old.cost for old, _ in pairs]), _sum([new.cost for _, new in pairs])),
        first=(_median([old.first_token_s for old, _ in pairs]), _median([new.first_token_s for _, new in pairs])),
        total=(_median([old.total_s for old, _ in pairs]), _median([new.total_s for _, new in pairs])),
    )


def causes(old: Run | None, new: Run) -> list[Difference]:
    """Everything that made the two answers and is not the same, each thing once: a model with its versions is one."""
    left, right = _causes(old), _causes(new)
    names = [name for name in dict.fromkeys([*left, *right]) if left.get(name) != right.get(name)]
    if {"prompt template", "evidence"} & set(names):  # the words that were sent follow from these
        names = [name for name in names if name != "system prompt as sent"]
    shown = [(name, left.get(name, ("none",)), right.get(name, ("none",))) for name in names]
    return [Difference(name, str(a[0]), str(b[0])) for name, a, b in shown]


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


def _causes(run: Run | None) -> dict[str, tuple[Any, ...]]:
    """Name to what is shown of it, and whatever else must be the same."""
    manifest = run.manifest if run else None
    if run is None or not manifest:
        return {}
    decision = manifest.get("decision") or {}
    upstream = manifest.get("resolved_model") or manifest.get("upstream_model")
    template = manifest.get("prompt_template")
    passages = [one["digest"] for one in manifest.get("evidence") or ()]
    told: dict[str, tuple[Any, ...]] = {
        "model": (
            f"{manifest.get('model')} ({upstream})" if upstream != manifest.get("model") else manifest.get("model"),
            manifest.get("model_version"), manifest.get("provider_version"),
        ),
        "prompt template": (
            f"{template} ({_version(run, 'prompt template')})" if template else "its own",
            manifest.get("prompt_template_version"),
            manifest.get("system"),
        ),
        "router version": (_version(run, "router"), decision.get("configuration")),
        "evidence": (f"{len(passages)} passages", *passages),
        "seed": (manifest.get("seed"),),
        "conversation": (
            f"{(manifest.get('conversation') or {}).get('messages', '?')} messages",
            (manifest.get("conversation") or {}).get("digest"),
        ),
        "system prompt as sent": (str(manifest.get("system_digest"))[:12],),
    }  # fmt: skip
    asked = manifest.get("asked") if manifest.get("version", 1) > 1 else manifest.get("parameters")
    told |= {name.replace("_", " "): (value,) for name, value in (asked or {}).items()}
    told |= {f"{{{name}}}": (value,) for name, value in (manifest.get("variables") or {}).items()}
    return told


def _version(run: Run, name: str) -> str:
    """Which version a manifest names; of a run that came in a file by its digest alone, for it is no row of ours."""
    manifest = run.manifest or {}
    if run.imported:
        digest = (manifest.get("versions") or {}).get(name)
        return f"digest {str(digest)[:8]}" if digest else "of another workspace"
    if name == "router":
        id = (manifest.get("decision") or {}).get("configuration")
        version = RouterVersion.objects.filter(pk=id).first() if id else None
        return f"version {version.number}" if version else "none"
    row = PromptTemplateVersion.objects.filter(pk=manifest.get("prompt_template_version") or 0).first()
    return f"version {row.number if row else 'gone'}"


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
