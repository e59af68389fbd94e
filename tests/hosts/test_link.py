"""The link: whatever goes wrong with a host is one exception, and search goes on by words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web

from workspace.hosts import link
from workspace.hosts.child import answering


async def test_no_host_is_unavailable() -> None:
    with pytest.raises(link.HostUnavailable, match="model host"):
        await link.aembed(["one"])
    with pytest.raises(link.HostUnavailable, match="index host"):
        await asyncio.to_thread(link.count, "c")
    with pytest.raises(link.HostUnavailable):
        await link.settled()


@pytest_asyncio.fixture
async def loading(sockets: Path) -> AsyncIterator[None]:
    """A model host that is loading for ever, and an index host whose caller is always wrong."""

    async def busy(request: web.Request) -> web.Response:
        return web.json_response({"error": {"message": "loading"}}, status=503)

    async def wrong(request: web.Request) -> web.Response:
        raise KeyError("vector")

    runners = []
    for host, handler in ((link.MODEL_HOST, busy), (link.INDEX_HOST, answering(wrong))):
        app = web.Application()
        app.router.add_post("/{path:.*}", handler)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.UnixSite(runners[-1], link.socket_of(host)).start()
    yield
    for runner in runners:
        await runner.cleanup()


@pytest.mark.usefixtures("loading")
async def test_a_host_that_loads_or_refuses_is_unavailable_with_its_word() -> None:
    with pytest.raises(link.HostUnavailable, match="503.*loading"):
        await link.aembed(["one"])
    with pytest.raises(link.HostUnavailable, match="503.*loading"):
        await asyncio.to_thread(link.embed, ["one"])
    with pytest.raises(link.HostUnavailable, match="400.*vector"):
        await link.aquery({"c": []}, [1.0], 3)
