"""The journal of running answers: every event is on disk within a tick, in one transaction for all runs.

A run's text lives here while it is written, so a killed process loses at most one tick of it. When a run
settles its text moves into its row and its events go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import orjson
from django.db import connection

from workspace.router.models import RunEvent
from workspace.wire import RunEventKind
from workspace.writes import writer

TICK = 0.2  # seconds: one commit for all runs costs about as much as one for one run


@dataclass(frozen=True, slots=True)
class Entry:
    """``committed`` is called with the entry's frame after it is on disk (other processes hear it then)."""

    run_id: UUID
    seq: int
    kind: RunEventKind
    data: str


class Journal:
    """One for each event loop. ``on_commit`` hears each batch once it is stored, in order."""

    def __init__(self, on_commit: Callable[[list[Entry]], Awaitable[None]]) -> None:
        self._entries: list[Entry] = []
        self._on_commit = on_commit
        self._task: asyncio.Task[None] | None = None

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name="journal")

    def drop(self, run_id: UUID) -> None:
        """Forget what is not stored yet: the run settles and its text goes into its row."""
        self._entries = [entry for entry in self._entries if entry.run_id != run_id]

    async def flush(self) -> None:
        """Store what waits for the next tick, now."""
        entries, self._entries = self._entries, []
        if entries:
            await writer.submit(partial(_store, _rows(entries)))
            await self._on_commit(entries)

    async def _keep(self) -> None:
        while self._entries:
            await asyncio.sleep(TICK)
            await self.flush()


def pieces(kind: str, data: str, seq: int) -> list[tuple[int, str]]:
    """What a stored row holds: (number, content) for each event. Deltas are stored several to a row, the last of
    them numbered ``seq``."""
    if kind not in _JOINED:
        return [(seq, data)]
    texts = orjson.loads(data)
    return [(seq - len(texts) + place, text) for place, text in enumerate(texts, start=1)]


def text_so_far(run_id: UUID) -> tuple[str, str, int]:
    """The text, the reasoning and the last number that the stored events of a run hold."""
    said: dict[str, list[str]] = {kind: [] for kind in _JOINED}
    last = 0
    for kind, data, last in RunEvent.objects.filter(run_id=run_id).values_list("kind", "data", "seq"):  # noqa: B007
        if kind in said:
            said[kind] += orjson.loads(data)
    return "".join(said[RunEventKind.DELTA]), "".join(said[RunEventKind.REASONING]), last


_JOINED = (RunEventKind.DELTA.value, RunEventKind.REASONING.value)


def _rows(entries: list[Entry]) -> list[tuple[UUID, int, str, str]]:
    """One row for the neighbouring deltas of a run: two hundred answers at once are 5,000 events a second."""
    rows: list[tuple[UUID, int, str, str]] = []
    open_rows: dict[UUID, tuple[str, int, list[str]]] = {}

    def close(run_id: UUID) -> None:
        if run_id in open_rows:
            kind, seq, texts = open_rows.pop(run_id)
            rows.append((run_id, seq, kind, orjson.dumps(texts).decode()))

    for entry in entries:
        kind = entry.kind.value
        if kind in _JOINED and entry.run_id in open_rows and open_rows[entry.run_id][0] == kind:
            _, _, texts = open_rows[entry.run_id]
            open_rows[entry.run_id] = (kind, entry.seq, [*texts, entry.data])
            continue
        close(entry.run_id)
        if kind in _JOINED:
            open_rows[entry.run_id] = (kind, entry.seq, [entry.data])
        else:
            rows.append((entry.run_id, entry.seq, kind, entry.data))
    for run_id in list(open_rows):
        close(run_id)
    return rows


def _store(rows: list[tuple[UUID, int, str, str]]) -> None:
    """Plain SQL: compiling the ORM's statement for each batch cost more than the insert itself (profiled)."""
    prepare = partial(RunEvent._meta.get_field("run").get_db_prep_save, connection=connection)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO router_runevent (run_id, seq, kind, data) VALUES (%s, %s, %s, %s)",
            [(prepare(run_id), seq, kind, data) for run_id, seq, kind, data in rows],
        )
