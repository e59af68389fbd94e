"""What is told reaches the listeners of its own loop, whoever else tells something in this process."""

from __future__ import annotations

import asyncio

from workspace.hub import hub


async def test_who_tells_from_another_loop_does_not_deafen_the_listeners_of_this_one() -> None:
    heard: list[bytes] = []

    async def hear(frame: bytes) -> None:
        heard.append(frame)

    async def elsewhere() -> None:
        await hub().tell("news", b"of another loop")
        await hub().close()

    await hub().listen("news", hear)
    await asyncio.to_thread(asyncio.run, elsewhere())
    await hub().tell("news", b"of this one")
    await hub().leave("news", hear)
    assert heard == [b"of this one"]
