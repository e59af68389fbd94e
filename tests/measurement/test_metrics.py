"""One answer against what somebody wrote down: SQuAD's measures and the four cells."""

from __future__ import annotations

import pytest

from workspace.measurement import metrics
from workspace.measurement.metrics import Cell


@pytest.mark.parametrize(
    ("text", "gold", "exact", "f1"),
    [
        ("The Leukocytes.", ["leukocytes"], True, 1.0),
        ("white blood cells", ["blood cells"], False, 0.8),
        ("in 1066 [1]", ["1066", "the year 1066"], False, pytest.approx(2 / 3)),
        ("", ["x"], False, 0.0),
        ("x", [], False, 0.0),
    ],
)
def test_exact_match_and_f1_are_squads(text: str, gold: list[str], exact: bool, f1: float) -> None:
    assert (metrics.exact(text, gold), metrics.f1(text, gold)) == (exact, f1)


@pytest.mark.parametrize(
    ("text", "gold", "cell"),
    [
        ("They are called leukocytes [2].", ["Leukocytes"], Cell.CORRECT),
        ("The passages do not say, but leukocytes is the usual word.", ["Leukocytes"], Cell.CORRECT),
        ("They are called platelets.", ["Leukocytes"], Cell.WRONG),
        ("The passages do not answer this.", ["Leukocytes"], Cell.ABSTAINED),
        ("", ["Leukocytes"], Cell.ABSTAINED),
        ("It was built in 1066.", [], Cell.INVENTED),
        ("The documents don't contain that information.", [], Cell.REFUSED),
        ("I cannot find an answer in the passages.", [], Cell.REFUSED),
        ("No passage holds an answer.", [], Cell.REFUSED),
        ("It is non-deterministic.", [], Cell.INVENTED),
        ("The casino was found in 1905, they say.", [], Cell.INVENTED),
        ("It is not known.", [], Cell.REFUSED),
        ("Nothing stopped the Normans from crossing.", [], Cell.INVENTED),
    ],
)
def test_an_answer_falls_into_one_of_the_cells(text: str, gold: list[str], cell: Cell) -> None:
    assert metrics.cell(text, gold) is cell
