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
    """``kind`` is text, number, truth or list (of texts). ``meaning`` is shown to authors of routes."""

    kind: str
    meaning: str


FACTS: dict[str, Fact] = {
    "prompt": Fact("text", "The question, as it was written."),
    "tokens": Fact("number", "Tokens of the whole conversation, estimated."),
    "turn": Fact("number", "1 for the first question of a chat, 2 for the second, and so on."),
    "requires_reasoning": Fact("truth", "The person asked for reasoning, or the question reads as if it needs it."),
    "has_image": Fact("truth", "An image is attached to the question or stands earlier in the chat."),
    "has_audio": Fact("truth", "The same for audio."),
    "has_document": Fact("truth", "The same for a file."),
    "grounded": Fact("truth", "The answer is to stand on documents."),
    "web": Fact("truth", "The answer may stand on the web."),
    "user": Fact("text", "The person's name."),
    "groups": Fact("list", "The groups the person is in."),
    "hour": Fact("number", "The hour of the day, 0 to 23, in the server's time zone."),
    "interactive": Fact("truth", "Somebody waits for the answer."),
    "language": Fact("text", "The question's language as two letters: en, de, ja."),
    "budget_left": Fact("number", "US dollars left in the tightest budget of the person; unknown without a budget."),
    "free_memory_gib": Fact("number", "Memory that a local model could still take, in GiB."),
}

LOOKUPS: dict[str, Fact] = {
    "cost": Fact("number", "US dollars that this question would cost on a model, estimated."),
    "p50_ms": Fact("number", "Milliseconds to the first token, the median of a model's last answers."),
    "healthy": Fact("truth", "Whether a model is being called: not while its calls keep failing."),
    "score": Fact("number", "How well a model did on questions like this one, 0 to 1."),
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
        "grounded": bool(request.grounding.collections),
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
