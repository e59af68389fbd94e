"""Hedging: a model that is slow to begin is raced by the next one, and the first to speak answers.

Off unless the configuration asks for it, and bounded: at most so many of a hundred calls are doubled. The one that
loses is ended at once and recorded like every call.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from workspace.providers.base import ProviderError
from workspace.router.attempt import Calling
from workspace.types import Delta, Failure, Reasoning, StepTaken

Piece = Delta | Reasoning
Said = tuple[Calling, Piece | Failure | Exception | None]  # None: that one is over


class Allowance:
    """How many calls there were, and how many of them were doubled."""

    def __init__(self) -> None:
        self._calls = 0
        self._hedges = 0

    def called(self) -> None:
        self._calls += 1

    def take(self, percent: float) -> bool:
        if (self._hedges + 1) * 100 > self._calls * percent:
            return False
        self._hedges += 1
        return True


allowance = Allowance()


async def race(
    first: Calling,
    second: Callable[[], Awaitable[Calling | None]],
    *,
    after: float,
    lost: Callable[[Calling, Failure], None],
) -> AsyncGenerator[tuple[Calling, Piece], None]:
    """Pieces of whoever speaks first, each with who says it. ``second`` is asked for after so many seconds of silence;
    ``lost`` hears of the one that was outrun or failed. Raises ProviderError when nobody is left."""
    said: asyncio.Queue[Said] = asyncio.Queue()
    running = {first: asyncio.create_task(_pump(first, said))}
    try:
        try:
            async with asyncio.timeout(after):
                caller, piece = await said.get()
        except TimeoutError:
            if other := await second():
                running[other] = asyncio.create_task(_pump(other, said))
            caller, piece = await said.get()
        while isinstance(piece, Failure) and len(running) > 1:
            del running[caller]
            lost(caller, piece)
            caller, piece = await said.get()
        for other in [each for each in running if each is not caller]:
            await _end(running.pop(other))
            lost(other, Failure(code="outrun", cause=f"{caller.candidate.name} spoke first.", action=""))
        winner = caller
        while piece is not None:
            if isinstance(piece, Failure):
                raise ProviderError(piece)
            if isinstance(piece, Exception):
                raise piece
            yield winner, piece
            caller, piece = await said.get()
            while caller is not winner:  # what the loser had said before it was ended
                caller, piece = await said.get()
    finally:
        for task in running.values():
            await _end(task)


async def _pump(calling: Calling, said: asyncio.Queue[Said]) -> None:
    """A task of its own for each: a provider's stream must be read by the task that began it."""
    try:
        async with contextlib.aclosing(calling.pieces()) as pieces:
            async for piece in pieces:
                if not isinstance(piece, StepTaken):  # a wait is no word: it wins no race
                    said.put_nowait((calling, piece))
        said.put_nowait((calling, None))
    except ProviderError as error:
        said.put_nowait((calling, error.failure))
    except Exception as error:  # ours; a race that is told nothing would wait for ever
        said.put_nowait((calling, error))


async def _end(task: asyncio.Task[None]) -> None:
    """``wait`` and not ``await``: a person's own stop that comes meanwhile must not be taken for the task's end."""
    task.cancel()
    await asyncio.wait([task])
