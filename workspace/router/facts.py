"""The facts a condition may speak of, in one table, and how they are read off a request.

A fact that can't be known is ``None``: a rule that needs it is false, and the trace says so. To add one: its line in
``FACTS`` and its value in ``facts_of``; a test holds the two equal. What is known of a model is a look-up: its line
in ``LOOKUPS`` and its value in ``workspace/router/situation.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from workspace.router.prompts import tokens_of
from workspace.router.reasoning import requires_reasoning
from workspace.types import Request


@dataclass(frozen=True, slots=True)
class Fact:
    """``kind`` is text, number, truth or list (of texts). ``meaning`` and ``example``, a condition that uses it, are
    shown to authors of routes; where a look-up's example names a model, it is ``{model}``."""

    kind: str
    meaning: str
    example: str


FACTS: dict[str, Fact] = {
    "prompt": Fact("text", "The question, as it was written.", 'contains(lower(prompt), "translate")'),
    "tokens": Fact("number", "Tokens of the whole conversation, estimated.", "tokens > 30000"),
    "turn": Fact("number", "1 for the first question of a chat, 2 for the second, and so on.", "turn == 1"),
    "requires_reasoning": Fact(
        "truth", "The person asked for reasoning, or the question reads as if it needs it.", "requires_reasoning"
    ),
    "has_image": Fact("truth", "An image is attached to the question or stands earlier in the chat.", "has_image"),
    "has_audio": Fact("truth", "The same for audio.", "has_audio"),
    "has_document": Fact("truth", "The same for a file.", "has_document"),
    "grounded": Fact("truth", "The answer is to stand on documents.", "grounded and not web"),
    "web": Fact("truth", "The answer may stand on the web.", "web"),
    "user": Fact("text", "The person's name.", 'user == "alice"'),
    "groups": Fact("list", "The groups the person is in.", '"research" in groups'),
    "hour": Fact("number", "The hour of the day, 0 to 23, in the server's time zone.", "hour >= 8 and hour < 18"),
    "interactive": Fact("truth", "Somebody waits for the answer.", "not interactive"),
    "language": Fact("text", "The question's language as two letters: en, de, ja.", 'language in ["de", "fr"]'),
    "budget_left": Fact(
        "number", "US dollars left in the tightest budget of the person; unknown without a budget.", "budget_left < 0.5"
    ),
    "free_memory_gib": Fact("number", "Memory that a local model could still take, in GiB.", "free_memory_gib > 8"),
}

LOOKUPS: dict[str, Fact] = {
    "cost": Fact("number", "US dollars that this question would cost on a model, estimated.", 'cost("{model}") < 0.01'),
    "p50_ms": Fact(
        "number", "Milliseconds to the first token, the median of a model's last answers.", 'p50_ms("{model}") < 800'
    ),
    "healthy": Fact(
        "truth", "Whether a model is being called: not while its calls keep failing.", 'healthy("{model}")'
    ),
    "score": Fact("number", "How well a model did on questions like this one, 0 to 1.", 'score("{model}") > 0.7'),
}


def lookup_key(function: str, model: str) -> str:
    """What a look-up is called among the facts: ``cost(fast-flash)``."""
    return f"{function}({model})"


def facts_of(
    request: Request,
    *,
    user: str | None = None,
    groups: Sequence[str] | None = None,
    now: datetime | None = None,
    also: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Every fact of ``FACTS``. ``user`` and ``groups`` are of the person who asks, where somebody knows them; ``also``
    holds what can't be read off a request."""
    kinds = {part.kind for message in request.messages for part in message.parts}
    return {
        "prompt": request.prompt,
        "tokens": sum(map(tokens_of, request.messages)),
        "turn": sum(message.role == "person" for message in request.messages),
        "requires_reasoning": request.requires_reasoning or requires_reasoning(request.prompt)[0],
        "has_image": "image" in kinds,
        "has_audio": "audio" in kinds,
        "has_document": "file" in kinds,
        "grounded": bool(request.grounding.collections or request.grounding.attached),
        "web": request.grounding.web,
        "user": user,
        "groups": None if groups is None else list(groups),
        "hour": timezone.localtime(now).hour,
        "interactive": request.mode == "interactive",
        "language": None,
        "budget_left": None,
        "free_memory_gib": None,
        **(also or {}),
    }
