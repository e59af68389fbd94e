"""The names that cross the websocket are the same in Python and in JavaScript."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from workspace import wire

ROOT = Path(__file__).resolve().parent.parent
WIRE_JS = (ROOT / "static" / "js" / "wire.js").read_text()


def names_in_javascript(name: str) -> dict[str, str]:
    """The entries of ``export const NAME = { KEY: "value", ... }``, comments left out."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", WIRE_JS, flags=re.DOTALL)
    found = re.search(rf"export const {name}\s*=\s*(?:Object\.freeze\()?\{{(.*?)\}}", code, re.DOTALL)
    assert found, f"static/js/wire.js does not export {name}"
    return dict(re.findall(r"""(\w+)\s*:\s*["'](\w+)["']""", found[1]))


@pytest.mark.parametrize("names", [wire.Ask, wire.Tell])
def test_both_sides_know_the_same_frames(names: type[StrEnum]) -> None:
    assert names_in_javascript(names.__name__.upper()) == {
        name: member.value for name, member in names.__members__.items()
    }


def test_no_frame_is_named_by_hand_in_the_browser() -> None:
    """A name spelled in a module would drift from wire.js unseen."""
    spelled = re.compile(r"""type\s*(?:===?|:)\s*["'](\w+)["']""")
    frames = {*wire.Ask, *wire.Tell}
    found = [
        f"{path.name}: {name}"
        for path in (ROOT / "static" / "js").rglob("*.js")
        if path.name != "wire.js"
        for name in spelled.findall(path.read_text())
        if name in frames
    ]
    assert found == []
