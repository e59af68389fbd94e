"""Who calls: the token of a request, looked up at most once a second.

What was found serves for ``FRESH`` seconds and is read again at half of that, beside the requests, so that hardly
any of them waits for the database. A token revoked in this process is refused at once, in another within ``FRESH``.
Cookies count for nothing here, so no page of another site can make a browser ask.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from dataclasses import dataclass
from uuid import UUID

from channels.db import database_sync_to_async
from django.http import HttpRequest
from django.utils import timezone

from workspace.api import tokens
from workspace.api.refusals import Refusal
from workspace.api.tokens import Caller
from workspace.types import sha256
from workspace.writes import writer

FRESH = 1.0  # seconds
NOTE_EVERY = tokens.USED_EVERY.total_seconds()


@dataclass(slots=True)
class _Known:
    caller: Caller
    at: float
    renewing: bool = False


_known: dict[str, _Known] = {}
_noted: dict[UUID, float] = {}
_beside: set[asyncio.Task[None]] = set()


async def caller(request: HttpRequest, *, basic: bool = False) -> Caller:
    """The person behind the request. ``basic`` also takes a token as the password of HTTP Basic, whatever the name:
    programs that know nothing of tokens can still write one into an address. A browser may remember such an address
    and send it along for a page of another site, which can't send JSON; so then it must be JSON. Raises Refusal."""
    basic = basic and request.content_type == "application/json"
    token = _token_of(request.headers.get("authorization", ""), basic=basic)
    if not token:
        raise _unknown("No token came. Send one as “Authorization: Bearer op_…”; your account page makes them.")
    found = await _look_up(sha256(token))
    if found is None or (found.expires and found.expires <= timezone.now()):
        raise _unknown("This token is not valid here: unknown, expired or revoked. Make another on your account page.")
    if not found.may_ask:
        raise Refusal(403, "Your role may read chats, not ask. Ask the owner for the role of member.", code="viewer")
    _note(found.token_id)
    return found


def forget(digest: str) -> None:
    """Something about this token has changed."""
    _known.pop(digest, None)


async def _look_up(digest: str) -> Caller | None:
    known, now = _known.get(digest), time.monotonic()
    if known is None or now - known.at >= FRESH:
        return await _renew(digest)
    if now - known.at >= FRESH / 2 and not known.renewing:
        known.renewing = True
        _go_on(_renewed(digest))
    return known.caller


async def _renew(digest: str) -> Caller | None:
    asked = time.monotonic()  # what changes while the database answers may be missing from the answer
    found = await database_sync_to_async(tokens.caller_of, thread_sensitive=False)(digest)
    if found is None:
        _known.pop(digest, None)
    else:
        _known[digest] = _Known(found, asked)
    return found


async def _renewed(digest: str) -> None:
    await _renew(digest)


def _note(token_id: UUID) -> None:
    now = time.monotonic()
    if now - _noted.get(token_id, -NOTE_EVERY) >= NOTE_EVERY:
        _noted[token_id] = now
        _go_on(_noted_down(token_id))


async def _noted_down(token_id: UUID) -> None:
    await writer.submit(lambda: tokens.note_use([token_id]))


def _go_on(work: object) -> None:
    """Without waiting; the loop keeps only a weak hold of a task, so it is kept here."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    _beside.add(task)
    task.add_done_callback(_beside.discard)


def _token_of(header: str, *, basic: bool) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if basic and scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).decode().partition(":")[2]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""


def _unknown(message: str) -> Refusal:
    return Refusal(401, message, code="invalid_api_key")
