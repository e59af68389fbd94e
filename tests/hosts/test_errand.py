"""A module that is run once in a process of its own: its answer, its limits, and its turn."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from workspace.hosts import errand
from workspace.hosts.errand import Busy, Errand, Failed, Slow

pytestmark = pytest.mark.timeout(60)

CODE = """
import os, sys, time
from workspace.hosts.errand import confine
confine(memory=1 << 30, seconds=5)
what = sys.stdin.read()
if what == "wait":
    with open(sys.argv[1], "a") as file:
        file.write("began\\n")
    while not os.path.exists(sys.argv[1] + ".go"):
        time.sleep(0.02)
if what == "sleep":
    time.sleep(60)
if what == "grow":
    bytearray(2 << 30)
print(what.upper(), sorted(os.environ.keys() & {"SECRET_KEY", "OCR_LANGUAGES"}))
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An errand is run where the modules of this project are; here beside them."""
    (tmp_path / "errand_of_a_test.py").write_text(CODE)
    (tmp_path / "workspace").symlink_to(errand.ROOT / "workspace")
    monkeypatch.setattr(errand, "ROOT", tmp_path)
    monkeypatch.setitem(os.environ, "SECRET_KEY", "not for it")
    yield
    sys.modules.pop("errand_of_a_test", None)


def one(*, places: int = 1, patience: float = 20.0) -> Errand:
    return Errand(module="errand_of_a_test", patience=patience, places=places)


def answer(run: Errand, what: str, *words: str) -> str:
    with run.told(what.encode(), *words, env={"OCR_LANGUAGES": "eng"}) as told:
        return told.read().decode().strip()


def test_it_answers_and_knows_no_secret_of_the_server() -> None:
    assert answer(one(), "tea") == "TEA ['OCR_LANGUAGES']"


def test_too_much_memory_or_time_ends_it_alone() -> None:
    with pytest.raises(Failed):
        answer(one(), "grow")
    with pytest.raises(Slow):
        answer(one(patience=1.0), "sleep")


def test_no_more_run_at_once_than_there_are_places(tmp_path: Path) -> None:
    began, two = tmp_path / "began", one(places=2)
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.append(answer(two, "wait", str(began)))) for _ in range(5)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while (not began.exists() or len(began.read_text().split()) < 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert began.read_text().split() == ["began"] * 2 and not told
    Path(f"{began}.go").touch()
    for thread in threads:
        thread.join()
    assert len(told) == 5 and began.read_text().split() == ["began"] * 5


def test_who_waits_too_long_for_a_place_is_told() -> None:
    run = one(patience=0.1)
    assert run.free.acquire(blocking=False)
    with pytest.raises(Busy):
        answer(run, "tea")
    run.free.release()
    slower = one()
    assert answer(slower, "tea") and answer(slower, "milk"), "its place came free again"
