"""A comparison's lanes: what each adds to its provider's time to first token, beside one answer alone.

One person asks on one socket, in turn: one answer, and two, four and eight lanes at once, a hundred times drawn in
random order in one run, so that whatever else the machine does falls on all alike.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.benchmarks import figures
from tests.benchmarks.load import ChatReader, connect, framed
from tests.serving import Served
from tests.upstream import log_of

COUNTS = (1, 2, 4, 8)
MODELS = [f"pace-50-20-{8 + lane}" for lane in range(8)]  # alike, but for a name that the provider's log has


class LaneReader(ChatReader):
    """Asks for one answer or for several lanes, and notes when the first word of each was read."""

    def ask_of(self, models: list[str], rid: str) -> asyncio.Future[dict[str, float]]:
        self._lanes = len(models)
        self._model_of: dict[str, str] = {}
        self._first: dict[str, float] = {}
        self._ended = 0
        self._all: asyncio.Future[dict[str, float]] = asyncio.get_running_loop().create_future()
        asked: dict[str, Any] = {"client_id": str(uuid.uuid4()), "text": f"Say something. rid:{rid}"}
        if len(models) == 1:
            asked |= {"type": "send", "model": models[0]}
        else:
            asked |= {"type": "compare", "lanes": [{"model": model} for model in models]}
        self._sent = time.monotonic()
        self._transport.write(framed(json.dumps(asked).encode()))
        return self._all

    def _heard(self, payload: bytes, now: float) -> None:
        kind = payload[:24]
        if b'"delta"' in kind or b'"block"' in kind:
            self._first.setdefault(json.loads(payload)["run"], now - self._sent)
        elif b'"decision"' in kind:
            told = json.loads(payload)
            self._model_of[told["run"]] = told["model"]
        elif b'"refused"' in kind:
            self._all.set_exception(RuntimeError(json.loads(payload)["cause"]))
        elif b'"settled"' in kind:
            self._ended += 1
            if self._ended == self._lanes:
                self._all.set_result({self._model_of[run]: first for run, first in self._first.items()})


def measure(upstream: str, folder: Path, cpu: int, *, quick: bool) -> dict[str, Any]:
    import uvloop

    served = Served(folder / "lanes", cpu=cpu)
    [key] = served.people(1, upstream, MODELS)
    served.start()
    try:
        time.sleep(3)  # the guide is being read
        return uvloop.run(_measure(served, key, upstream, rounds=10 if quick else 40))
    finally:
        served.end()


async def _measure(served: Served, key: str, upstream: str, *, rounds: int) -> dict[str, Any]:
    reader = await connect(served.url, lambda: LaneReader(urlsplit(served.url).netloc, key))
    assert isinstance(reader, LaneReader)
    turns = [count for count in COUNTS for _ in range(rounds)]
    random.Random(7).shuffle(turns)
    for count in COUNTS:
        await asyncio.wait_for(reader.ask_of(MODELS[:count], f"warm.{count}"), 60)
    heard = []
    for number, count in enumerate(turns):
        rid = f"lanes.{number}"
        heard.append((rid, count, await asyncio.wait_for(reader.ask_of(MODELS[:count], rid), 60)))
    log = {(line["rid"], line["model"]): line for line in await asyncio.to_thread(log_of, upstream)}
    reader.close()
    return {str(count): _row([one for one in heard if one[1] == count], log) for count in COUNTS}


def _row(heard: list[tuple[str, int, Mapping[str, float]]], log: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """Of every lane, and of the last lane of each comparison."""
    added = [
        [1e3 * (first - (log[rid, model]["first"] - log[rid, model]["received"])) for model, first in firsts.items()]
        for rid, _, firsts in heard
    ]
    return {
        "lanes": sum(map(len, added)),
        "added_ms": figures.percentiles([value for each in added for value in each]),
        "last_ms": figures.percentiles([max(each) for each in added]),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    alone = found["1"]["added_ms"]["p50"]
    told = ["Lanes at once: added to the first token, ms (p50 / p95), × one answer (aim: at most 4)"]
    for count, row in found.items():
        each, last = row["added_ms"], row["last_ms"]
        told.append(
            f"  {count:>2}  each {each['p50']:6.1f} / {each['p95']:6.1f}  {each['p50'] / alone:4.1f} ×"
            f"   the last {last['p50']:6.1f} / {last['p95']:6.1f}  {last['p50'] / alone:4.1f} ×"
        )
    return told
