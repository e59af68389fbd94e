"""The HTTP client of all providers: one per event loop, kept warm.

httpx's face on aiohttp's transport: with 200 streams begun at once on loopback the first token came after 53 to
74 ms (httpx's own: 135 to 261), for a fifth of the CPU time a token.
"""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any

import httpx
import orjson
from httpx_aiohttp import AiohttpTransport

from workspace.providers.base import Address, ProviderError
from workspace.providers.errors import OTHER_KIND, failed, from_exception, from_response, no_api
from workspace.providers.masking import Mask

CONNECT = 10.0  # seconds
LIMITS = httpx.Limits(max_connections=2_000, max_keepalive_connections=500, keepalive_expiry=60)
MAX_ERROR_BODY = 64_000  # bytes

_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, httpx.AsyncClient]] = (
    weakref.WeakKeyDictionary()
)
_replayed: ContextVar[httpx.AsyncClient | None] = ContextVar("replayed", default=None)


def client(socket: str = "") -> httpx.AsyncClient:
    """The loop's client; with ``socket``, the one that speaks over that Unix socket."""
    if replayed := _replayed.get():
        return replayed
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    if socket not in clients:
        clients[socket] = httpx.AsyncClient(
            transport=AiohttpTransport(limits=LIMITS, uds=socket or None), follow_redirects=False
        )
    return clients[socket]


async def close() -> None:
    for open_client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await open_client.aclose()


@contextlib.contextmanager
def answered_by(transport: httpx.AsyncBaseTransport) -> Iterator[None]:
    """Inside, every call of this task goes to ``transport``: recorded traffic is replayed through the whole path."""
    token = _replayed.set(httpx.AsyncClient(transport=transport))
    try:
        yield
    finally:
        _replayed.reset(token)


@contextlib.asynccontextmanager
async def posting(
    address: Address, path: str, body: bytes, *, headers: Mapping[str, str], first: float, idle: float
) -> AsyncIterator[httpx.Response]:
    """A streamed POST. Raises ProviderError for a refusal. ``first`` bounds the wait for headers; the caller sets
    its own deadlines for what it reads."""
    timeout = httpx.Timeout(CONNECT, read=None, write=30.0, pool=first)  # one timer a piece is enough: the reader's
    try:
        shared = client(address.socket)
        request = shared.build_request(
            "POST",
            address.base_url.rstrip("/") + path,
            content=body,
            headers={"content-type": "application/json", **headers},
            timeout=timeout,
        )
        async with asyncio.timeout(first):
            response = await shared.send(request, stream=True)
        try:
            if response.status_code != 200:
                async with asyncio.timeout(idle):
                    refusal = await _start_of(response)
                raise _refused(address, response, refusal)
            yield response
        finally:
            await response.aclose()
    except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, TimeoutError, OSError) as error:
        raise from_exception(error, address=address.base_url) from None


async def getting(address: Address, path: str, *, headers: Mapping[str, str]) -> Any:
    """A small JSON answer. Raises ProviderError."""
    url = address.base_url.rstrip("/") + path
    try:
        response = await client(address.socket).get(url, headers=dict(headers), timeout=CONNECT)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise from_exception(error, address=address.base_url) from None
    if response.status_code != 200:
        raise _refused(address, response, response.content)
    try:
        return orjson.loads(Mask(address.key)(response.content))
    except orjson.JSONDecodeError:
        raise no_api(address.base_url) from None


async def listed(address: Address, path: str, *, key: str, headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows of a provider's list of models, which stands under ``key``. Raises ProviderError."""
    answer = await getting(address, path, headers=headers)
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise failed("garbage", why="The server answers, but not with a list of models.", action=OTHER_KIND)
    return [row for row in rows if isinstance(row, dict)]


def _refused(address: Address, response: httpx.Response, body: bytes) -> ProviderError:
    """An answer that is no answer, in words. The key is masked before anything is cut off, lest half of it stays."""
    masked = Mask(address.key)
    headers = {name.lower(): masked.text(value) for name, value in response.headers.items()}
    return from_response(response.status_code, headers, masked(body)[:MAX_ERROR_BODY], address=address.base_url)


async def _start_of(response: httpx.Response) -> bytes:
    body = b""
    with contextlib.suppress(httpx.HTTPError):
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > 2 * MAX_ERROR_BODY:
                break
    return body
