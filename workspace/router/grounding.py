"""The evidence of a request, gathered once for whoever reads it: documents, attached files and the web, as one list."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from channels.db import database_sync_to_async

from retrieval import presets
from retrieval.access import collection_ids_of
from retrieval.search import Found, attached, search
from retrieval.web import looking
from workspace.accounts.models import Person
from workspace.router import rewriting
from workspace.router.rewriting import Whole
from workspace.types import Evidence, Grounding, PromptMessage, Request, text_of


async def look_up(request: Request) -> Found:
    """The evidence of a request: what was given with it, or what its documents and the web hold. Several models asked
    with the same ``Request.evidence`` read the same."""
    grounding = request.grounding
    if request.evidence is not None:
        return Found(request.evidence)
    preset = await database_sync_to_async(presets.current)(grounding.collections)
    whole = Whole(request.prompt)
    if preset.follow_up:
        whole = await rewriting.complete(request, _before(request.messages))
    asked = whole.question
    places: list[Awaitable[Found | looking.Looked]] = []
    if grounding.attached:
        places.append(attached(asked, grounding.attached, preset=preset))
    if grounding.collections:
        places.append(search(asked, collections=grounding.collections, preset=preset))
    if grounding.web:
        places.append(looking.look(asked, person_id=request.person_id, preset=preset))
    found = await asyncio.gather(*places)
    searched = tuple(line for place in found for line in place.searched)
    notes = [place.note for place in found]
    if asked != request.prompt or whole.by:
        searched = ({"asked": request.prompt, "query": asked, **whole.by}, *searched)
    if asked != request.prompt:
        notes.insert(0, f"Searched for “{asked}”")
    states = tuple(state for place in found if isinstance(place, Found) for state in place.collections)
    return Found(_numbered(found), ". ".join(filter(None, dict.fromkeys(notes))), searched, states)


async def on_route(request: Request, wanted: Mapping[str, Any]) -> Grounding:
    """Where evidence may come from on a route that is ``wanted`` to read documents or the web: what the person may
    read is asked for then, and not for every question."""
    given = request.grounding
    collections = given.collections
    if wanted.get("documents") and given.offered and not collections:
        collections = await database_sync_to_async(_readable)(request.person_id)
    return replace(given, collections=collections, web=given.web or bool(wanted.get("web")))


def _readable(person_id: str) -> tuple[str, ...]:
    person = Person.objects.filter(pk=person_id).first()
    return tuple(map(str, collection_ids_of(person))) if person else ()


def _numbered(found: Sequence[Found | looking.Looked]) -> tuple[Evidence, ...]:
    """The passages of all places; one that two of them found stands once."""
    passages: dict[str, Evidence] = {}
    for place in found:
        for one in place.evidence:
            passages.setdefault(one.chunk_id, one)
    return tuple(replace(one, number=number) for number, one in enumerate(passages.values(), start=1))


def _before(messages: Sequence[PromptMessage]) -> list[tuple[str, str]]:
    """The earlier questions of a conversation with what was answered."""
    turns: list[tuple[str, str]] = []
    for message in messages[:-1]:
        text = text_of(message.parts)
        if message.role == "person":
            turns.append((text, ""))
        elif turns:
            turns[-1] = (turns[-1][0], text)
    return turns
