"""What servers and models want otherwise than their protocol says: one table, and how to read it.

It knows names of hosts and of models, and no wire format. A rule holds where the end of the host and the whole name of
the model fit, whatever prefix a go-between puts before that name; a later rule goes over an earlier one. What stands in
no rule is sent as the protocol has it, so a new model needs a line here only if it refuses something.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal
from urllib.parse import urlsplit

from workspace.providers.base import Address

LEVELS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
BUDGETS = {"none": 0, "minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 24_576, "xhigh": 32_768, "max": 32_768}


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirks:
    """``thinking`` is how much to think is said: as a level or as a budget of tokens. ``levels`` are those that are
    taken; the nearest is sent. ``sampling`` says when temperature and top_p are taken; a model that ``thinks`` does
    so until it is told not to; one that ``cites`` takes passages as blocks of their own and says what it cites."""

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    seed: Literal["seed", "random_seed"] = "seed"
    system: bool = True
    marks_prefix: bool = False  # the beginning of an answer is to be marked as one
    thinking: Literal["level", "budget"] = "level"
    thinks: bool = False
    cites: bool = False
    levels: tuple[str, ...] = LEVELS
    sampling: Literal["always", "without thinking", "never"] = "always"


GPT_LEVELS = ("minimal", "low", "medium", "high")
NO_MINIMAL = ("none", "low", "medium", "high", "xhigh")

# (end of the host, name of the model, what differs); an empty host is any, and so is an empty name.
RULES: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("openai.com", "", {"limit": "max_completion_tokens"}),
    ("azure.com", "", {"limit": "max_completion_tokens"}),
    ("anthropic.com", "", {"cites": True}),
    ("anthropic.com", r"claude-3.*", {"cites": False}),
    ("mistral.ai", "", {"seed": "random_seed", "marks_prefix": True}),
    ("", r"o\d.*", {"thinks": True, "sampling": "without thinking", "levels": ("low", "medium", "high")}),
    ("", r"o1-mini.*", {"system": False}),
    ("", r"gpt-5.*", {"thinks": True, "sampling": "without thinking", "levels": GPT_LEVELS}),
    ("", r"gpt-5\.[1-4].*", {"thinks": False, "levels": NO_MINIMAL}),
    ("", r"gpt-5\.[5-9].*", {"levels": NO_MINIMAL}),
    ("", r"gpt-5(\.\d)?-pro.*|gpt-5\.[1-9]-chat.*|gpt-5\.1-codex.*", {"thinks": True, "sampling": "never"}),
    ("", r".*claude.*", {"sampling": "never", "levels": (*NO_MINIMAL, "max")}),
    (
        "",
        r"claude-3.*|claude-(opus|sonnet|haiku)-4([-.][0-6])?([-@]\d{8}.*|-latest)?",
        {"thinking": "budget", "sampling": "without thinking", "levels": ("none", "low", "medium", "high", "max")},
    ),
    ("", r"claude-(opus|sonnet)-4[-.]6.*", {"thinking": "level"}),
    ("", r"gemini-([3-9]|\d\d).*", {"levels": ("minimal", "low", "medium", "high")}),
    ("", r"gemini-([3-9]|\d\d).*-pro.*", {"levels": ("low", "medium", "high")}),
    ("", r"gemini-2.*", {"thinking": "budget"}),
    ("", r"gemini-2.*-pro.*", {"levels": LEVELS[1:]}),
)


def quirks_of(address: Address, model: str) -> Quirks:
    host, name, found = (urlsplit(address.base_url).hostname or ""), model.rsplit("/", 1)[-1].lower(), Quirks()
    for end, names, differs in RULES:
        if (not end or host == end or host.endswith(f".{end}")) and (not names or re.fullmatch(names, name)):
            found = replace(found, **differs)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How much to think, as it is to be sent: one of the two, or neither where nobody asked."""

    level: str = ""
    budget: int | None = None

    @property
    def asked(self) -> bool:
        return bool(self.level) or self.budget is not None

    @property
    def off(self) -> bool:
        return self.level == "none" or self.budget == 0


def thinking_of(quirks: Quirks, parameters: Mapping[str, Any]) -> Thinking:
    """``reasoning_effort`` or ``thinking_budget``, whichever was set, in the model's own measure."""
    level, budget = parameters.get("reasoning_effort") or "", parameters.get("thinking_budget")
    if level in LEVELS:
        level = _nearest(level, quirks.levels)
    if level and quirks.thinking == "budget":
        return Thinking(budget=BUDGETS.get(level, BUDGETS["medium"]))
    if budget is not None and not level and quirks.thinking == "level":
        return Thinking(level=_nearest(_level_of(budget), quirks.levels))
    return Thinking(level=level) if level else Thinking(budget=budget)


def takes_sampling(quirks: Quirks, thinking: Thinking) -> bool:
    if quirks.sampling == "without thinking":
        return thinking.off or not (thinking.asked or quirks.thinks)
    return quirks.sampling == "always"


def _nearest(level: str, taken: tuple[str, ...]) -> str:
    """The level itself or its neighbour; of two, the lower, which costs less. Who asked to think a little is not
    turned off."""
    place = LEVELS.index(level)
    if level != "none":
        taken = tuple(one for one in taken if one != "none")
    return min(taken, key=lambda one: (abs(LEVELS.index(one) - place), LEVELS.index(one)))


def _level_of(budget: int) -> str:
    return next((level for level in LEVELS if BUDGETS[level] >= budget), "high")
