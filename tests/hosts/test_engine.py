"""The thread that writes for everybody, and its batches: what one answer does or suffers touches no other."""

from __future__ import annotations

import pytest

from tests.hosts import inside as stories
from tests.hosts.inside import inside
from tests.hosts.small import small_models

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def llama() -> str:
    return small_models("llama")["llama"]


def test_somebody_who_leaves_while_a_round_runs_ends_nobody_elses_answer() -> None:
    assert inside(stories.somebody_leaves_while_a_round_runs) == {"then": "goes on", "left": True}


def test_parameters_that_overflow_fail_their_own_answer_alone(llama: str) -> None:
    found = inside(stories.one_answers_scores_are_no_numbers, llama)
    assert (found["sound"], found["cold"], found["cold is greedy"]) == ("length", "length", True)
    assert "no numbers" in found["first"]
    assert "no numbers" in found["later"]
    assert found["later wrote"] == 1


def test_an_answer_that_comes_just_after_its_model_went_is_told_so(llama: str) -> None:
    found = inside(stories.an_answer_comes_just_after_its_model_went, llama)
    assert found == {"ended": "the model was unloaded", "status": 503}
