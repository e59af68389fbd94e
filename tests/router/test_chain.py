"""Who is called after a failure: every code of a failure, before and after the first word, with and without others."""

from __future__ import annotations

from typing import Any

import pytest

from tests.router.test_decide import candidate
from workspace.providers.errors import CAUSES
from workspace.router.chain import LONGEST_WAIT, SHORT_WAIT, Chain, Next
from workspace.types import Failure

CANDIDATES = {
    each.name: each
    for each in [
        candidate("first", 1, window=8_000),
        candidate("sister", 2, window=4_000),  # of the same provider, and smaller
        candidate("other", 3, provider_name="q", window=32_000),
        candidate("quotes", 4, kind="quotes", provider_name="quotes"),
    ]
}
AGAIN = ["first", "sister", "other", "quotes"]
NEXT = ["sister", "other", "quotes"]
ELSEWHERE = ["other", "quotes"]
NOBODY: list[str] = []

# code -> who is called, one after the other, while each fails in that way and has not said a word
CALLED = {
    "auth": ELSEWHERE,
    "quota": ELSEWHERE,
    "permission": NEXT,
    "not_found": NEXT,
    "bad_request": NOBODY,
    "refused_content": NOBODY,
    "context_overflow": ["other"],
    "rate_limited": ["first", "sister", "sister", "other", "other", "quotes", "quotes"],
    "overloaded": ["first", "sister", "sister", "other", "other", "quotes", "quotes"],
    "server_error": ["first", "sister", "sister", "other", "other", "quotes", "quotes"],
    "unreachable": ["first", "sister", "sister", "other", "other", "quotes", "quotes"],
    "cut_off": ["first", "sister", "sister", "other", "other", "quotes", "quotes"],
    "timeout": NEXT,
    "garbage": NEXT,
    "out_of_memory": NEXT,
    "budget": NEXT,
    "no_price": NEXT,
}
OURS = {"budget", "no_price"}  # codes that no provider sends


def chain(*names: str) -> Chain:
    return Chain(names or tuple(CANDIDATES), CANDIDATES)


def failing(code: str, **fields: Any) -> Failure:
    return Failure(code=code, cause="It failed.", action="Retry.", **fields)


def step(of: Chain, failure: Failure, by: str, *, spoke: bool = False, left: float = 100) -> Next | None:
    return of.after(failure, by=CANDIDATES[by], spoke=spoke, left=left)


def called(code: str, *, spoke: bool, of: Chain | None = None) -> list[str]:
    """Who is called until nobody is."""
    line, names = of or chain(), [(of or chain()).first.name]
    while found := step(line, failing(code), names[-1], spoke=spoke):
        names.append(found.candidate.name)
    return names[1:]


def test_every_code_that_a_provider_may_send_has_its_row() -> None:
    assert CALLED.keys() == CAUSES.keys() | OURS


@pytest.mark.parametrize("code", CALLED)
def test_who_is_called_after_a_failure(code: str) -> None:
    assert called(code, spoke=False) == CALLED[code]
    # What reads passages out can't finish another's sentence.
    assert called(code, spoke=True) == [name for name in CALLED[code] if name != "quotes"]


@pytest.mark.parametrize("code", CALLED)
def test_alone_a_model_is_called_once_more_or_not_at_all(code: str) -> None:
    once_more = CALLED[code][:1] == ["first"]
    assert called(code, spoke=False, of=chain("first")) == (["first"] if once_more else [])


@pytest.mark.parametrize("code", CALLED)
def test_with_no_time_left_nobody_is_called(code: str) -> None:
    assert step(chain(), failing(code), "first", left=0) is None


@pytest.mark.parametrize(
    ("asked", "others", "left", "who", "wait"),
    [
        (SHORT_WAIT, True, 100, "first", SHORT_WAIT),  # shorter than it takes another to begin
        (SHORT_WAIT + 1, True, 100, "sister", 0),
        (SHORT_WAIT + 1, False, 100, "first", SHORT_WAIT + 1),
        (LONGEST_WAIT, False, 100, "first", LONGEST_WAIT),
        (LONGEST_WAIT + 1, False, 100, None, None),
        (10, False, 5, None, None),
        (10, True, 5, "sister", 0),
    ],
)
def test_a_wait_that_is_asked_for_is_kept_unless_another_can_answer_sooner(
    asked: float, others: bool, left: float, who: str | None, wait: float | None
) -> None:
    line = chain() if others else chain("first")
    found = step(line, failing("rate_limited", retry_after=asked), "first", left=left)
    assert (found.candidate.name, found.wait) == (who, wait) if found else who is None


def test_without_a_hint_the_second_call_follows_soon_but_not_at_once() -> None:
    waits = {step(chain(), failing("overloaded"), "first").wait for _ in range(20)}  # type: ignore[union-attr]
    assert len(waits) > 1 and all(0 < wait < SHORT_WAIT for wait in waits)


def test_who_was_left_out_once_stays_out() -> None:
    """A key that was refused is not tried again by way of the model behind the next one."""
    line = Chain(("first", "other", "sister"), CANDIDATES)
    assert step(line, failing("auth"), "first").candidate.name == "other"  # type: ignore[union-attr]
    assert step(line, failing("timeout"), "other") is None


def test_the_spare_that_outran_the_first_is_the_one_that_fails() -> None:
    line = chain()
    again = step(line, failing("server_error"), "sister", spoke=True)
    assert again and again.candidate.name == "sister"
    found = step(line, failing("server_error"), "sister", spoke=True)
    assert found and found.candidate.name == "other"


def test_one_that_is_passed_by_is_not_called_again() -> None:
    line = chain("first", "other")
    found = line.passed_by()
    assert found and found.candidate.name == "other"
    assert line.passed_by() is None and line.spare is None
