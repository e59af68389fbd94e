"""A measurement whose process dies, or is paused midway: another goes on; no item is lost, counted or paid twice."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.serving import ROOT, Served
from tests.upstream import WORDS, Upstream, text_of
from workspace.measurement.starting import LEAST_WARMUPS

pytestmark = pytest.mark.timeout(300)

ITEMS, MODELS = 20, ("instant", "counting", "pace-40-1-10")
ROWS = [{"id": f"q{n}", "question": f"Which word is {n}?", "answers": ["word7"], "evidence": []} for n in range(ITEMS)]
MEASURE = """
import asyncio, django, sys, uuid
django.setup()
from workspace.measurement import measuring
asyncio.run(measuring.measure(uuid.UUID(sys.argv[1].split("/")[-2])))
"""


def done(browser: httpx.Client, address: str) -> int:
    """How many answers there are, while it is not done."""
    found = re.search(r"(\d+) of \d+</span> answers", browser.get(f"{address}progress/").text)
    return int(found[1]) if found else ITEMS * len(MODELS)


def state(browser: httpx.Client, address: str) -> str:
    """As the part of its page says that is had again and again: the report would be counted each time."""
    found = re.search(r'class="tag[^"]*">(\w+)<', browser.get(f"{address}progress/").text)
    return found[1] if found else "done"


def until(ready: Callable[[], bool], seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.1)  # the worker is another thread of another process


def begun(browser: httpx.Client, rows: list[dict[str, object]], *models: str) -> str:
    """The address of a measurement that was begun on its page."""
    page = browser.get("/measure/").text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
    assert token
    browser.headers["X-CSRFToken"] = token[1]
    file = ("words.jsonl", "\n".join(map(json.dumps, rows)).encode())
    begun = browser.post("/measure/begin/", data={"model": list(models), "grounded": "1"}, files={"suite": file})
    assert begun.status_code == 302, begun.text
    return begun.headers["location"]


def answers(browser: httpx.Client, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(browser.get(f"{address}csv/").text)))


def test_a_killed_server_goes_on_with_its_measurement(tmp_path: Path) -> None:
    with Upstream() as upstream:
        served = Served(tmp_path)
        [key] = served.people(1, upstream.url, [MODELS[2]])
        served.start()
        served.start_worker()
        try:
            with page_of(served, key) as browser:
                address = begun(browser, ROWS, *MODELS)
                until(lambda: done(browser, address) >= 8)
                served.kill()
                served.start()
                served.start_worker()
                assert done(browser, address) < ITEMS * len(MODELS), "it was cut off midway"
                until(lambda: state(browser, address) == "done")
                table = answers(browser, address)
        finally:
            served.end()
    assert len(table) == ITEMS * len(MODELS)
    assert len({(row["item"], row["model"]) for row in table}) == len(table)


def test_what_a_model_still_answers_is_waited_for_by_whoever_goes_on(tmp_path: Path) -> None:
    """The server is paused while a model writes; another process goes on, and is killed while a model writes; the
    server goes on. The first answer is kept and never asked for again; the second one, which nobody has, once."""
    few = ROWS[:4]
    warm = LEAST_WARMUPS * WORDS
    with Upstream() as upstream:
        served = Served(tmp_path)
        [key] = served.people(1, upstream.url)
        served.start()
        served.start_worker()
        try:
            with page_of(served, key) as browser:
                address = begun(browser, few, "gated")
                upstream.release(warm)
                upstream.arrived(LEAST_WARMUPS + 1, within=90)
                change(browser, address, "pause", "paused")
                change(browser, address, "on", "queued")
                command = [sys.executable, "-c", MEASURE, address]
                with subprocess.Popen(command, cwd=ROOT, env=served.environment) as other:
                    until(lambda: state(browser, address) == "running")
                    with pytest.raises(TimeoutError):
                        upstream.arrived(LEAST_WARMUPS + 2, within=3)
                    upstream.release(WORDS + warm)
                    upstream.arrived(2 * (LEAST_WARMUPS + 1), within=90)
                    other.kill()
                change(browser, address, "pause", "paused")
                change(browser, address, "on", "running", "queued")
                upstream.release(warm + WORDS * len(few))
                until(lambda: state(browser, address) == "done")
                log, table = upstream.arrived(0), answers(browser, address)
        finally:
            served.end()
    assert sorted(row["item"] for row in table) == sorted(str(row["id"]) for row in few)
    assert {row["cell"] for row in table} == {"correct"}
    asked = Counter(text_of(line["asked"]["messages"][-1]) for line in log)
    assert sorted(asked[str(row["question"])] for row in few) == [1, 1, 1, 2]


def page_of(served: Served, key: str) -> httpx.Client:
    return httpx.Client(base_url=served.url, cookies={"sessionid": key}, headers={"Origin": served.url}, timeout=20)


def change(browser: httpx.Client, address: str, to: str, *states: str) -> None:
    assert browser.post(f"{address}change/", data={"to": to}).status_code == 302
    assert state(browser, address) in states
