"""The article's before and after, on this machine: the same long answers, and a person who waits less."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def dual_path(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "dual_path", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.timeout(120)
def test_two_paths_give_the_same_long_answers_and_let_the_person_go_on() -> None:
    done = dual_path("--questions", "4", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["same_long_answers"] == report["long_answers"] == 1
    assert report["after"]["free_p50"] < report["before"]["free_p50"]


def test_a_count_that_makes_no_sense_is_refused() -> None:
    done = dual_path("--questions", "1")
    assert done.returncode != 0 and "Between 4 and 400" in done.stderr
