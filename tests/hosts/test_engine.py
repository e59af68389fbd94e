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
