"""What every host's process has in common: it serves one application on a Unix socket and goes when its parent goes.

A child imports no Django: it starts faster and stays smaller.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
from aiohttp import web

PR_SET_PDEATHSIG = 1  # prctl(2)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(app: web.Application, socket: Path) -> None:
    """Serve until the parent is gone or says so. The socket is open to this user alone.

    One line on standard output tells the parent that the socket takes connections; whatever a library prints goes to
    standard error.
    """
    die_with_parent()
    told = os.dup(1)
    os.dup2(2, 1)
    asyncio.run(_serve(app, socket, told))


async def _serve(app: web.Application, socket: Path, told: int) -> None:
    gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, gone.set)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    _remove(socket)
    old = os.umask(0o177)
    try:
        await web.UnixSite(runner, socket).start()
    finally:
        os.umask(old)
    os.write(told, b"serving\n")
    os.close(told)
    reader = loop.run_in_executor(None, sys.stdin.buffer.read)  # ends when the parent closes our standard input
    stop = asyncio.ensure_future(gone.wait())
    await asyncio.wait({reader, stop}, return_when=asyncio.FIRST_COMPLETED)
    _remove(socket)
    os._exit(0)  # threads of torch and Chroma are not waited for


def life() -> dict[str, int | float | str]:
    """Of this process: memory in bytes, seconds it has been up, how often it was started again, how the last ended."""
    process = psutil.Process()
    return {
        "memory": process.memory_info().rss,
        "up": time.time() - process.create_time(),
        "restarts": int(os.environ.get("HOST_RESTARTS", 0)),
        "ended": os.environ.get("HOST_ENDED", ""),
    }


def answering(work: Handler) -> Handler:
    """A handler whose failures become one JSON shape."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await work(request)
        except (KeyError, ValueError, TypeError) as error:
            return web.json_response({"error": {"message": str(error), "type": "invalid_request_error"}}, status=400)
        except MemoryError as error:
            return web.json_response(
                {"error": {"message": f"out of memory: {error}", "type": "server_error"}}, status=500
            )

    return handle


def _remove(socket: Path) -> None:
    socket.unlink(missing_ok=True)


def die_with_parent() -> None:
    """The kernel ends us with our parent, even one that was killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
