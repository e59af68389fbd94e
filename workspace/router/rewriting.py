"""Follow-up questions made whole by the language model that the configuration names, before they are searched.

Without one, and where it may not be asked, fails, is too slow or gives nothing that can be searched, the rules of
``retrieval/followup.py`` do it. What it was shown is data to it; what it wrote is searched and shown, and obeyed by
nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from retrieval import followup
from retrieval.lexical import terms
from workspace.router import aside, rollout
from workspace.router import catalog as catalogs
from workspace.router.prompts import REWRITE, to_rewrite
from workspace.types import PromptMessage, Request, text_part

logger = logging.getLogger(__name__)

NAME = "rewriter"  # what its calls are called in the day's sums
TURNS = 3  # of the conversation, the last ones
LONGEST = 400  # characters of a question that is searched
WITHIN = 2.0  # seconds: the answer waits for it


@dataclass(frozen=True, slots=True)
class Whole:
    """A question as it is searched. ``by`` tells which model made it so and what that cost; empty of the rules."""

    question: str
    by: dict[str, Any] = field(default_factory=dict)


async def complete(request: Request, before: Sequence[tuple[str, str]]) -> Whole:
    """The question of a request, with what it leaves unsaid; ``before`` are the earlier questions with their answers.
    Nobody is called for a first question, a long one, or a request that is nobody's."""
    by_rules = Whole(followup.complete(request.prompt, before))
    if not before or not terms(request.prompt) or len(request.prompt) > LONGEST or not request.person_id:
        return by_rules
    catalog = await catalogs.pinned(rollout.arm(await catalogs.load(), request), request)
    name = catalog.configuration.rewriter
    if not name:
        return by_rules
    asked = PromptMessage(role="person", parts=(text_part(to_rewrite(before[-TURNS:], request.prompt)),))
    alone = Request(
        messages=(asked,), person_id=request.person_id, user=request.user, groups=request.groups, model=name,
        parameters={"temperature": 0, "max_tokens": 150}, system=REWRITE, alone=True,
    )  # fmt: skip
    said = await aside.ask(alone, catalog, name=NAME, within=WITHIN)
    question = read(said.text) if said else ""
    if not said or not question:
        logger.info("%s completed no question; the rules did.", name)
        return by_rules
    cost = None if said.attempt.cost is None else str(said.attempt.cost)
    by = {"by": said.candidate.name, "model_version": said.candidate.version_id, "cost": cost}
    return Whole(request.prompt if question.casefold() == request.prompt.strip().casefold() else question, by)


def read(said: str) -> str:
    """The one line that can be searched; nothing where a model said more, or no word."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if len(lines) != 1:
        return ""
    question = lines[0].removeprefix("Question:").strip().strip("\"“”'*` ")
    return question if len(question) <= LONGEST and terms(question) else ""
