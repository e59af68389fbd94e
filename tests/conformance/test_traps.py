"""Every trap is held by a case that is there or by a test that is there."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.traps import NOT_OURS, TRAPS
from workspace.providers.replay import cases_in

TESTS = Path(__file__).parents[1]
CASES = {case.name for case in cases_in(Path(__file__).parent / "provider_streams")}


@cache
def names_in(file: str) -> frozenset[str]:
    tree = ast.parse((TESTS / file).read_text())
    return frozenset(one.name for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef))


def is_there(holder: str) -> bool:
    file, _, name = holder.partition("::")
    return name in names_in(file) if name else holder in CASES


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_held(trap: str) -> None:
    assert TRAPS[trap]
    assert [holder for holder in TRAPS[trap] if not is_there(holder)] == []


def test_what_is_not_held_is_named() -> None:
    assert not set(NOT_OURS) & set(TRAPS)
    assert not is_there("anthropic/no-such-case")
    assert not is_there("providers/test_sse.py::test_nothing")
