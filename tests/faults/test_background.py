"""A background answer outlives the server and the worker that were writing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.talk import Talk, rows, wait_for_journal
from tests.serving import Served
from tests.upstream import WORDS, Upstream

pytestmark = pytest.mark.timeout(180)

DUAL = """{"routes": [
  {"name": "short", "condition": "len(prompt) < 20", "model": "echo"},
  {"name": "long", "condition": "default", "model": "gated", "mode": "background"}
], "fallback": "echo"}"""


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.end()


def test_a_kill_in_the_middle_costs_no_word_and_nobody_has_to_ask_again(own: Served, upstream: Upstream) -> None:
    key = own.people(1, upstream.url)[0]
    own.configure(DUAL)
    own.start()
    own.start_worker()
    with Talk(own, key) as talk:
        talk.ask("Count to twenty, one word after the other.")
        started = talk.until("started")
        assert talk.until("decision")["mode"] == "background"
        upstream.release(7)
        wait_for_journal(own, "word7 ")
        talk.ask("Short.", chat=started["chat"], parent=started["answer"])
        assert talk.until("settled")["state"] == "done"
    own.kill()
    own.start()
    own.start_worker()
    upstream.release(WORDS)
    whole = "".join(f"word{number} " for number in range(1, WORDS + 1))
    deadline = time.monotonic() + 60
    while ("done", whole) not in (found := rows(own, "SELECT state, text FROM router_run")):
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
