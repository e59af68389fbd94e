"""``manage.py checklist`` without a server searches a corpus by words; killed midway, it goes on when called again."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import IO, Any

import pytest

from tests.serving import ROOT, Served
from tests.upstream import Upstream

pytestmark = pytest.mark.timeout(300)

THINGS = {
    "kettle": "copper", "ladder": "ash", "bell": "bronze", "boat": "larch", "lantern": "brass", "loom": "walnut",
    "saddle": "leather", "sundial": "slate", "violin": "spruce", "anvil": "iron", "basket": "willow", "gate": "oak",
}  # fmt: skip
ABSENT = ("telescope", "carriage", "gondola", "harpsichord")  # nothing says what these are made of
ITEMS = len(THINGS) + len(ABSENT)
SLOW = "pace-40-1-10"  # always wrong


def files(folder: Path) -> list[str]:
    suite, corpus = folder / "things.jsonl", folder / "village.jsonl"
    rows = [
        {"id": name, "question": f"What is the {name} of the village made of?", "answers": [THINGS.get(name, "ebony")]}
        for name in (*THINGS, *ABSENT)
    ]
    texts = [
        {"id": name, "title": f"The {name}", "text": f"The {name} of the village is made of {of}."}
        for name, of in THINGS.items()
    ]
    suite.write_text("\n".join(map(json.dumps, rows)))
    corpus.write_text("\n".join(map(json.dumps, texts)))
    return [str(suite), "--corpus", str(corpus)]


def test_a_killed_command_goes_on_and_says_what_its_search_did_not_find(tmp_path: Path) -> None:
    with Upstream() as upstream:
        served = Served(tmp_path / "data")
        served.people(1, upstream.url, [SLOW])
        command = [
            sys.executable, "manage.py", "checklist", *files(tmp_path), "--models", f"quotes,{SLOW}", "--per-minute",
            "300", "--json",
        ]  # fmt: skip
        try:
            with start(command, served) as killed:
                assert killed.stderr
                until(killed.stderr, done=5)
                killed.kill()
            with start(command, served) as again:
                assert again.stdout and again.stderr
                assert 5 <= until(again.stderr, done=0) < 2 * ITEMS, "what it had is kept"
                told, said = again.communicate(timeout=120)
            assert again.returncode == 0, said
        finally:
            served.end()
    report = json.loads(told)
    quotes, wrong = report["lanes"]
    assert [(part["done"], part["of"]) for part in report["progress"]] == [(2 * ITEMS, 2 * ITEMS)]
    assert quotes["answers"] == wrong["answers"] == ITEMS
    assert quotes["cells"]["correct"] == len(THINGS), quotes
    assert (wrong["misread"], wrong["not_found"]) == (len(THINGS), len(ABSENT))


def start(command: list[str], served: Served) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command, cwd=ROOT, env=served.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def until(said: IO[Any], *, done: int) -> int:
    """How many answers it tells of, once there are so many."""
    lines = []
    for line in said:
        lines.append(line)
        if (found := re.search(r"(\d+) of \d+ answers", line)) and int(found[1]) >= done:
            return int(found[1])
    raise AssertionError("".join(lines))
