"""Every frame of a browser, sent by everybody, and what a listening socket still hears."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

from channels.db import database_sync_to_async

from chat.consumers import SIGNED_OUT
from chat.live import topic_of
from tests.access.table import BEGIN, CHAT_READ, FRAMES, Access, Meets, Who
from tests.access.world import World
from tests.scripted import say
from tests.tab import Tab, tab
from workspace.accounts.sessions import tell_changed
from workspace.hub import hub
from workspace.wire import Ask

WORD = b'{"type": "word"}'
END = "bad_frame"  # the answer to a frame that makes no sense: what came before it is all that came
REFUSALS = {
    "not_found": Meets.ABSENT,
    "wrong_parent": Meets.ABSENT,
    "read_only": Meets.FORBIDDEN,
    "viewer": Meets.FORBIDDEN,
}

# What is asked about: the shared chat, no chat at all, no message of it, and a message of it under another chat.
ABOUT = THERE, NO_CHAT, NO_MESSAGE, MISPLACED = "there", "no chat", "no message", "misplaced"


async def failures(world: World, kinds: tuple[str, ...] = tuple(Ask)) -> AsyncIterator[tuple[int, str]]:
    """For each cell, its number and what is wrong with it; the people change while their sockets are open."""
    number = 0
    for who in Who:
        async with tab(world.people[who], world.sessions[who]) as page:
            await database_sync_to_async(world.change)(who)
            for kind in kinds:
                met = {about: await _ask(page, kind, _frame(world, kind, about)) for about in ABOUT}
                number += len(met)
                yield number, _wrong(kind, who, met, FRAMES[kind])
            if Ask.SEND in kinds:
                begun, _ = await _ask(page, Ask.SEND, {"client_id": uuid4(), "text": "New", "model": "plain"})
                number += 1
                yield number, "" if begun is BEGIN[who] else f"a new chat as {who}: met {begun}, not {BEGIN[who]}"


async def deaf(world: World) -> AsyncIterator[tuple[int, str]]:
    """Whoever has the chat open when rights change hears on exactly if they may still read it."""
    for number, who in enumerate(Who, 1):
        async with tab(world.people[who], world.sessions[who]) as page:
            await _ask(page, Ask.OPEN, {"chat": world.chat.pk})
            if who in (Who.DEMOTED, Who.DEACTIVATED):
                await database_sync_to_async(world.change)(who)
                await database_sync_to_async(tell_changed)([world.people[who].pk])
            await hub().tell(topic_of(world.chat.pk), WORD)
            heard = "word" in [frame["type"] for frame in await _heard(page)]
            may = CHAT_READ[who] is Meets.IN
            yield number, "" if heard is may else f"{who} {'hears on' if heard else 'is deaf'}"


def _wrong(kind: str, who: Who, met: dict[str, tuple[Meets, Any]], access: Access) -> str:
    there, no_chat = met[THERE], met[NO_CHAT]
    if there[0] is not access[who]:
        return f"{kind} as {who}: met {there[0]}, not {access[who]}"
    if kind == Ask.SUGGEST:
        return ""  # it names nothing that could be absent
    if there[0] in (Meets.ABSENT, Meets.DOOR) and there != no_chat:
        return f"{kind} as {who}: what is forbidden and what is absent look different"
    if Meets.IN in (no_chat[0], met[NO_MESSAGE][0] if kind != Ask.OPEN else no_chat[0]):
        return f"{kind} as {who}: met nothing, and got in"
    if met[MISPLACED] != met[NO_MESSAGE]:
        return f"{kind} as {who}: a message of another chat and an absent one look different"
    return ""


async def _ask(page: Tab, kind: str, fields: dict[str, Any]) -> tuple[Meets, Any]:
    """What came back until all that this frame sets off is over."""
    answers = {Ask.SEND: 1, Ask.RETRY: 1, Ask.FUSE: 1, Ask.LANE: 1, Ask.COMPARE: 2}.get(Ask(kind), 0)
    for _ in range(answers):
        say("An answer.")
    await page.tell(kind, **fields)
    heard = await _heard(page)
    refused = next((frame for frame in heard if frame["type"] == "refused"), None)
    begun = "voted" if kind == Ask.LANE and not refused else "compared"
    if any(frame["type"] in ("started", begun) for frame in heard):
        for _ in range(answers - sum(frame["type"] == "settled" for frame in heard)):
            await page.hear("settled")
    if any(frame["type"] == "closed" for frame in heard):
        return Meets.DOOR, None
    if refused is None:
        return Meets.IN, None
    if refused["code"] == "signed_out":
        return Meets.DOOR, None
    said = {name: value for name, value in refused.items() if name != "client_id"}
    return REFUSALS.get(refused["code"], Meets.IN), said


async def _heard(page: Tab) -> list[dict[str, Any]]:
    if page.closed:
        return [{"type": "closed"}]
    await page.send_to(text_data="nonsense")
    heard: list[dict[str, Any]] = []
    while True:
        output = await page.receive_output(timeout=5)
        if output["type"] == "websocket.close":
            assert output["code"] == SIGNED_OUT
            page.closed = True
            return [{"type": "closed"}]
        frame = json.loads(output["text"])
        if frame.get("code") == END:
            return heard
        heard.append(frame)


def _frame(world: World, kind: str, about: str) -> dict[str, Any]:
    chat: UUID = {NO_CHAT: uuid4(), MISPLACED: world.elsewhere.chat_id}.get(about, world.chat.pk)
    message: UUID = uuid4() if about == NO_MESSAGE else world.answer.pk
    if kind == Ask.OPEN:
        return {"chat": world.chat.pk if about == THERE else uuid4()}
    if kind == Ask.SUGGEST:
        return {"id": 1, "text": "Describe how they cross"}
    if kind == Ask.SEND:
        return {"client_id": uuid4(), "chat": chat, "parent": message, "text": "More", "model": "plain"}
    if kind == Ask.COMPARE:
        lanes = [{"model": "plain"}, {"model": "plain"}]
        return {"client_id": uuid4(), "chat": chat, "parent": message, "text": "More", "lanes": lanes}
    if kind == Ask.FUSE:
        comparison = uuid4() if about == NO_MESSAGE else world.comparison.pk
        lanes_ = [lane.answer_id for lane in world.lanes]
        return {"client_id": uuid4(), "chat": chat, "comparison": comparison, "lanes": lanes_, "model": "plain"}
    if kind == Ask.LANE:
        comparison = uuid4() if about == NO_MESSAGE else world.comparison.pk
        return {"client_id": uuid4(), "chat": chat, "comparison": comparison, "model": "plain"}
    named = {"client_id": uuid4(), "model": "plain"} if kind == Ask.RETRY else {}
    return {**named, "chat": chat, "message": message}
