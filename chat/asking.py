"""A question asked without a browser: a turn like any other, waited for, and its stored run as plain values."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

from channels.db import database_sync_to_async

from chat import record, turns
from chat.frames import Refused, Send
from workspace.accounts.models import Person, Role
from workspace.router.runs import registry


async def ask(question: str, *, model: str = "", documents: bool = False, person: str = "") -> dict[str, Any]:
    """Ask as ``person`` (a user name; the owner by default). A refusal is ``{"refused": {...}}``."""
    try:
        asker = await _asker(person)
        send = Send(client_id=uuid4(), text=question.strip(), model=model, documents=documents)
        opened = await turns.send(asker.pk, send, waits=True)
    except Refused as refused:
        return {
            "refused": {"code": refused.failure.code, "cause": refused.failure.cause, "action": refused.failure.action}
        }
    assert opened.answer.run_id is not None
    if run := registry().get(opened.answer.run_id):
        await run.task
    return await database_sync_to_async(_stored)(opened.answer.pk)


async def _asker(name: str) -> Person:
    wanted = Person.objects.filter(username=name) if name else Person.objects.filter(role=Role.OWNER)
    person = await wanted.afirst()
    if person is None:
        raise Refused("no_person", f"There is no person named {name or 'owner'}.", "Start the server once: make run.")
    return person


def _stored(answer_id: Any) -> dict[str, Any]:
    message = record.answer(answer_id)
    run = message.run
    assert run is not None
    return {
        "chat": str(message.chat_id),
        "message": str(message.pk),
        "run": str(run.pk),
        "state": run.state,
        "text": run.text,
        "reasoning": run.reasoning,
        "failure": run.failure,
        "manifest": run.manifest,
    }
