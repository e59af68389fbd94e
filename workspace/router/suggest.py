"""Autocomplete: the fast model that the configuration names goes on with what somebody is writing.

It goes through the same decision as every question, so permission, health and budgets hold; nothing of it is stored
but its share of the day's sums. Whoever asks closes the iterator at the next key, and the call ends with it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

from workspace.providers.base import ProviderError
from workspace.router import aside, money, situation
from workspace.router import catalog as catalogs
from workspace.router.attempt import single
from workspace.router.decide import QUOTES, NoModel, decide
from workspace.router.health import health
from workspace.router.prompts import AUTOCOMPLETE
from workspace.types import Delta, PromptMessage, Request, text_part
from workspace.writes import writer

NAME = "autocomplete"  # what its calls are called in the day's sums
LEAST = 8  # characters before anything is suggested
LOOKED_AT = 600  # the last characters that the model is shown
MOST = 80  # characters of a suggestion
WITHIN = 3.0  # seconds, after which nobody wants it any more


async def suggest(draft: str, asker: Request) -> AsyncGenerator[str, None]:
    """How the draft may go on, each time a little longer; nothing when suggestions are off or no model may serve.

    ``asker`` says who asks; its messages are not read.
    """
    catalog = await catalogs.load()
    name = catalog.configuration.autocomplete
    if not name or len(draft.strip()) < LEAST:
        return
    said = PromptMessage(role="person", parts=(text_part(draft[-LOOKED_AT:]),))
    request = replace(asker, messages=(said,), model=name, parameters={"max_tokens": 24, "temperature": 0})
    known = await situation.look(request, catalog)
    if name in known.unhealthy:
        return
    try:
        decision = decide(request, catalog, facts=known.facts, unaffordable=known.unaffordable)
    except NoModel:
        return
    candidate = catalog.candidates[decision.model]
    if candidate.kind == QUOTES:
        return
    calling = single(candidate, request, system=AUTOCOMPLETE, within=WITHIN)
    text = ""
    try:
        async with contextlib.aclosing(calling.pieces()) as pieces:
            async for piece in pieces:
                if type(piece) is not Delta:
                    continue
                text += piece.text
                if line := _one_line(text, draft):
                    yield line
                if "\n" in text.strip() or len(text) >= MOST:
                    return
    except ProviderError as error:
        health.note(candidate, error.failure)
    finally:
        await writer.submit(lambda: money.settle(aside.spent(asker.person_id, calling.attempt(), name=NAME)))


def _one_line(text: str, draft: str) -> str:
    """What to show behind the cursor: one line, without what the model repeats of the draft."""
    tail = draft[-40:].lstrip()
    text = text.removeprefix(tail) if tail else text
    line = text.strip("\n").split("\n", 1)[0][:MOST]
    if not line.strip():
        return ""
    return line.lstrip() if draft[-1:].isspace() else line
