"""Signed-in browsers: listed, seen, ended. An end is immediate: the row goes, so the next request finds nobody,
and open websockets are told by the hub.

The topic is ``person.<id>``. Its frames are JSON: ``{"ended": "all"}`` or ``{"ended": [digest, ...]}``, the SHA-256
of each ended session's key, and ``{"changed": true}`` when a role, a group or ``is_active`` has changed. A command
in another process reaches no socket without Redis; the consumer asks the database again at every frame anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from allauth.account.adapter import get_adapter
from asgiref.sync import async_to_sync
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from workspace.accounts.models import Person, Session
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.hub import hub
from workspace.types import sha256

SEEN_EVERY = timedelta(minutes=5)  # a row is not written for every request
BROWSERS = ("Edg", "OPR", "Firefox", "Chrome", "Safari")  # in this order: each claims to be the later ones, too
SYSTEMS = ("Android", "iPhone", "iPad", "Windows", "Macintosh", "CrOS", "Linux")
PLAIN = {"Edg": "Edge", "OPR": "Opera", "Macintosh": "macOS", "CrOS": "ChromeOS"}


@dataclass(frozen=True, slots=True)
class Browser:
    """One signed-in browser as its person reads of it; ``digest`` names it without giving its key away."""

    digest: str
    agent: str
    address: str
    since: datetime | None
    seen: datetime | None
    here: bool


def topic_of(person_id: UUID) -> str:
    return f"person.{person_id}"


def browsers(person: Person, *, here: str | None = None) -> list[Browser]:
    """The one with the key ``here`` first, then the others, last seen first."""
    found = []
    for row in Session.objects.filter(person=person, expire_date__gt=timezone.now()):
        seen = row.get_decoded().get("seen", {})
        found.append(
            Browser(
                digest=sha256(row.session_key),
                agent=seen.get("agent", "Unknown browser"),
                address=seen.get("address", ""),
                since=_time(seen.get("since")),
                seen=_time(seen.get("at")),
                here=row.session_key == here,
            )
        )
    return sorted(found, key=lambda one: (one.here, one.seen or datetime.min.replace(tzinfo=UTC)), reverse=True)


@transaction.atomic
def end(person: Person, *, all_but: str | None = None) -> int:
    """End every session of a person, or every one but that with the key ``all_but``; how many there were."""
    keys = list(Session.objects.filter(person=person).exclude(pk=all_but or "").values_list("pk", flat=True))
    Session.objects.filter(pk__in=keys).delete()
    if keys:
        record(Action.SESSIONS_ENDED, about=person, words=f"{len(keys)} of {person}.")
    _tell(person.pk, {"ended": [sha256(key) for key in keys] if all_but else "all"})
    return len(keys)


@transaction.atomic
def end_one(person: Person, digest: str) -> bool:
    """End the one session whose key has this digest, if it is theirs."""
    for key in Session.objects.filter(person=person).values_list("pk", flat=True):
        if sha256(key) == digest:
            Session.objects.filter(pk=key).delete()
            record(Action.SESSIONS_ENDED, about=person, words=f"1 of {person}.")
            tell_ended(person.pk, key)
            return True
    return False


def tell_ended(person_id: UUID, key: str) -> None:
    """Django has ended this session itself, as signing out does."""
    _tell(person_id, {"ended": [sha256(key)]})


def tell_changed(people: Iterable[UUID]) -> None:
    """What these people may do has changed: a role, a group, ``is_active``."""
    for person_id in people:
        _tell(person_id, {"changed": True})


class SeenMiddleware(MiddlewareMixin):
    """Notes in a signed-in session where from and when it was used last."""

    def process_view(self, request: HttpRequest, *_: Any) -> None:
        if request.session.session_key and request.user.is_authenticated:
            _see(request)


def _see(request: HttpRequest) -> None:
    now = timezone.now()
    seen = request.session.get("seen", {})
    last = _time(seen.get("at"))
    if last is None or now - last >= SEEN_EVERY:
        request.session["seen"] = {
            "since": seen.get("since", now.timestamp()),
            "at": now.timestamp(),
            "address": get_adapter().get_client_ip(request),
            "agent": _plain(request.headers.get("User-Agent", "")),
        }


def _plain(agent: str) -> str:
    """A browser's own long description in two words."""
    browser = next((name for name in BROWSERS if name in agent), "")
    system = next((name for name in SYSTEMS if name in agent), "")
    words = " on ".join(PLAIN.get(name, name) for name in (browser, system) if name)
    return words or agent[:60] or "Unknown browser"


def _time(stamp: float | None) -> datetime | None:
    return datetime.fromtimestamp(stamp, UTC) if stamp else None


def _tell(person_id: UUID, told: dict[str, Any]) -> None:
    """After the commit. In a thread of the server this runs on the server's loop, where the sockets listen."""
    transaction.on_commit(lambda: async_to_sync(_to_hub)(topic_of(person_id), orjson.dumps(told)))


async def _to_hub(topic: str, frame: bytes) -> None:
    await hub().tell(topic, frame)
