"""The one way to write the log. An entry is part of the transaction of what it tells, so neither is kept without the
other, and writers take turns, so that numbers have no gap and the chain no fork.

Who did it and from where is taken from the request that is being answered; outside of one it was the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from allauth.account.adapter import get_adapter
from django.contrib.auth.models import AbstractBaseUser
from django.db import connection, transaction
from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.deprecation import MiddlewareMixin

from workspace.audit.chain import START, content, digest_of
from workspace.audit.models import Action, AuditEntry

LONGEST = 500  # characters of a value; a longer one is told by its digest
TURN = 7_106_174_001  # PostgreSQL's advisory lock of the log: a number of ours

Changes = Mapping[str, tuple[Any, Any]]
_request: ContextVar[HttpRequest | None] = ContextVar("audited request", default=None)


def record(
    action: Action,
    *,
    about: Model | None = None,
    name: str | None = None,
    words: str = "",
    changes: Changes | None = None,
    actor: AbstractBaseUser | None = None,
) -> AuditEntry:
    """Add an entry. ``name`` tells a row by other words than its own, where these are nobody else's business."""
    with transaction.atomic():
        _take_turn()
        last = AuditEntry.objects.order_by("-number").values_list("number", "digest").first()
        entry = AuditEntry(
            number=(last[0] if last else 0) + 1,
            when=timezone.now(),
            action=action,
            words=_clean(words)[:500],
            changes=_changes(changes or {}),
            previous=last[1] if last else START,
            **_about(about, name),
            **_who(actor),
        )
        entry.digest = digest_of(content(entry))
        entry.save(force_insert=True)
    return entry


class AuditedRequestMiddleware(MiddlewareMixin):
    """Keeps the request at hand while it is answered, for the entries written meanwhile."""

    def process_request(self, request: HttpRequest) -> None:
        _request.set(request)

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        _request.set(None)
        return response


def _take_turn() -> None:
    """Wait until no other writer is between reading the last entry and committing the next. SQLite's transactions are
    immediate here, which is the same."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [TURN])


def _about(row: Model | None, name: str | None) -> dict[str, str]:
    if row is None:
        return {"about_name": _clean(name or "")[:200]}
    told = str(row) if name is None else name
    return {"about": row._meta.label_lower, "about_id": str(row.pk), "about_name": _clean(told)[:200]}


def _who(actor: AbstractBaseUser | None) -> dict[str, str]:
    request = _request.get()
    person: Any = actor or getattr(request, "user", None)
    found = {"address": str(get_adapter().get_client_ip(request) or "")[:64]} if request else {}
    if person is not None and person.pk:
        found |= {"actor": person.get_username(), "actor_id": str(person.pk)}
    return found


def _changes(changes: Changes) -> dict[str, list[str | list[str]]]:
    """As text; what reads the same before and after did not change."""
    told = {field: [_value(old), _value(new)] for field, (old, new) in changes.items()}
    return {field: pair for field, pair in told.items() if pair[0] != pair[1]}


def _value(value: Any) -> str | list[str]:
    if isinstance(value, list | tuple | set | frozenset):
        return [_text(one) for one in value]
    return _text(value)


def _text(value: Any) -> str:
    text = "" if value is None else _clean(str(value))
    if len(text) <= LONGEST:
        return text
    return f"{len(text)} characters, SHA-256 {digest_of({'text': text})[:16]}…: {text[:80]}…"


def _clean(text: str) -> str:
    """PostgreSQL keeps no NUL, and lone surrogates are no UTF-8."""
    return text.replace("\x00", "").encode(errors="replace").decode()
