"""Local models in a whole server: a host that dies, that has no memory, and that works while others read.

``make soak`` runs the long version of the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.faults.talk import Talk, rows
from tests.faults.test_processes import child, wait_for, words
from tests.hosts.small import small_models
from tests.hosts.test_memory import ALLOCATOR
from tests.serving import ROOT, Served
from tests.upstream import WORDS, Upstream

pytestmark = pytest.mark.timeout(480)

ADD = """
import django, sys; django.setup()
from workspace.providers.adding import add_model
from workspace.providers.models import Provider, ProviderVersion
local = Provider.objects.create(name="local")
local.current = ProviderVersion.objects.create(provider=local, number=1, kind="local")
local.save()
for name, folder in zip(sys.argv[1::2], sys.argv[2::2]):
    add_model(local, folder, name=name, parameters={"max_tokens": 300, "temperature": 1.0})
"""
SLOW = "pace-20-20-400"  # a remote answer of eight seconds
# Seconds between two pieces with nothing late: a token comes each 20 ms, and what came is told at most each 40 ms.
# Under this an idle host's p99 says nothing of the machine, and twice of it would ask for less than both clocks make.
OWN_PACE = 0.06
ROUTES = '{"routes": [{"condition": "default", "model": "small", "fallbacks": ["echo"]}], "fallback": "echo"}'


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    return {
        "small": small_models("llama")["llama"],
        "large": small_models("llama", size="30m")["llama"],
        "wide": small_models("llama", size="wide")["llama"],
    }


class Local:
    """A server with local models, people and a remote provider."""

    def __init__(self, data: Path, upstream: Upstream, models: dict[str, str], **environment: str) -> None:
        self.served = Served(data, local_models=True, **environment)
        self.keys = self.served.people(3, upstream.url, [SLOW])
        added = subprocess.run(
            [sys.executable, "-c", ADD, *(word for pair in models.items() for word in pair)],
            cwd=ROOT, env=self.served.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert added.returncode == 0, added.stderr

    def start(self) -> Served:
        return self.served.start()

    @property
    def host(self) -> int:
        return child(self.served.pid, "model_host")


@pytest.fixture
def local(tmp_path: Path, upstream: Upstream, models: dict[str, str]) -> Iterator[Callable[..., Local]]:
    made: list[Local] = []

    def make(**environment: str) -> Local:
        made.append(Local(tmp_path, upstream, models, **environment))
        return made[-1]

    yield make
    for each in made:
        each.served.end()


def test_a_killed_host_delays_its_answer_and_touches_no_other(local: Callable[..., Local], upstream: Upstream) -> None:
    own = local()
    served = own.start()
    with Talk(served, own.keys[0]) as talk, Talk(served, own.keys[1]) as other:
        other.ask("Count.", model="gated")
        upstream.release(3)
        talk.ask("Go on for long.", model="large")
        talk.until("delta", within=90)
        os.kill(own.host, signal.SIGKILL)
        frames = talk.all_until("settled", within=180)
        upstream.release(WORDS)
        settled = other.until("settled")
    assert (frames[-1]["state"], settled["state"]) == ("done", "done")
    steps = [frame["text"] for frame in frames if frame["type"] == "step"]
    assert any("large broke off; it goes on" in step for step in steps), steps
    assert any("Loading" in step for step in steps), steps
    found = dict(rows(served, "SELECT state, count(*) FROM router_run GROUP BY state"))
    assert found == {"done": 2}
    assert (words(WORDS),) in rows(served, "SELECT text FROM router_run")


def test_a_model_without_room_gives_way_to_the_routes_fallback(local: Callable[..., Local]) -> None:
    own = local(LOCAL_MEMORY_GIB="0.0001")
    own.served.configure(ROUTES)
    served = own.start()
    wait_for(lambda: own.host)
    with Talk(served, own.keys[0]) as talk:
        talk.ask("Hello")
        frames = talk.all_until("settled", within=90)
    assert frames[-1]["state"] == "done"
    [(manifest,)] = rows(served, "SELECT manifest FROM router_run")
    assert "out_of_memory" in str(manifest) and '"echo"' in str(manifest).replace("'", '"')


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="the kernel of Linux does this")
def test_a_step_for_want_of_memory_is_seen_in_the_chat_and_kept_in_the_run(local: Callable[..., Local]) -> None:
    """The kernel refuses the host what the long question takes; words that were short had room."""
    own = local(**ALLOCATOR)
    served = own.start()
    wait_for(lambda: own.host)
    with Talk(served, own.keys[0]) as talk:
        for _ in range(2):  # so that every thread is there
            talk.ask("Hello", model="wide", parameters={"max_tokens": 40})
            settled = talk.until("settled", within=90)
            assert settled["state"] == "done", settled["html"]
        pid = own.host
        now = psutil.Process(pid).memory_info().vms
        resource.prlimit(pid, resource.RLIMIT_AS, (now + 40 * 2**20, resource.RLIM_INFINITY))
        talk.ask("What grows in an orchard? " * 50, model="wide", parameters={"max_tokens": 40})
        answer = talk.until("started")["answer"]
        frames = talk.all_until("settled", within=180)
    assert (frames[-1]["answer"], frames[-1]["state"], own.host) == (answer, "done", pid)
    seen = [frame["text"] for frame in frames if frame["type"] == "step"]
    assert "Out of memory: the model goes on in bfloat16" in seen
    [(kept,)] = rows(served, "SELECT manifest FROM router_run ORDER BY created DESC LIMIT 1")
    [attempt] = (json.loads(kept) if isinstance(kept, str) else kept)["attempts"]
    assert [step for step in attempt["steps"] if step.startswith("Out of memory")] == [
        step for step in seen if step.startswith("Out of memory")
    ]
    assert attempt["ran"][-1]["precision"] != "float32" and attempt["ran"][-1]["short"]


def gaps(served: Served, key: str, seconds: float) -> list[float]:
    """Seconds between two pieces of answers of the remote model."""
    found: list[float] = []
    end = time.monotonic() + seconds
    with Talk(served, key) as talk:
        while time.monotonic() < end:
            talk.ask("Count.", model=SLOW)
            talk.until("delta")
            last = time.monotonic()
            while talk.until("delta", "settled", within=30)["type"] == "delta" and last < end:
                now = time.monotonic()
                found.append(now - last)
                last = now
            if last >= end:
                break
    return found


def p99(values: list[float]) -> float:
    return sorted(values)[len(values) * 99 // 100]


@dataclass
class Trouble:
    """How many answers of the host had words, and how often it was killed."""

    words: int = 0
    kills: int = 0


def trouble(own: Local, over: threading.Event, done: Trouble) -> None:
    """Somebody uses local models all the time, and the host is killed at random once it writes."""
    chance = random.Random(7)
    while not over.is_set():
        with Talk(own.served, own.keys[1]) as talk:
            talk.ask("Go on.", model=chance.choice(("small", "large")))
            started = talk.until("started")
            writes = False
            with contextlib.suppress(TimeoutError):  # a load that takes its time is trouble too
                writes = talk.until("delta", "settled", within=chance.uniform(4.0, 8.0))["type"] == "delta"
            done.words += writes
            over.wait(chance.uniform(0.0, 2.0))
            if (host := own.host) and (writes or chance.random() < 0.3):
                os.kill(host, signal.SIGKILL)
                done.kills += 1
            talk.send("stop", chat=started["chat"], message=started["answer"])


def keeps_its_pace(own: Local, seconds: float) -> None:
    served = own.start()
    wait_for(lambda: own.host)
    quiet = gaps(served, own.keys[0], seconds * 0.4)
    over, done = threading.Event(), Trouble()
    worker = threading.Thread(target=trouble, args=(own, over, done))
    worker.start()
    try:
        wait_for(lambda: done.words, within=120)  # from now on it loads, writes and dies
        before = done.kills
        busy = gaps(served, own.keys[0], seconds * 0.6)
    finally:
        over.set()
        worker.join(60)
    assert len(busy) > 20
    assert done.kills > before, done
    assert p99(busy) < 2 * max(p99(quiet), OWN_PACE), (p99(quiet), p99(busy))


def test_a_remote_answer_keeps_its_pace_while_the_host_loads_writes_and_dies(local: Callable[..., Local]) -> None:
    keeps_its_pace(local(), 20.0)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_it_keeps_its_pace_for_minutes(local: Callable[..., Local]) -> None:
    keeps_its_pace(local(), 300.0)


def test_a_replay_of_a_local_model_is_the_same_byte_for_byte(local: Callable[..., Local]) -> None:
    """Two turns, so that the second was read from where the first ended; then both again, and with another seed."""
    own = local()
    served = own.start()
    served.start_worker()
    wait_for(lambda: own.host)
    with Talk(served, own.keys[0]) as talk:
        talk.ask("Tell me of tea.", model="small")
        started = talk.until("started")
        talk.until("settled", within=90)
        talk.ask("And of milk.", model="small", chat=started["chat"], parent=started["answer"])
        second = talk.until("started")["answer"]
        while talk.until("settled", within=90)["answer"] != second:
            pass
    first = rows(served, "SELECT text FROM router_run ORDER BY created")
    assert all(text for (text,) in first)
    page = f"/c/{started['chat']}/replay/"
    with httpx.Client(base_url=served.url, cookies={"sessionid": own.keys[0]}, follow_redirects=True) as browser:
        plan = browser.get(page).text
        assert plan.count("The same text, byte for byte") == 2
        for form, changed in (({}, []), ({"what": "parameter", "name": "seed", "parameter": "7"}, ["seed"])):
            secret = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', plan)
            answers = re.findall(r'name="answer" value="([\w-]+)"', plan)
            assert secret and len(answers) == 2
            made = browser.post(page, data={**form, "csrfmiddlewaretoken": secret[1], "answer": answers})
            report = f"{made.url}?json"
            wait_for(lambda report=report: browser.get(report).json()["summary"]["made"] == 2, within=200)  # type: ignore[misc]
            told = browser.get(report).json()
            assert [one["same"] for one in told["answers"]] == [not changed] * 2
            assert [[each["name"] for each in one["changed"]] for one in told["answers"]] == [changed] * 2
            assert [one["followed"] for one in told["answers"]] == [[], []]
            if not changed:
                assert [(one["text"],) for one in told["answers"]] == first
