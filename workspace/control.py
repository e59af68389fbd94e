"""The server's Unix socket: how a command on the same machine uses the running server instead of its data.

Mode 0600 in a directory of mode 0700: whoever may open it is the user who owns the data. One request, one
answer, JSON both ways.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import orjson
from aiohttp import web
from channels.db import database_sync_to_async
from django.conf import settings

from chat import asking
from retrieval.folder import add_folder
from retrieval.tasks import requeue_unfinished
from workspace.measurement import starting
from workspace.measurement.importing import NotTaken

_runner: web.AppRunner | None = None


def socket_path() -> Path:
    return Path(settings.SOCKET_DIR) / "control.sock"


async def listen() -> None:
    global _runner
    app = web.Application()
    app.router.add_post("/ask", _ask)
    app.router.add_post("/ingest", _ingest)
    app.router.add_post("/checklist", _checklist)
    app.router.add_post("/requeue", _requeue)
    _runner = web.AppRunner(app, access_log=None)
    await _runner.setup()
    path = socket_path()
    path.unlink(missing_ok=True)
    await web.UnixSite(_runner, path).start()
    path.chmod(0o600)


async def close() -> None:
    if _runner:
        await _runner.cleanup()
        socket_path().unlink(missing_ok=True)


def call(name: str, **fields: Any) -> dict[str, Any] | None:
    """Ask the running server; ``None`` when none runs on this data."""
    if not socket_path().exists():
        return None
    transport = httpx.HTTPTransport(uds=str(socket_path()), verify=False)
    try:
        with httpx.Client(transport=transport, base_url="http://server", timeout=None) as client:
            response = client.post(f"/{name}", content=orjson.dumps(fields))
    except httpx.ConnectError:
        return None
    answer: dict[str, Any] = response.json()
    return answer


async def _ask(request: web.Request) -> web.Response:
    fields = orjson.loads(await request.read())
    return web.json_response(await asking.ask(**fields), dumps=lambda value: orjson.dumps(value, default=str).decode())


async def _ingest(request: web.Request) -> web.Response:
    fields = orjson.loads(await request.read())
    return web.json_response(await database_sync_to_async(add_folder)(**fields))


async def _checklist(request: web.Request) -> web.Response:
    fields = orjson.loads(await request.read())
    return web.json_response(await database_sync_to_async(begin_checklist)(fields))


def begin_checklist(fields: dict[str, Any], *, queued: bool = True) -> dict[str, Any]:
    """The measurement that the files make, or why they make none."""
    budget = Decimal(fields["budget"]) if fields.get("budget") else None
    try:
        return {"measurement": str(starting.from_files(**{**fields, "budget": budget}, queued=queued).pk)}
    except NotTaken as refused:
        return {"error": str(refused)}


async def _requeue(request: web.Request) -> web.Response:
    """Documents that are not finished are read on, by this process's worker."""
    return web.json_response({"documents": await database_sync_to_async(requeue_unfinished)()})
