"""Runs as chance has them: providers that break off, repeat themselves and refuse, people who stop, retry and go on
after the server was killed.

The upstream says numbered words and goes on after the last one it is given, so a word that was lost or said twice
shows. Whatever happens, an answer that is done is every word once, and any other is a beginning of that.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.faults.talk import Talk, rows
from tests.faults.test_bad_input import key_of
from tests.serving import Served
from tests.upstream import COUNTED, Upstream
from tests.upstream import words as words_of

ALL = "".join(words_of(0, COUNTED))
MODELS = [f"unsteady-{number}" for number in range(24)]  # many, as breakers soon pass the worst of them by
ROUTES = json.dumps(
    {
        "routes": [
            {
                "condition": f'contains(prompt, "<{name}>")',
                "model": name,
                "fallbacks": [MODELS[number - 1], MODELS[number - 2]],
            }
            for number, name in enumerate(MODELS)
        ],
        "fallback": "counting",
        "hedge": {"after_s": 0.01, "percent": 20},
    }
)


@pytest.mark.parametrize(
    ("people", "each", "kills"),
    [
        pytest.param(5, 9, 1, id="50", marks=pytest.mark.timeout(180)),
        pytest.param(20, 45, 5, id="1000", marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_no_word_is_lost_or_said_twice(tmp_path: Path, upstream: Upstream, people: int, each: int, kills: int) -> None:
    served = Served(tmp_path, FIRST_TOKEN_DEADLINE="10", IDLE_DEADLINE="10")
    keys = served.people(people, upstream.url, MODELS, routes=ROUTES)
    upstream.seed(7)
    try:
        served.start()
        with ThreadPoolExecutor(people) as pool:
            runs = [run for of in pool.map(lambda n: one_person(served, keys[n], n, each), range(people)) for run in of]
            seen = Counter(check(served, id, shown) for id, shown in runs)
            assert {"done", "continued", "failed", "stopped"} <= seen.keys(), seen
            for _ in range(kills):
                asked = list(pool.map(lambda key: asks(served, key), keys))
                served.kill()
                served.start()
                ended = pool.map(lambda each: goes_on(served, *each), zip(keys, asked, strict=True))
                seen += Counter(check(served, id) for id in ended)
        assert seen.total() == people * (each + kills)
        assert rows(served, "SELECT COUNT(*) FROM router_runevent") == [(0,)]
        [(of_runs,)] = rows(served, "SELECT SUM(cost) FROM router_run")
        [(of_days,)] = rows(served, "SELECT SUM(cost) FROM router_dailyusage")
        assert abs(Decimal(str(of_runs)) - Decimal(str(of_days))) < Decimal("1e-7") and of_days > 0
    finally:
        served.end()


def one_person(served: Served, key: str, seed: int, count: int) -> list[tuple[str, str]]:
    """So many runs one after the other: each with its id and the text that the tab was told."""
    chance, runs = random.Random(seed), []
    with Talk(served, key) as talk:
        last: dict[str, Any] | None = None
        for _ in range(count):
            model = chance.choice(MODELS)
            chosen = chance.choice(["", model])
            if last and chance.random() < 0.3:
                about = {"chat": last["chat"], "message": last["answer"]}
                talk.send("retry", client_id=str(uuid.uuid4()), model=chosen, **about)
            else:
                talk.ask(f"Count. <{model}>", model=chosen)
            last = talk.until("started", within=60)
            runs.append((last["run"], told(talk, last, stop_after=chance.choice([0, 0, 1, 2, 3]))))
    return runs


def told(talk: Talk, started: dict[str, Any], *, stop_after: int) -> str:
    """The text that comes until the answer is settled; the person stops it after so many pieces, if any."""
    text, pieces = "", 0
    while (frame := talk.until("delta", "block", "settled", within=120))["type"] != "settled":
        assert frame["type"] == "delta", frame
        text += frame["text"]
        pieces += 1
        if pieces == stop_after:
            talk.send("stop", chat=started["chat"], message=started["answer"])
    return text


def asks(served: Served, key: str) -> dict[str, Any]:
    """A question whose answer has begun, and nobody who listens any more."""
    with Talk(served, key) as talk:
        talk.ask("Count.", model="unsteady")
        started = talk.until("started", within=60)
        talk.until("delta", "settled", within=60)
        return started


def goes_on(served: Served, key: str, started: dict[str, Any]) -> str:
    """The answer of a killed server, continued if it was not over before that. The id of its run."""
    deadline = time.monotonic() + 60
    while (state := state_of(served, started["run"])) == "running":  # beside others a process is dead once silent
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with Talk(served, key) as talk:
        talk.send("open", chat=started["chat"])
        talk.until("opened")
        if state == "interrupted":
            talk.send("continue", chat=started["chat"], message=started["answer"])
            again = talk.until("started")
            while talk.until("settled", within=60)["seq"] <= again["seq"]:
                pass  # that it was interrupted may be told late
    return str(started["run"])


def state_of(served: Served, run: str) -> str:
    [(state,)] = rows(served, "SELECT state FROM router_run WHERE id = ?", key_of(served, run))
    return str(state)


def check(served: Served, id: str, shown: str | None = None) -> str:
    """How a run ended, its promise checked, also against what was shown of it."""
    [(state, text, manifest)] = rows(
        served, "SELECT state, text, manifest FROM router_run WHERE id = ?", key_of(served, id)
    )
    attempts = (json.loads(manifest) if isinstance(manifest, str) else manifest)["attempts"]
    assert shown in (text, None)
    assert text == ALL if state == "done" else state in ("failed", "stopped") and ALL.startswith(text), (text, attempts)
    return "continued" if state == "done" and any(attempt["offset"] for attempt in attempts) else state
