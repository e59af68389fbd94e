"""A browser's tab as tests hold it: the websocket's frames in and out, on a session as signing in makes one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.base import SessionBase

from chat.consumers import WorkspaceConsumer
from workspace.accounts.models import Person


class Tab(WebsocketCommunicator):
    """A browser's tab: frames in, frames out."""

    closed = False  # by the server, as far as anybody has heard

    async def tell(self, type: str, **fields: Any) -> None:
        await self.send_to(text_data=json.dumps({"type": type, **fields}, default=str))

    async def hear(self, *types: str) -> dict[str, Any]:
        """The next frame of one of these types; the others pass by."""
        while True:
            frame: dict[str, Any] = json.loads(await self.receive_from(timeout=5))
            if frame["type"] in types:
                return frame


def session_of(person: Person | AnonymousUser) -> SessionBase:
    """A session as signing in makes one; nobody's has no key."""
    session: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore()
    if isinstance(person, Person):
        session[SESSION_KEY] = str(person.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = person.get_session_auth_hash()
        session.save()
    return session


@asynccontextmanager
async def tab(person: Person | AnonymousUser, session: SessionBase | None = None) -> AsyncIterator[Tab]:
    opened = Tab(WorkspaceConsumer.as_asgi(), "/ws/")
    opened.scope["user"] = person
    opened.scope["session"] = session or await database_sync_to_async(session_of)(person)
    connected, _ = await opened.connect()
    assert connected
    try:
        yield opened
    finally:
        await opened.disconnect()
