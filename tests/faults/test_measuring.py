"""A measurement of a server that dies midway: the next start goes on, and no item is lost or counted twice."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.serving import Served
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(180)

ITEMS, MODELS = 20, ("instant", "counting", "pace-40-1-10")
ROWS = [{"id": f"q{n}", "question": f"Which word is {n}?", "answers": ["word7"], "evidence": []} for n in range(ITEMS)]


def done(browser: httpx.Client, address: str) -> int:
    answers: dict[str, int] = browser.get(f"{address}json/").json()["progress"][0]
    return answers["done"]


def until(ready: Callable[[], bool], seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.1)  # the worker is another thread of another process


def test_a_killed_server_goes_on_with_its_measurement(tmp_path: Path) -> None:
    with Upstream() as upstream:
        served = Served(tmp_path)
        [key] = served.people(1, upstream.url, [MODELS[2]])
        served.start()
        served.start_worker()
        try:
            with httpx.Client(base_url=served.url, cookies={"sessionid": key}, timeout=20) as browser:
                token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/measure/").text)
                assert token
                begun = browser.post(
                    "/measure/begin/",
                    data={"csrfmiddlewaretoken": token[1], "model": list(MODELS), "grounded": "1", "repeats": "1"},
                    files={"suite": ("words.jsonl", "\n".join(map(json.dumps, ROWS)).encode())},
                    headers={"Origin": served.url},
                )
                assert begun.status_code == 302, begun.text
                address = begun.headers["location"]
                until(lambda: done(browser, address) >= 8)
                served.kill()
                served.start()
                served.start_worker()
                assert done(browser, address) < ITEMS * len(MODELS), "it was cut off midway"
                until(lambda: done(browser, address) == ITEMS * len(MODELS))
                table = list(csv.DictReader(io.StringIO(browser.get(f"{address}csv/").text)))
        finally:
            served.end()
    assert len(table) == ITEMS * len(MODELS)
    assert len({(row["item"], row["model"]) for row in table}) == len(table)
