"""What is ranked: the lanes that count, and what each is called. Shared by the leaderboard and by what people said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from chat.compare.topics import topic_of
from chat.models import Lane, Message, Vote
from workspace.router import catalog
from workspace.router.decide import may_use
from workspace.router.states import RunState
from workspace.types import sha256

MOST = 5_000  # of the newest votes
WORDS = 4  # of an instruction that name it
BY = ("model", "settings", "router")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which votes, and what is ranked by them. ``by``: a model; its version with prompt template and settings; or the
    version of the router's configuration that chose. ``held``: nothing, length, or style is held apart."""

    blind: bool = True
    by: str = "model"
    held: str = ""
    topic: str = ""


def cast_here() -> QuerySet[Vote]:
    """Votes for answers that were written here: anybody may write a file with others, and votes for them."""
    return Vote.objects.exclude(comparison__lanes__answer__run__imported=True)


def known_to(groups: set[str]) -> dict[str, int]:
    """The marks of the models that people of these groups may use."""
    return {c.name: c.mark for c in catalog.load_sync().candidates.values() if may_use(c, groups)}


def topic_asked(question: Message) -> str:
    text = " ".join(part.get("text", "") for part in question.parts if part.get("kind") == "text")
    return topic_of(text, question.grounding)


def lanes_of(comparisons: Collection[UUID], known: Mapping[str, int]) -> dict[UUID, list[Lane]]:
    """By comparison, the lanes that count: finished, and of models that the reader may use. Of one that is blind and
    open none does yet: a figure that moves with a thumb would tell whose lane it was."""
    related = ("answer__run__model_version__model", "answer__run__router_version", "answer__run__template_version")
    rows = Lane.objects.filter(comparison__in=comparisons).select_related(*related)
    found: dict[UUID, list[Lane]] = defaultdict(list)
    for lane in rows.filter(answer__run__state=RunState.DONE, answer__run__withheld=False).defer(
        "answer__run__evidence", "answer__run__reasoning"
    ):
        if model_of(lane) in known:
            found[lane.comparison_id].append(lane)
    return found


def model_of(lane: Lane) -> str:
    return str(_manifest(lane).get("model") or "")


def _manifest(lane: Lane) -> Mapping[str, Any]:
    return (lane.answer.run.manifest if lane.answer.run else None) or {}


def label_of(lane: Lane, by: str) -> str:
    """What is ranked; empty where the lane takes no part: by router versions, one whose model a person chose."""
    run = lane.answer.run
    assert run is not None
    if by == "model":
        return model_of(lane)
    if by == "router":
        chosen = (_manifest(lane).get("decision") or {}).get("chosen_by") in ("route", "fallback")
        return str(run.router_version) if chosen and run.router_version else ""
    told = [str(run.model_version or model_of(lane))]
    told += [_instruction(lane.asked["system"])] if lane.asked.get("system") else []
    told += [str(run.template_version)] if run.template_version and not lane.asked.get("system") else []
    told += [f"{name.replace('_', ' ')} {value:g}" for name, value in lane.asked.get("parameters", {}).items()]
    return " · ".join(told)


def _instruction(text: str) -> str:
    """An instruction of a lane's own, by its first words and the beginning of its digest: another text is another."""
    words = text.split()
    return f"“{' '.join(words[:WORDS])}{' …' if len(words) > WORDS else ''}” {sha256(text)[:6]}"
