"""Whether a prompt asks to work something out: plain cases, and figures on published prompts that must stay."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from workspace.router import reasoning
from workspace.router.published import rows_of
from workspace.router.reasoning import CUES, HEAD, TAIL, requires_reasoning, strength

DATA = Path(__file__).parent / "data"
WORKED_OUT = {"gsm8k", "math", "human_eval"}


@pytest.mark.parametrize(
    ("prompt", "why"),
    [
        ("Write a Python function that merges two sorted lists.", "asks for code"),
        ("Why does this fail?\n```\nprint(1/0)\n```", "has code in it"),
        ("Was ist falsch an diesem Programm?\n\ndef f(x):\n    return x +", "has code in it"),
        ("Löse x^2 - 5x + 6 = 0.", "mathematical notation"),
        ("Prove that there are infinitely many primes.", "asks for a proof"),
        ("Think step by step: which door hides the prize?", "asks to reason"),
        ("A train leaves at 9 with 120 people. At two stops 14 get off. How many are left?", "asks for a figure"),
        ("Anna has three brothers. How many sisters does each brother have?", "kinship"),
        ("What is the probability of throwing a prime with one die?", "words of mathematics"),
    ],
)
def test_work_is_recognised_and_named(prompt: str, why: str) -> None:
    value, reason = requires_reasoning(prompt)
    assert value is True
    assert why in reason


@pytest.mark.parametrize(
    "prompt",
    [
        "", " ", "Hello!", "What is the capital of Australia?", "Who wrote the Brothers Karamazov?",
        "Write a poem about the sea.", "Summarise this article in three sentences.", "Translate this into French.",
        "How many episodes does the series have?", "Who was prime minister in 1984?", "Which rum is 100 proof?",
        "Suggest a name for my cat.", "Describe how photosynthesis works.",
    ],
)  # fmt: skip
def test_recall_and_writing_are_not(prompt: str) -> None:
    assert requires_reasoning(prompt)[0] is False


def test_the_reason_repeats_nothing_of_the_prompt() -> None:
    """Decisions are kept longer than chats."""
    names = {cue.name for cue in CUES}
    _, reason = requires_reasoning("Write a function secretword that solves secretword^2 = 4 step by step.")
    assert set(reason.split(", ")) <= names
    assert "secretword" not in reason


def test_a_task_counts_before_and_after_what_was_pasted() -> None:
    pasted = "The sea was calm and the day was long. " * 3_000
    assert requires_reasoning(pasted)[0] is False
    assert requires_reasoning(f"Write a script that counts the words here: {pasted}")[0] is True
    assert requires_reasoning(f"{pasted} Now write a script that counts the words.")[0] is True
    assert requires_reasoning(f"{pasted} write a script for it. {pasted}")[0] is False, "the middle is not read"


@pytest.mark.parametrize("filler", ["a", " ", "1 ", "$ ", ";", "`", "\\", "write ", "((", "x^", "is of "])
def test_no_prompt_makes_it_read_more_than_its_ends(filler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded by what is read, not by a clock: every rule sees so many characters at most."""
    seen: list[int] = []

    class Watched:
        def __init__(self, pattern: re.Pattern[str]) -> None:
            self._pattern = pattern

        def search(self, text: str) -> re.Match[str] | None:
            seen.append(len(text))
            return self._pattern.search(text)

    watched = tuple(reasoning.Cue(cue.name, cue.weight, Watched(cue.pattern)) for cue in CUES)  # type: ignore[arg-type]
    monkeypatch.setattr(reasoning, "CUES", watched)
    requires_reasoning(filler * 100_000)
    assert len(seen) == len(CUES)
    assert max(seen) <= HEAD + TAIL + 1


def figures(rows: list[tuple[str, bool]]) -> tuple[float, float]:
    """Precision and recall."""
    said = [requires_reasoning(prompt)[0] for prompt, _ in rows]
    hits = sum(yes and told for (_, yes), told in zip(rows, said, strict=True))
    return hits / sum(said), hits / sum(yes for _, yes in rows)


def test_the_second_half_of_mt_bench_is_told_as_well_as_documented() -> None:
    """The half the rules were not written on."""
    rows = rows_of(DATA, "routellm_mt_bench")
    half = [row for row in rows if int(row["question_id"]) % 2 == 0]
    precision, recall = figures([(row["turn1"], row["category"] in {"reasoning", "math", "coding"}) for row in half])
    assert len(half) == 40
    assert precision >= 0.85
    assert recall >= 0.80


def test_tasks_that_nobody_wrote_rules_for_are_told_apart() -> None:
    rows = rows_of(DATA, "ulab_llmrouter_9models")
    precision, recall = figures([(row["question"], row["task_name"] in WORKED_OUT) for row in rows])
    assert precision >= 0.97
    assert recall >= 0.93


def test_more_cues_make_it_stronger() -> None:
    assert strength("Hello!") == 0
    assert strength("Prove it.") < strength("Prove it, and write a script that checks the equation.")
