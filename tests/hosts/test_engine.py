"""The thread that writes for everybody, and its batches: what one answer does or suffers touches no other."""

from __future__ import annotations

import pytest

from tests.hosts import inside as stories
from tests.hosts.inside import how_it_ends, inside
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


def test_an_answer_without_a_place_is_told_so_at_once(llama: str) -> None:
    found = inside(stories.seventeen_want_sixteen_places, llama)
    assert found["steps"] == {"16": "Waiting for 16 answers before it"}


def test_chats_take_turns_for_free_places(llama: str) -> None:
    order = inside(stories.one_chat_asks_much, llama)["order"]
    assert order.index(6) == 1  # beside the first of the chat that asked before it
    assert [number for number in order if number != 6] == [0, 1, 2, 3, 4, 5]


def test_the_cache_of_a_crowd_keeps_to_its_budget_and_is_given_back(llama: str) -> None:
    found = inside(stories.a_crowd_of_many_lengths, llama)
    assert found["done"]
    assert found["rows"] > 2
    assert found["most"] <= found["budget"], found
    assert not found["left"]


def test_a_lowered_model_is_as_good_as_one_loaded_so(llama: str) -> None:
    assert inside(stories.lowered_and_loaded, llama) == {"precision": "bfloat16", "apart": 0.0}


def test_an_answer_goes_on_without_the_gpu_where_the_cpu_has_room(llama: str) -> None:
    found = inside(stories.the_gpu_has_no_memory_left, llama)
    lower = "Out of memory: the model goes on in int8"
    assert found["0"] == {"steps": [lower], "ended": "out of memory: nothing is left to give up"}
    assert found["1000000000"] == {
        "steps": [lower, "Out of memory: the model goes on without the GPU"],
        "ended": "length",
    }
    assert found["picture"] == ["meta", "torch.bfloat16", [1, 5]]


def test_a_model_of_another_shape_serves_one_at_a_time(llama: str) -> None:
    found = inside(stories.rows_cant_share_its_past, llama)
    short = "can't allocate memory"
    assert found.pop(short) == short
    assert list(found.values()) == [True]


def test_a_gpu_that_refuses_all_further_work_ends_the_host(llama: str) -> None:
    assert how_it_ends(stories.the_gpu_refuses_all_further_work, llama) == 70


def test_the_engine_says_how_long_its_round_takes() -> None:
    found = inside(stories.a_round_takes_long)
    assert found["before"] == 0
    assert found["while"] >= 0.05
