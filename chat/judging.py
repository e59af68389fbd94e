"""Judgements of settled answers, behind their back: whoever reads the answer sees the marks change when one is there.

A server that stops forgets the ones under way; the lexical check in the manifest stands for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from uuid import UUID

from channels.db import database_sync_to_async

from chat import record
from workspace.router.judging import judge

logger = logging.getLogger(__name__)

_going: set[asyncio.Task[None]] = set()  # the loop keeps only a weak hold of a task


def begin(answer_id: UUID, announce: Callable[[], Awaitable[object]]) -> None:
    # It outlives its caller, whose context may name a thread that ends with a request.
    task = asyncio.create_task(_judge(answer_id, announce), name=f"judging {answer_id}", context=Context())
    _going.add(task)
    task.add_done_callback(_going.discard)


async def idle() -> None:
    """When nothing is being judged any more."""
    await asyncio.gather(*_going)


async def _judge(answer_id: UUID, announce: Callable[[], Awaitable[object]]) -> None:
    try:
        answer = await database_sync_to_async(record.answer)(answer_id)
        if answer.run and await judge(answer.run.pk, record.asked(answer)):
            await announce()
    except Exception:  # nobody waits for it, so nobody else would tell
        logger.exception("Answer %s could not be judged.", answer_id)
