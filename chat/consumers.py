"""The door of the websocket: authorise, parse a frame, start or stop something, send what is told.

Channels hands a consumer its frames one at a time, so no handler waits for an answer: a run lives apart and
*stop* is heard at once. One socket serves a tab; it listens to the chat the tab has open.
"""

from __future__ import annotations

import logging
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404

from chat import access, live, record, turns
from chat.frames import Continue, Open, Refused, Retry, Send, Stop, Suggest, dump, parse, refusal
from chat.models import Message
from chat.suggesting import Suggesting
from workspace.accounts.models import Person
from workspace.hub import hub
from workspace.router.states import LIVE
from workspace.types import Failure
from workspace.wire import Tell

logger = logging.getLogger(__name__)

SIGNED_OUT = 4401  # close code: the browser goes to the sign-in page

BROKEN = Failure(
    code="internal", cause="Onepane itself failed on this message.", action="Send it again. The log has the details."
)


class WorkspaceConsumer(AsyncWebsocketConsumer):
    person_id: UUID | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._topic: str | None = None
        self._suggesting = Suggesting(self._send)
        self._held: list[bytes] | None = None  # what comes while missed frames are still being sent

    async def connect(self) -> None:
        person = self.scope["user"]
        await self.accept()
        if not person.is_authenticated:
            await self.close(code=SIGNED_OUT)
            return
        self.person_id = person.pk

    async def disconnect(self, code: int) -> None:
        self._suggesting.end()
        if self._topic:
            await hub().leave(self._topic, self._hear)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.person_id is None:
            return
        try:
            await self._carry_out(self.person_id, parse(text_data))
        except Refused as refused:
            await self._send(refusal(refused.failure, refused.client_id))
        except Exception:
            logger.exception("A frame broke.")
            await self._send(refusal(BROKEN))

    async def _carry_out(self, person_id: UUID, frame: Any) -> None:
        match frame:
            case Open():
                await self._open(person_id, frame)
            case Send():
                await self._begun(frame.client_id, await turns.send(person_id, frame))
            case Retry():
                await self._begun(frame.client_id, await turns.retry(person_id, frame))
            case Continue():
                await turns.resume(person_id, frame)
            case Stop():
                await turns.stop(person_id, frame)
            case Suggest():
                self._suggesting.begin(await database_sync_to_async(record.asker)(person_id), frame)

    async def _begun(self, client_id: UUID, opened: turns.Opened) -> None:
        """Who begins a chat does not listen to it yet, and who asks twice has to be told again."""
        topic = live.topic_of(opened.chat.pk)
        if opened.fresh and topic == self._topic:
            return  # told with everybody
        await self._send(turns.started_frame(opened, client_id))
        if topic != self._topic:
            assert opened.answer.run_id is not None
            await self._follow(opened.chat.pk, {opened.answer.run_id: opened.seq})
        elif not opened.fresh:
            await self._catch_up(opened.chat.pk, {opened.answer.run_id: 0} if opened.answer.run_id else {})

    async def _open(self, person_id: UUID, frame: Open) -> None:
        newest = await database_sync_to_async(_may_open)(person_id, frame.chat)
        await self._follow(frame.chat, dict(frame.seen))
        answers = [str(a.answer_id) for a in live.answers_of(frame.chat)]
        await self._send(dump(Tell.OPENED, chat=frame.chat, live=answers, newest=newest))

    async def _follow(self, chat_id: UUID, seen: dict[UUID, int]) -> None:
        """Listen from now on, and send what was missed before anything newer."""
        self._held = []
        topic = live.topic_of(chat_id)
        if topic != self._topic:
            if self._topic:
                await hub().leave(self._topic, self._hear)
            self._topic = topic
            await hub().listen(topic, self._hear)
        await self._catch_up(chat_id, seen)
        held, self._held = self._held, None
        for frame in held:
            await self._send(frame)

    async def _catch_up(self, chat_id: UUID, seen: dict[UUID, int]) -> None:
        here = {answer.run_id: answer for answer in live.answers_of(chat_id)}
        for run_id, answer in here.items():
            for frame in answer.since(seen.get(run_id, 0)):
                await self._send(frame)
        for run_id, number in seen.items():
            if run_id not in here:
                await self._catch_up_elsewhere(chat_id, run_id, number)

    async def _catch_up_elsewhere(self, chat_id: UUID, run_id: UUID, number: int) -> None:
        """A run of another process, or one that has settled since the page was made."""
        message = await Message.objects.filter(chat_id=chat_id, run_id=run_id).select_related("run").afirst()
        if message is None or message.run is None:
            return
        if message.run.state in LIVE:
            for frame in await live.stored_since(run_id, number):
                await self._send(frame)
        elif message.run.seq > number:
            await self._send(await database_sync_to_async(live.settled_frame)(message.pk))

    async def _hear(self, frame: bytes) -> None:
        if self._held is not None:
            self._held.append(frame)
        else:
            await self._send(frame)

    async def _send(self, frame: bytes) -> None:
        await self.send(text_data=frame.decode())


def _may_open(person_id: UUID, chat_id: UUID) -> UUID | None:
    try:
        chat = access.chat_for(Person.objects.get(pk=person_id, is_active=True), chat_id)
    except (Http404, Person.DoesNotExist):
        raise Refused("not_found", "That chat is not here.", "Start a new chat.") from None
    return Message.objects.filter(chat=chat).order_by("-id").values_list("pk", flat=True).first()
