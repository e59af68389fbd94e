"""A websocket client for tests of whole servers: sends frames, collects what is told until it is done."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from types import TracebackType
from typing import Any

from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as connect_to

from tests.serving import Served


class Talk:
    def __init__(self, served: Served, key: str) -> None:
        self._opening = connect_to(
            served.url.replace("http", "ws") + "/ws/",
            additional_headers={"Cookie": f"sessionid={key}"},
            origin=served.url,  # type: ignore[arg-type]
            max_size=None,
            proxy=None,
        )
        self._socket: ClientConnection

    def __enter__(self) -> Talk:
        self._socket = self._opening.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opening.__exit__(kind, error, trace)

    def raw(self, message: str | bytes, *, text: bool | None = None) -> None:
        self._socket.send(message, text=text)

    def send(self, type: str, **fields: Any) -> None:
        self._socket.send(json.dumps({"type": type, **fields}))

    def ask(self, text: str, *, model: str = "", **fields: Any) -> None:
        self.send("send", client_id=str(uuid.uuid4()), text=text, model=model, **fields)

    def until(self, *types: str, within: float = 20) -> dict[str, Any]:
        """The next frame of one of these types; others pass."""
        return self.all_until(*types, within=within)[-1]

    def all_until(self, *types: str, within: float = 20) -> list[dict[str, Any]]:
        deadline = time.monotonic() + within
        frames: list[dict[str, Any]] = []
        while not frames or frames[-1]["type"] not in types:
            frames.append(json.loads(self._socket.recv(timeout=max(0.01, deadline - time.monotonic()))))
        return frames


def rows(served: Served, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """What the database holds, read beside the server. Placeholders are question marks."""
    if served.database:
        import psycopg

        with psycopg.connect(served.database.url) as postgresql:
            return postgresql.execute(sql.replace("?", "%s").encode(), values).fetchall()
    connection = sqlite3.connect(f"file:{served.data}/onepane.sqlite3?mode=ro", uri=True)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def wait_for_run(served: Served, state: str, text: str, *, within: float = 30) -> None:
    """Until the only run is in this state with this text. Beside others a process is dead once it is silent."""
    deadline = time.monotonic() + within
    while (found := rows(served, "SELECT state, text FROM router_run")) != [(state, text)]:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def wait_for_journal(served: Served, text: str, *, within: float = 10) -> None:
    """Until the journal of the run that goes on holds this text."""
    deadline = time.monotonic() + within
    while True:
        said = "".join(
            data
            for (data,) in rows(served, "SELECT data FROM router_runevent WHERE kind = 'delta' ORDER BY run_id, seq")
        )
        if text in said:
            return
        assert time.monotonic() < deadline, f"The journal holds {said!r}"
        time.sleep(0.02)
