"""What a test does inside a process with torch: ``python -m tests.hosts.inside STORY FOLDER...`` runs the function of
that name and prints what it found, as JSON. A test's own process does not import torch.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = "What grows in an orchard, and when is it picked? "


def inside(story: Callable[..., Any], *folders: str) -> dict[str, Any]:
    """What the story found, told in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.inside", story.__name__, *folders]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=110, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


async def somebody_leaves_while_a_round_runs() -> dict[str, Any]:
    """Who left had asked for something to be done after the round."""
    from workspace.hosts.engine import Engine

    engine = Engine(asyncio.get_running_loop(), lambda told: None)
    running, go_on = threading.Event(), threading.Event()
    slow = asyncio.ensure_future(engine.do(lambda: (running.set(), go_on.wait())))
    await asyncio.to_thread(running.wait)
    left = asyncio.ensure_future(engine.do(lambda: "for nobody"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    await asyncio.sleep(0)
    go_on.set()
    await slow
    async with asyncio.timeout(20):
        return {"then": await engine.do(lambda: "goes on"), "left": left.cancelled()}


def main(story: str, *folders: str) -> None:
    told = globals()[story](*folders)
    print(json.dumps(asyncio.run(told) if inspect.iscoroutine(told) else told))


if __name__ == "__main__":
    main(*sys.argv[1:])
