"""Models of this machine's model host: chat completions over its Unix socket.

A host that is starting, for the first time or after it died, is waited for. What it does about short memory comes as
steps of the answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, ClassVar

from workspace.hosts import link
from workspace.providers.base import Address, Call, ProviderError, Ran, Said, Sent, Step
from workspace.providers.errors import failed
from workspace.providers.exchange import exchange, object_of
from workspace.providers.openai import NOT_PARAMETERS, OpenAI, Reader, body_of

EXTRA = ("top_k", "min_p", "repetition_penalty")
START_WITHIN = 20.0  # seconds that a host which is not there is waited for
LOOK = 0.1


class Local(OpenAI):
    kind: ClassVar[str] = "local"
    label: ClassVar[str] = "On this machine (transformers)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        call = replace(call, address=_host(), abilities=call.abilities | {"seed"})
        body = await body_of(call)
        body |= {name: call.parameters[name] for name in EXTRA if call.parameters.get(name) is not None}
        yield Sent(parameters={name: value for name, value in body.items() if name not in NOT_PARAMETERS})
        if not link.socket_of(link.MODEL_HOST).exists():
            yield Step("The model host is starting")
            await _until_there()
        body["user"] = call.chat
        for last in (False, True):
            try:
                async with aclosing(self._said(call, body)) as pieces:
                    async for said in pieces:
                        yield said
                return
            except ProviderError as error:
                if last or error.failure.code != "unreachable":
                    raise
            yield Step("The model host is starting again")
            await _until_there()

    async def models(self, address: Address) -> list[str]:
        return await super().models(_host())

    async def _said(self, call: Call, body: dict[str, Any]) -> AsyncGenerator[Said, None]:
        answer = exchange(call, "/chat/completions", body, headers={}, reader=LocalReader())
        async with aclosing(answer) as pieces:
            async for said in pieces:
                yield said


class LocalReader(Reader):
    """Chat completions, with the host's own words between the chunks."""

    def read(self, name: str, data: bytes) -> Iterator[Said]:
        told = object_of(data) if b'"onepane.' in data else {}
        match told.get("object"):
            case "onepane.step":
                yield Step(str(told["step"]))
            case "onepane.ran":
                yield Ran(dict(told["ran"]))
            case _:
                yield from super().read(name, data)


def _host() -> Address:
    return Address(base_url="http://model-host/v1", socket=str(link.socket_of(link.MODEL_HOST)))


async def _until_there() -> None:
    """Until somebody listens. A host that was killed leaves its socket behind."""
    deadline = asyncio.get_running_loop().time() + START_WITHIN
    while asyncio.get_running_loop().time() < deadline:
        try:
            _, writer = await asyncio.open_unix_connection(link.socket_of(link.MODEL_HOST))
        except OSError:
            await asyncio.sleep(LOOK)
            continue
        writer.close()
        return
    raise failed("unreachable", "the model host does not start; see the server's log")
