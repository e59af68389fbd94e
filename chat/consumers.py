"""The door of the websocket: authorise, parse a frame, start or stop something, send what is told.

Channels hands a consumer its frames one at a time, so no handler waits for an answer: a run lives apart and
*stop* is heard at once. One socket serves a tab; it listens to the chat the tab has open, and to its person:
whoever is signed out, switched off or no longer reads that chat stops hearing at once (``chat/standing.py``).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import hashlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.http import Http404

from chat import access, authority, live, requests, turns
from chat.compare.board import board_of
from chat.compare.lanes import told_elsewhere
from chat.frames import Compare, Continue, Fuse, Join, Open, Refused, Retry, Send, Stop, Suggest, dump, parse, refusal
from chat.models import Message
from chat.standing import Claim, Standing, standing_of, watch
from chat.suggesting import Suggesting
from workspace.accounts.sessions import topic_of as topic_of_person
from workspace.hub import hub
from workspace.router.states import LIVE
from workspace.types import Failure
from workspace.wire import Tell

logger = logging.getLogger(__name__)

SIGNED_OUT = 4401  # close code: the browser goes to the sign-in page

GONE = ("This chat is not here any more.", "It was deleted, or is no longer shared with you. Start a new chat.")
BROKEN = Failure(
    code="internal", cause="Onepane itself failed on this message.", action="Send it again. The log has the details."
)


class WorkspaceConsumer(AsyncWebsocketConsumer):
    claim: Claim

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_open = False
        self._topic: str | None = None
        self._suggesting = Suggesting(self._send)
        self._standing = Standing()
        self._holds = 0  # while any, what is told waits: missed frames are being sent, or rights looked at
        self._waiting: list[bytes] = []
        self._moving = asyncio.Lock()  # a frame is carried out, or rights are looked at: never both
        self._looks: set[asyncio.Task[None]] = set()

    async def connect(self) -> None:
        """Listen for the person's news first and look who they are after it, so no change falls in between."""
        person = self.scope["user"]
        await self.accept()
        if not person.is_authenticated:
            await self.close(code=SIGNED_OUT)
            return
        self._context = contextvars.copy_context()
        session = self.scope["session"].session_key or ""
        self.claim = Claim(person=person.pk, session=session, password=person.get_session_auth_hash())
        self._is_open = True
        await hub().listen(topic_of_person(person.pk), self._hear_news)
        watch().join(self)
        await self.stand(self.claim, await standing_of(self.claim))

    async def disconnect(self, code: int) -> None:
        self._suggesting.end()
        await self._deafen()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if not self._is_open:
            return
        try:
            frame = parse(text_data)
            async with self._moving:
                await self._carry_out(self.claim.person, frame)
        except Refused as refused:
            await self._send(refusal(refused.failure, refused.client_id))
        except Exception:
            logger.exception("A frame broke.")
            await self._send(refusal(BROKEN))

    async def stand(self, claim: Claim, now: Standing) -> None:
        if claim != self.claim or not self._is_open:
            return
        if not now.signed_in:
            await self._end()
        elif claim.chat and now != self._standing:
            if not now.may_read:
                await self._lose()
            self._standing = now
            told = {"may_read": now.may_read, "may_write": now.may_write}
            cause, action = ("", "") if now.may_read else GONE
            await self._send(dump(Tell.ACCESS, chat=claim.chat, **told, cause=cause, action=action))

    async def _carry_out(self, person_id: UUID, frame: Any) -> None:
        match frame:
            case Open():
                await self._open(person_id, frame)
            case Compare():
                await self._compare(person_id, frame)
            case Send():
                await self._begun(frame.client_id, await turns.send(person_id, frame))
            case Fuse():
                await self._begun(frame.client_id, await turns.fuse(person_id, frame))
            case Join():
                await self._join(person_id, frame)
            case Retry():
                await self._begun(frame.client_id, await turns.retry(person_id, frame))
            case Continue():
                await turns.resume(person_id, frame)
            case Stop():
                await turns.stop(person_id, frame)
            case Suggest():
                self._suggesting.begin(await database_sync_to_async(requests.asker)(person_id), frame)

    async def _begun(self, client_id: UUID, opened: turns.Opened) -> None:
        """Who begins a chat does not listen to it yet, and who asks twice has to be told again."""
        topic = live.topic_of(opened.chat.pk)
        if opened.fresh and topic == self._topic:
            return  # told with everybody
        await self._send(turns.started_frame(opened, client_id))
        if topic != self._topic:
            assert opened.answer.run_id is not None
            await self._follow(opened.chat.pk, {opened.answer.run_id: opened.seq}, may_write=True)
        elif not opened.fresh:
            await self._catch_up(opened.chat.pk, {opened.answer.run_id: 0} if opened.answer.run_id else {})

    async def _compare(self, person_id: UUID, frame: Compare) -> None:
        """As with any question: who begins a chat does not listen to it yet, and who asks twice is told again."""
        opened, told = await turns.compare(person_id, frame)
        if opened.fresh and live.topic_of(opened.chat.pk) == self._topic:
            return
        await self._send(told)
        seen = {one.answer.run_id: 0 for one in opened.lanes if one.answer.run_id}
        await self._follow(opened.chat.pk, seen, may_write=True)

    async def _join(self, person_id: UUID, frame: Join) -> None:
        """Who does not listen, and who asks twice, is told that the board has changed."""
        opened = await turns.join(person_id, frame)
        listens = live.topic_of(opened.chat.pk) == self._topic
        if opened.fresh and listens:
            return
        await self._send(turns.voted_frame(opened))
        if not listens:
            seen = {one.answer.run_id: 0 for one in opened.lanes if one.answer.run_id}
            await self._follow(opened.chat.pk, seen, may_write=True)

    async def _open(self, person_id: UUID, frame: Open) -> None:
        newest, may_write = await database_sync_to_async(_may_open)(person_id, frame.chat)
        await self._follow(frame.chat, dict(frame.seen), may_write=may_write)
        answers = [str(a.answer_id) for a in live.answers_of(frame.chat)]
        await self._send(dump(Tell.OPENED, chat=frame.chat, live=answers, newest=newest, may_write=may_write))

    async def _follow(self, chat_id: UUID, seen: dict[UUID, int], *, may_write: bool) -> None:
        """Listen from now on, and send what was missed before anything newer."""
        async with self._held():
            topic = live.topic_of(chat_id)
            if topic != self._topic:
                await self._leave_chat()
                self._topic = topic
                await hub().listen(topic, self._hear)
            self.claim = dataclasses.replace(self.claim, chat=chat_id)
            self._standing = Standing(signed_in=True, may_read=True, may_write=may_write)
            reached = await self._catch_up(chat_id, seen)
            self._waiting = [frame for frame in self._waiting if not _is_told(frame, reached)]
        if not self._is_open:  # signed out meanwhile
            await self._leave_chat()

    async def _catch_up(self, chat_id: UUID, seen: dict[UUID, int]) -> dict[UUID, int]:
        """Send what was missed; the number of each run's last frame that is told now."""
        reached: dict[UUID, int] = {}
        here = {answer.run_id: answer for answer in live.answers_of(chat_id)}
        for run_id, answer in here.items():
            reached[run_id] = answer.seq
            for frame in answer.since(seen.get(run_id, 0)):
                await self._send(frame)
        for run_id, number in seen.items():
            if run_id not in here:
                reached[run_id] = await self._catch_up_elsewhere(chat_id, run_id, number)
        return reached

    async def _catch_up_elsewhere(self, chat_id: UUID, run_id: UUID, number: int) -> int:
        """A run of another process, or one that has settled since the page was made."""
        message = await Message.objects.filter(chat_id=chat_id, run_id=run_id).select_related("run").afirst()
        if message is None or message.run is None:
            return number
        if message.run.withheld:  # what other processes tell has no numbers that the journal knows
            if await database_sync_to_async(lambda: board_of(message).is_over)():
                await self._send(await database_sync_to_async(live.settled_frame)(message.pk))
                return number
            for frame in await told_elsewhere(run_id):
                if (seq := int(orjson.loads(frame)["seq"])) > number:
                    await self._send(frame)
                    number = seq
            return number
        if message.run.state in LIVE:
            frames = await live.stored_since(run_id, number)
            for frame in frames:
                await self._send(frame)
            return int(orjson.loads(frames[-1])["seq"]) if frames else number
        if message.run.seq > number:
            await self._send(await database_sync_to_async(live.settled_frame)(message.pk))
        return max(number, message.run.seq)

    async def _hear(self, frame: bytes) -> None:
        if self._holds:
            self._waiting.append(frame)
        else:
            await self._send(frame)

    async def _hear_news(self, frame: bytes) -> None:
        """``ended``: digests of the keys of sessions, or "all". ``changed``: what the person may do. What has a
        ``type`` is for the browser as it is."""
        news = orjson.loads(frame)
        if "type" in news:
            await self._send(frame)
            return
        ended = news.get("ended") or ()
        if ended == "all" or hashlib.sha256(self.claim.session.encode()).hexdigest() in ended:
            await self._end()
        elif news.get("changed"):
            self._holds += 1  # from this moment on: the look itself takes a while
            # In the socket's own context: the teller's may be a view's, whose thread is gone when the look wants one.
            look = asyncio.create_task(self._look(), context=self._context)
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)

    async def _look(self) -> None:
        """A look that fails ends the socket: the browser comes back, and is looked at then."""
        try:
            async with self._moving:
                await self.stand(self.claim, await standing_of(self.claim))
        except Exception:
            logger.exception("The rights behind a socket could not be read.")
            await self._end(code=None)
        finally:
            await self._release()

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        self._holds += 1
        try:
            yield
        finally:
            await self._release()

    async def _release(self) -> None:
        """The last to let go sends what waited, in order, before anything newer is told."""
        while self._holds == 1 and self._waiting:
            await self._send(self._waiting.pop(0))
        self._holds -= 1

    async def _lose(self) -> None:
        """The chat is not the person's to read any more; the socket stays for their others."""
        self._waiting.clear()
        self.claim = dataclasses.replace(self.claim, chat=None)
        await self._leave_chat()

    async def _end(self, code: int | None = SIGNED_OUT) -> None:
        self._waiting.clear()
        if self._is_open:
            await self._deafen()
            await self.close(code=code)

    async def _deafen(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        watch().leave(self)
        for look in self._looks - {asyncio.current_task()}:
            look.cancel()
        await hub().leave(topic_of_person(self.claim.person), self._hear_news)
        await self._leave_chat()

    async def _leave_chat(self) -> None:
        if self._topic:
            topic, self._topic = self._topic, None
            await hub().leave(topic, self._hear)

    async def _send(self, frame: bytes) -> None:
        if self._is_open:
            await self.send(text_data=frame.decode())


def _is_told(frame: bytes, reached: dict[UUID, int]) -> bool:
    """Whether a frame that waited was among those that were missed: joining a topic over Redis takes a while."""
    told = orjson.loads(frame)
    return "run" in told and told.get("seq", 0) <= reached.get(UUID(told["run"]), 0) and told["type"] != Tell.STARTED


def _may_open(person_id: UUID, chat_id: UUID) -> tuple[UUID | None, bool]:
    """The chat's newest message, and whether the person may write there."""
    person = authority.person_now(person_id)
    try:
        chat = access.chat_for(person, chat_id)
    except Http404:
        raise Refused("not_found", "That chat is not here.", "Start a new chat.") from None
    newest = Message.objects.filter(chat=chat).order_by("-id").values_list("pk", flat=True).first()
    return newest, access.may_write(person, chat)
