"""``manage.py route`` says where a prompt would go, and refuses a bad file with line and column."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.scripted import add_model

pytestmark = pytest.mark.django_db

FILE = """\
// model_router.json
{
"routes": [
{"condition": "len(prompt) < 120", "model": "fast-flash"},
{"condition": "default", "model": "balanced-sonnet"}
],
"fallback": "balanced-sonnet"
}
"""


@pytest.fixture(autouse=True)
def models() -> None:
    add_model("fast-flash")
    add_model("balanced-sonnet", abilities=("images",))


def route(*arguments: Any) -> str:
    out = StringIO()
    call_command("route", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_it_prints_the_model_and_every_rule_tried(tmp_path: Path) -> None:
    file = tmp_path / "model_router.json"
    file.write_text(FILE)
    assert route("--prompt", "Hello", "--config", file).splitlines() == [
        "fast-flash · rule 1, len(prompt) < 120",
        "  rule 1: len(prompt) < 120 → true",
        "  then: balanced-sonnet",
    ]
    assert route("--prompt", "Hello", "--config", file, "--image").splitlines() == [
        "balanced-sonnet · fallback: fast-flash takes no images",
        "  rule 1: len(prompt) < 120 → true",
        "  left out: fast-flash takes no images.",
    ]
    assert route("--prompt", "Hello").startswith("fast-flash · rule 1, default")


def test_it_prints_the_whole_decision_as_json(tmp_path: Path) -> None:
    decision = json.loads(route("--prompt", "Hello", "--model", "balanced-sonnet", "--json"))
    assert (decision["model"], decision["chosen_by"]) == ("balanced-sonnet", "person")


def test_a_bad_file_is_refused_with_line_and_column(tmp_path: Path) -> None:
    file = tmp_path / "model_router.json"
    file.write_text(FILE.replace("prompt", "promt").replace('"fast-flash"', '"slow-flash"'))
    with pytest.raises(CommandError) as refused:
        route("--prompt", "Hello", "--config", file)
    assert refused.value.returncode == 2
    first, second = str(refused.value).splitlines()
    assert first.startswith(f"{file}:4:20: There is no fact “promt”. Did you mean “prompt”?")
    assert second.startswith(f"{file}:4:44: There is no model “slow-flash”.")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be read") as refused:
        route("--prompt", "Hello", "--config", tmp_path / "none.json")
    assert refused.value.returncode == 2


def test_a_model_nobody_knows_is_refused_with_the_next_step() -> None:
    with pytest.raises(CommandError, match=r"There is no model “gone”\. Choose another model"):
        route("--prompt", "Hello", "--model", "gone")
