"""What other programs get: chat completions through us, through the provider itself and, with ``RIVALS=1``, through
LiteLLM's proxy; each alone on the server's core, in the same run.

``whole`` and ``stream`` answer 64 tokens at once, so they show what a request costs. ``paced`` takes 50 ms to its first
token and shows what comes on top of a provider that thinks.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks.figures import added_ms, percentiles
from tests.benchmarks.load import Answer, ProgramReader, Reader, connect, without_pause
from tests.serving import ROOT, free_port
from tests.upstream import log_of

AT_ONCE = (1, 16, 64)
MODELS = {"whole": "instant", "stream": "instant", "paced": "pace-50-20-8"}
LITELLM = ROOT / ".venv-rivals" / "bin" / "litellm"


@dataclass(frozen=True)
class Door:
    """Who answers chat completions."""

    name: str
    url: str
    token: str = ""


async def measure(doors: Sequence[Door], upstream: str, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for programs in AT_ONCE:
        rows = found[f"{programs}"] = {}
        for door in doors:
            say(f"{door.name}: {programs} programs at once")
            rows[door.name] = {mode: await _level(door, programs, mode, upstream, quick=quick) for mode in MODELS}
        _compare(rows)
    return found


async def _level(door: Door, programs: int, mode: str, upstream: str, *, quick: bool) -> dict[str, Any]:
    """Connections are open before anything is counted, and none is older than its server lets one rest."""

    def make() -> Reader:
        return ProgramReader(urlsplit(door.url).netloc, door.token, stream=mode != "whole")

    label = f"{door.name}.{programs}.{mode}"
    for part, seconds in ((f"{label}.warm", 0.5), (label, 1.5 if quick else 5.0)):
        readers = [await connect(door.url, make) for _ in range(programs)]
        await asyncio.to_thread(log_of, upstream)
        begun = time.monotonic()
        answers = await without_pause(readers, MODELS[mode], seconds=seconds, label=part)
        took = time.monotonic() - begun
        for reader in readers:
            reader.close()
    row = _figures(answers, took)
    if mode == "paced":
        log = {line["rid"]: line for line in await asyncio.to_thread(log_of, upstream)}
        row["added_ms"] = percentiles(added_ms(answers, log))
    await asyncio.sleep(0.3)
    return row


def _figures(answers: Sequence[Answer], seconds: float) -> dict[str, Any]:
    done = [answer for answer in answers if answer.outcome == "done"]
    return {
        "asked": len(answers),
        "refused_or_lost": len(answers) - len(done),
        "outcomes": sorted({answer.outcome for answer in answers} - {"done"}),
        "requests_per_s": round(len(done) / seconds),
        "ms": percentiles([1e3 * (answer.end - answer.sent) for answer in done]),
    }


def _compare(rows: dict[str, Any]) -> None:
    """What came on top of the provider itself, asked in the same way."""
    for row in rows.values():
        for mode in ("whole", "stream"):
            mine, direct = row[mode]["ms"].get("p50"), rows["direct"][mode]["ms"].get("p50")
            row[mode]["added_ms"] = {"p50": round(mine - direct, 1)} if mine and direct else {}


@contextlib.contextmanager
def litellm(upstream: str, folder: Path, cpu: int) -> Iterator[Door]:
    """Its proxy as it comes, with one worker, over the same provider."""
    config, port, key = folder / "litellm.json", free_port(), "sk-bench"
    listed = [
        {"model_name": name, "litellm_params": {"model": f"openai/{name}", "api_base": upstream, "api_key": "x"}}
        for name in sorted(set(MODELS.values()))
    ]
    config.write_text(json.dumps({"model_list": listed, "general_settings": {"master_key": key}}))
    process = subprocess.Popen(
        [str(LITELLM), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"],
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        os.sched_setaffinity(process.pid, {cpu})
        _wait_for(f"http://127.0.0.1:{port}/health/liveliness")
        yield Door("litellm", f"http://127.0.0.1:{port}", key)
    finally:
        process.kill()
        process.wait()


def _wait_for(url: str, *, within: float = 120) -> None:
    deadline = time.monotonic() + within
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.5)
        else:
            return
