"""Models of this machine's model host: chat completions over its Unix socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import ClassVar

from django.conf import settings

from workspace.providers.base import Address, Call, Said
from workspace.providers.openai import OpenAI


class Local(OpenAI):
    kind: ClassVar[str] = "local"
    label: ClassVar[str] = "On this machine (transformers)"

    async def stream(self, call: Call) -> AsyncGenerator[Said, None]:
        async with aclosing(super().stream(replace(call, address=_host()))) as pieces:
            async for said in pieces:
                yield said

    async def models(self, address: Address) -> list[str]:
        return await super().models(_host())


def _host() -> Address:
    return Address(base_url="http://model-host/v1", socket=str(settings.SOCKET_DIR / "model_host.sock"))
