"""A replay of a set whose server is killed midway: the next start goes on, and no answer is left out or made twice."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.talk import Talk, rows
from tests.serving import Served
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(180)

QUESTIONS = 5
SLOW = "pace-300-20-20"  # long enough to be killed in


def test_a_killed_server_goes_on_with_its_replay(tmp_path: Path, upstream: Upstream) -> None:
    served = Served(tmp_path)
    [key] = served.people(1, upstream.url, [SLOW])
    served.start()
    served.start_worker(threads=1)
    try:
        chat = talk(served, key)
        with httpx.Client(base_url=served.url, cookies={"sessionid": key}, timeout=20) as browser:
            page = browser.get(f"/c/{chat}/replay/?scope=chat").text
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
            answers = [one for (one,) in rows(served, "SELECT id FROM chat_message WHERE role = 'model' ORDER BY id")]
            assert token and len(answers) == QUESTIONS
            form = {"csrfmiddlewaretoken": token[1], "answer": answers, "what": "model", "model": SLOW}
            begun = browser.post(f"/c/{chat}/replay/", data=form, headers={"Origin": served.url})
            assert begun.status_code == 302, begun.text
            address = begun.headers["location"] + "?json"
            until(lambda: states(browser, address).count("done") >= 2 and "running" in states(browser, address))
            served.kill()
            before = {run: text for run, text, state in made(served) if state == "done"}
            assert 2 <= len(before) < QUESTIONS, "it was cut off midway"
            served.start()
            served.start_worker(threads=1)
            until(lambda: states(browser, address) == ["done"] * QUESTIONS)
            report = browser.get(address).json()
        after = {run: text for run, text, _ in made(served)}
    finally:
        served.end()
    assert len(after) == QUESTIONS and before.items() <= after.items(), "what was made stays as it was"
    assert report["summary"]["made"] == QUESTIONS
    assert all([one["name"] for one in answer["changed"]] == ["model"] for answer in report["answers"])


def talk(served: Served, key: str) -> str:
    """A chat of some answers; its id."""
    with Talk(served, key) as socket:
        chat = parent = None
        for number in range(QUESTIONS):
            socket.ask(f"Number {number}", model="echo", chat=chat, parent=parent)
            started = socket.until("started")
            chat, parent = started["chat"], started["answer"]
            socket.until("settled")
    return str(chat)


def states(browser: httpx.Client, address: str) -> list[str]:
    return [one["state"] for one in browser.get(address).json()["answers"]]


def made(served: Served) -> list[tuple[Any, ...]]:
    """The runs of the replay: id, text and state."""
    sql = "SELECT r.id, r.text, r.state FROM chat_replayed d JOIN router_run r ON r.id = d.run_id"
    return [(str(id), text, state) for id, text, state in rows(served, sql)]


def until(ready: Any, seconds: float = 90) -> None:
    ends = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < ends
        time.sleep(0.05)  # the worker is another thread of another process
