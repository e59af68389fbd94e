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


def batch_of(folder: str, *, tokens: int = 10**9) -> tuple[Any, list[tuple[Any, Any]]]:
    """A model's batch, and the list of what it tells of which answer."""
    from workspace.hosts.batch import Batch
    from workspace.hosts.loading import load

    told: list[tuple[Any, Any]] = []
    loaded = load(Path(folder), device="cpu", precision="float32")
    return Batch(loaded, lambda job, piece: told.append((job, piece)), tokens=tokens), told


def asked(batch: Any, words: str = WORDS, **options: Any) -> Any:
    """An answer that waits in the batch."""
    from workspace.hosts.prompting import job_of

    body = {"messages": [{"role": "user", "content": words}], "temperature": 0, "ignore_eos": True, **options}
    job = job_of(body, batch.loaded, lambda piece: None)
    batch.waiting.append(job)
    return job


def how_it_ended(told: list[tuple[Any, Any]], job: Any) -> str:
    last = [piece for each, piece in told if each is job][-1]
    return str(getattr(last, "reason", "") or getattr(last, "message", ""))


def one_answers_scores_are_no_numbers(folder: str) -> dict[str, Any]:
    """Parameters that overflow, at the first token and, by a penalty on what was written, at a later one."""
    batch, told = batch_of(folder)
    sound = asked(batch, max_tokens=12)
    first = asked(batch, max_tokens=12, temperature=1.0, repetition_penalty=1e-300)
    later = asked(batch, max_tokens=12, temperature=1.0, frequency_penalty=-1e39, seed=1)
    cold = asked(batch, max_tokens=12, temperature=1e-40)
    while batch.busy:
        batch.round()
    ended = {name: how_it_ended(told, job) for name, job in
             {"sound": sound, "first": first, "later": later, "cold": cold}.items()}  # fmt: skip
    return {**ended, "cold is greedy": cold.written == sound.written, "later wrote": len(later.written)}


async def an_answer_comes_just_after_its_model_went(folder: str) -> dict[str, Any]:
    from workspace.hosts.engine import Engine

    told: list[tuple[Any, Any]] = []
    engine = Engine(asyncio.get_running_loop(), told.extend)
    batch, _ = batch_of(folder)
    engine.add(batch)
    job = asked(batch, max_tokens=4)
    batch.waiting.clear()
    await engine.remove(batch)
    engine.submit(batch, job)
    await engine.do(lambda: None)
    await asyncio.sleep(0)
    return {"ended": how_it_ended(told, job), "status": told[-1][1].status}


def main(story: str, *folders: str) -> None:
    told = globals()[story](*folders)
    print(json.dumps(asyncio.run(told) if inspect.iscoroutine(told) else told))


if __name__ == "__main__":
    main(*sys.argv[1:])
