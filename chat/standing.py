"""Whether open sockets may stay open: who is still signed in, and what they may do in the chat they listen to.

A socket is told of changes by the topic of its person. A change made where no telling reaches it, in another
process without Redis, is found by asking for all sockets of the process at once, every ``EVERY`` seconds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from channels.db import database_sync_to_async
from django.utils import timezone

from chat import access
from workspace.accounts.models import Person, Session
from workspace.accounts.rights import may_chat

logger = logging.getLogger(__name__)

EVERY = 30.0  # seconds a change that nobody told may go unseen


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """By what a socket is open: somebody's session, begun with the password they had, on one chat or none."""

    person: UUID
    session: str
    password: str  # the digest that Django keeps in sessions
    chat: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    signed_in: bool = False
    may_read: bool = False
    may_write: bool = False


class Socket(Protocol):
    @property
    def claim(self) -> Claim: ...

    async def stand(self, claim: Claim, now: Standing) -> None:
        """What holds for ``claim`` now; a socket whose claim is another one by now passes over it."""


async def standing_of(claim: Claim) -> Standing:
    return (await database_sync_to_async(standings)([claim]))[claim]


def standings(claims: Collection[Claim]) -> dict[Claim, Standing]:
    """Three queries, however many claims."""
    ids = {claim.person for claim in claims}
    people = {person.pk: person for person in Person.objects.filter(pk__in=ids, is_active=True)}
    kept = Session.objects.filter(pk__in={claim.session for claim in claims}, expire_date__gt=timezone.now())
    alive = set(kept.values_list("pk", flat=True))
    rights = access.rights_in({claim.chat for claim in claims if claim.chat}, people.keys())
    return {claim: _standing(claim, people.get(claim.person), alive, rights) for claim in claims}


class Watch:
    """Looks at all sockets that joined, for as long as there are any."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._sockets: set[Socket] = set()
        self._task: asyncio.Task[None] | None = None

    def join(self, socket: Socket) -> None:
        self._sockets.add(socket)
        if self._task is None:
            self._task = asyncio.create_task(self._look_again(), name="watch over sockets")

    def leave(self, socket: Socket) -> None:
        self._sockets.discard(socket)
        if not self._sockets and self._task:
            self._task.cancel()
            self._task = None

    async def look(self) -> None:
        claims = [(socket, socket.claim) for socket in self._sockets]
        now = await database_sync_to_async(standings)({claim for _, claim in claims})
        for socket, claim in claims:
            await socket.stand(claim, now[claim])

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            try:
                await self.look()
            except Exception:
                logger.exception("Sockets could not be looked at; it is tried again in %.0f s.", EVERY)


def _standing(claim: Claim, person: Person | None, alive: set[str], rights: dict[tuple[UUID, UUID], bool]) -> Standing:
    if person is None or claim.session not in alive or person.get_session_auth_hash() != claim.password:
        return Standing()
    writes = rights.get((claim.chat, person.pk)) if claim.chat else None
    return Standing(signed_in=True, may_read=writes is not None, may_write=bool(writes) and may_chat(person))


_watch: Watch | None = None


def watch() -> Watch:
    """The watch of the running loop."""
    global _watch
    if _watch is None or _watch.loop is not asyncio.get_running_loop():
        _watch = Watch()
    return _watch
