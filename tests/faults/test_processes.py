"""Processes that die, are told to stop, or find their place taken."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults.talk import Talk, rows, wait_for_journal, wait_for_run
from tests.serving import ROOT, Served
from tests.upstream import WORDS, Upstream

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.end()


def test_a_killed_server_keeps_the_text_and_continuing_completes_it(own: Served, upstream: Upstream) -> None:
    key = own.people(1, upstream.url)[0]
    own.start()
    try:
        with Talk(own, key) as talk:
            talk.ask("Count.", model="gated")
            started = talk.until("started")
            upstream.release(7)
            wait_for_journal(own, "word7 ")
        own.kill()
        own.start()
        wait_for_run(own, "interrupted", words(7))
        with Talk(own, key) as talk:
            talk.send("open", chat=started["chat"])
            talk.until("opened")
            talk.send("continue", chat=started["chat"], message=started["answer"])
            upstream.release(WORDS)
            again = talk.until("started")
            # That it was interrupted may be told late: what a tab has seen already it ignores.
            while (settled := talk.until("settled"))["seq"] <= again["seq"]:
                assert settled["state"] == "interrupted"
            assert settled["state"] == "done"
        assert rows(own, "SELECT state, text FROM router_run") == [("done", words(WORDS))]
    finally:
        own.end()


def test_a_busy_port_is_said_plainly(own: Served) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", own.port))
        taken.listen()
        ended = serve_once(own)
    assert ended.returncode != 0
    assert f"Port {own.port} can't be used" in ended.stderr
    assert f"make run PORT={own.port + 1}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_server_on_the_same_data_is_said_plainly(own: Served, upstream: Upstream) -> None:
    own.start()
    try:
        second = Served(own.data)
        ended = serve_once(second)
    finally:
        own.end()
    assert ended.returncode != 0
    assert f"process {own.pid}" in ended.stderr
    assert "DATA_DIR=" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_ctrl_c_ends_within_its_deadline_and_keeps_the_answer(own: Served, upstream: Upstream) -> None:
    key = own.people(1, upstream.url)[0]
    own.start()
    with Talk(own, key) as talk:
        talk.ask("Count.", model="gated")
        upstream.release(3)
        wait_for_journal(own, "word3 ")
        begun = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - begun < 9
    assert rows(own, "SELECT state, text FROM router_run") == [("interrupted", words(3))]


HELD = """
import asyncio, time, django
django.setup()
from django.core.management import call_command
from workspace import control, server
async def stuck():
    {held}
control.close = stuck
server.GIVE_UP_AFTER = 1.5
call_command("serve")
"""


@pytest.mark.parametrize("held", ["await asyncio.Event().wait()", "time.sleep(60)"], ids=["a part", "the loop"])
def test_what_never_ends_does_not_hold_the_server(own: Served, upstream: Upstream, held: str) -> None:
    key = own.people(1, upstream.url)[0]
    own.command = [sys.executable, "-c", HELD.format(held=held)]
    own.start()
    with Talk(own, key) as talk:
        talk.ask("Count.", model="gated")
        upstream.release(3)
        wait_for_journal(own, "word3 ")
        assert own.stop() == 1
    assert any("Stopped while something still ran" in line and "_end" in line for line in own.said)
    assert rows(own, "SELECT state, text FROM router_run") == [("interrupted", words(3))]


@pytest.mark.parametrize("host", ["model_host", "index_host"])
def test_a_child_that_is_killed_comes_back_and_goes_with_the_server(tmp_path: Path, host: str) -> None:
    served = Served(tmp_path, local_models=True).start()
    try:
        first = wait_for(lambda: child(served.pid, host))
        os.kill(first, signal.SIGKILL)
        again = wait_for(lambda: child(served.pid, host, other_than=first))
        served.kill()
        wait_for(lambda: not psutil.pid_exists(again) or psutil.Process(again).status() == psutil.STATUS_ZOMBIE)
    finally:
        served.end()


def words(count: int) -> str:
    return "".join(f"word{number} " for number in range(1, count + 1))


def serve_once(served: Served) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "serve"],
        cwd=ROOT,
        env=served.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def child(parent: int, host: str, *, other_than: int = 0) -> int:
    """The child's process id, or 0 while there is none."""
    found = [process.pid for process in psutil.Process(parent).children(recursive=True) if runs(process, host)]
    return next((pid for pid in found if pid != other_than), 0)


def runs(process: psutil.Process, host: str) -> bool:
    """Whether it is that host; one that has just died is nobody."""
    try:
        return any(host in word for word in process.cmdline())
    except psutil.Error:
        return False


def wait_for(happens: Callable[[], int | bool], *, within: float = 40) -> int:
    deadline = time.monotonic() + within
    while not (found := happens()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return int(found)
