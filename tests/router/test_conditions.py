"""The language of conditions: what is true, what is refused and where, and that nothing hangs or crashes it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workspace.router.conditions import ALWAYS, FUNCTIONS, MAX_LENGTH, Condition, ConditionError, Problem, parse
from workspace.router.facts import FACTS, LOOKUPS, facts_of, lookup_key
from workspace.types import PromptMessage, Request, text_part

# A busy machine is no failure; pytest's own limit ends what hangs.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KNOWN: dict[str, Any] = {
    "prompt": "Compare É and “Ü”",
    "tokens": 40,
    "turn": 2,
    "requires_reasoning": True,
    "has_image": False,
    "has_audio": False,
    "has_document": False,
    "grounded": True,
    "web": False,
    "user": "alice",
    "groups": ["staff", "editors"],
    "hour": 9,
    "interactive": True,
    "language": "en",
    "budget_left": 2.5,
    "free_memory_gib": 8.0,
}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("default", True),
        (" default\n", True),
        ("len(prompt) < 120", True),
        ("len(prompt) == 17", True),
        ("requires_reasoning == true", True),
        ("requires_reasoning == True", True),
        ("requires_reasoning == false", False),
        ("requires_reasoning", True),
        ("not requires_reasoning or has_image", False),
        ("has_image and tokens / (turn - 2) > 1", False),
        ("8 <= hour < 10", True),
        ("8 <= hour < 9", False),
        ("hour in [8, 9.0]", True),
        ("hour not in (8, 10)", True),
        ("user in [\"alice\", 'bob']", True),
        ('"staff" in groups and contains(groups, "editors")', True),
        ('contains(lower(prompt), "é and “ü")', True),
        ('startswith(prompt, "Compare") and endswith(prompt, "”")', True),
        ("tokens - 2 * turn == 36 and -tokens < 1 - 2 * 3 % 4", True),
        ("len(groups) == 2", True),
        ('user == "\\"alice\\""', False),
        ("tokens\n  > 3", True),
        ("tokens > 0.5", True),
    ],
)
def test_a_condition_has_a_value(source: str, value: bool) -> None:
    assert parse(source).holds(KNOWN) == (value, "")


@pytest.mark.parametrize(
    ("source", "line", "column", "said"),
    [
        ("", 1, 1, "empty"),
        ("   ", 1, 1, "empty"),
        ("len(promt) < 120", 1, 5, "Did you mean “prompt”"),
        ('"É" in prompt and foo > 1', 1, 19, "There is no fact “foo”. Known: prompt"),
        ("tokens >\n  nothing", 2, 3, "nothing"),
        ("len(prompt) = 3", 1, 13, "Write =="),
        ("web && grounded", 1, 5, "Write and"),
        ("web || grounded", 1, 5, "Write or"),
        ("!web", 1, 1, "Write not"),
        ("2**99999999 > 1", 1, 2, "powers"),
        ("9999999999999999 > 1", 1, 1, "15 digits"),
        ("prompt.__class__", 1, 7, "no parts"),
        ('prompt["a"] == "b"', 1, 1, "can't do this"),
        ("(lambda: web)()", 1, 8, "no meaning"),
        ("[x for x in groups]", 1, 1, "can't do this"),
        ("web if web else web", 1, 1, "can't do this"),
        ("len(*groups) > 1", 1, 5, "can't do this"),
        ("[*groups] == groups", 1, 2, "can't do this"),
        ('f"{prompt}" == "a"', 1, 1, "before its quotes"),
        ('b"a" in prompt', 1, 1, "before its quotes"),
        ('"\\x41" in prompt', 1, 1, "does not end"),
        ("“a” in prompt", 1, 1, "straight quotes"),
        ("eval(prompt)", 1, 1, "no function “eval”"),
        ('__import__("os")', 1, 1, "no function “__import__”"),
        ("len(prompt, prompt) > 1", 1, 1, "takes 1 value, not 2"),
        ("len(tokens) > 1", 1, 5, "is needed here; this is a number"),
        ("len > 1", 1, 1, "is a function"),
        ("len(prompt)", 1, 1, "Compare it with something"),
        ("prompt < 120", 1, 10, "can't be compared"),
        ("web < grounded", 1, 7, "can't be compared"),
        ("hour in groups", 1, 9, "can't be in"),
        ("web is true", 1, 8, "Write =="),
        ("user == None", 1, 9, "“None” is no text"),
        ("default and web", 1, 1, "stands alone"),
        ("user in []", 1, 9, "at least one"),
        ('user in ["a", 1]', 1, 9, "at least one"),
        ("web) or (web", 1, 4, "closes nothing"),
        ("(web", 1, 1, "not closed"),
        ("web web", 1, 1, "not a condition"),
        ("web, web", 1, 1, "list"),
        ("tokens + web > 1", 1, 10, "A number is needed here"),
        ("(" * 41 + "web" + ")" * 41, 1, 41, "40 deep"),
        ("not " * 60 + "web", 1, 161, "40 deep"),
        ("1" + "+1" * 60 + " > 1", 1, 1, "40 deep"),
        ("web or " * 201 + "web", 1, 1401, "400 parts"),
        ("web" + " " * MAX_LENGTH, 1, MAX_LENGTH + 1, "longer"),
        ("web\x00", 1, 4, "no meaning"),
    ],
)
def test_what_is_no_condition_is_refused_with_its_place(source: str, line: int, column: int, said: str) -> None:
    with pytest.raises(ConditionError) as refused:
        parse(source)
    problem = refused.value.problem
    assert said in problem.message
    assert (problem.line, problem.column) == (line, column)


def test_a_missing_fact_makes_the_rule_false_and_is_told() -> None:
    condition = parse('user == "alice"')
    assert condition.holds(KNOWN) == (True, "")
    assert condition.holds({**KNOWN, "user": None}) == (None, "user is not known")
    assert condition.holds({}) == (None, "user is not known")


def test_arithmetic_that_has_no_result_makes_the_rule_false() -> None:
    assert parse("tokens / (turn - 2) > 1").holds(KNOWN) == (None, "division by zero")
    huge = "*".join(["999999999999999"] * 30)
    assert parse(f"{huge} / 3 > 1").holds(KNOWN) == (None, "a number grew too large")


def test_default_is_known_to_apply_always() -> None:
    assert parse("default") is ALWAYS
    assert parse("web").names == {"web"}


def test_every_fact_of_the_table_is_read_off_a_request() -> None:
    request = Request(messages=(PromptMessage(role="person", parts=(text_part("Hello"),)),))
    assert facts_of(request).keys() == FACTS.keys() == KNOWN.keys()


MODELS = ("fast-flash", "atlas-long")


@pytest.mark.parametrize("name", LOOKUPS)
@pytest.mark.parametrize(
    ("argument", "column", "said"),
    [
        ('"slow-flash"', 2, "There is no model “slow-flash”. Did you mean “fast-flash”"),
        ('""', 2, "There is no model “”"),
        ("prompt", 1, "takes the name of a model in quotes"),
        ('"fast-flash", "atlas-long"', 1, "takes the name of a model in quotes"),
        ("", 1, "takes the name of a model in quotes"),
        ('["fast-flash"]', 1, "takes the name of a model in quotes"),
    ],
)
def test_a_look_up_names_one_model_that_is_there(name: str, argument: str, column: int, said: str) -> None:
    """A column of 2 means the argument's own place."""
    compared = "" if LOOKUPS[name].kind == "truth" else " > 1"
    known = parse(f'web and {name}("fast-flash"){compared}', models=MODELS)
    assert (known.lookups, known.names) == ({(name, "fast-flash")}, {"web"})
    with pytest.raises(ConditionError, match=said.replace("(", r"\(")) as refused:
        parse(f"web and\n {name}({argument}){compared}", models=MODELS)
    problem = refused.value.problem
    assert (problem.line, problem.column) == (2, 2 if column == 1 else len(name) + 3)


def test_a_look_up_that_nobody_can_answer_makes_the_rule_false() -> None:
    condition = parse('cost("fast-flash") < 1')
    assert condition.holds({"cost(fast-flash)": 0.5}) == (True, "")
    assert condition.holds({"cost(fast-flash)": None}) == (None, "cost(fast-flash) is not known")
    assert condition.holds({}) == (None, "cost(fast-flash) is not known")


PIECES = [
    *FACTS,
    *FUNCTIONS,
    *LOOKUPS,
    '"fast-flash"',
    "and",
    "or",
    "not",
    "in",
    "is",
    "true",
    "False",
    "default",
    "lambda",
    "if",
    "else",
    "for",
]
SIGNS = [
    "(",
    ")",
    "[",
    "]",
    ",",
    "<",
    "==",
    "=",
    "+",
    "-",
    "*",
    "**",
    "/",
    "%",
    ".",
    ":",
    "{",
    "}",
    "1",
    "0.5",
    '"a"',
    "'",
    "\\",
]
hostile = st.text(max_size=300) | st.lists(st.sampled_from(PIECES + SIGNS + [" "]), max_size=60).map(" ".join)


@unhurried
@given(hostile)
def test_no_text_crashes_the_parser(source: str) -> None:
    outcome = accepted_or_refused(source)
    if isinstance(outcome, Problem):
        assert outcome.message
        assert 1 <= outcome.column <= len(source) + 1
        assert 1 <= outcome.line <= source.count("\n") + 1
    else:
        assert outcome.holds(KNOWN)[0] in (True, False, None)


def accepted_or_refused(source: str) -> Condition | Problem:
    try:
        return parse(source)
    except ConditionError as refused:
        return refused.problem


@pytest.mark.parametrize(
    "unit", ["(", "[", "not ", "-", "web or ", "1+", "len(", '"', "'\\", "a", "9", "web < ", "\n", "é"]
)
def test_no_repetition_holds_the_parser_up(unit: str) -> None:
    began = time.process_time()
    for length in (10, 100, 1_000, 100_000):
        assert isinstance(accepted_or_refused(unit * length), Problem)
    assert time.process_time() - began < 1


KINDS = {
    "text": st.text(max_size=50),
    "number": st.integers(-(10**9), 10**9) | st.floats(),
    "truth": st.booleans(),
    "list": st.lists(st.text(max_size=5), max_size=3),
}
asked = [(name, model) for name in LOOKUPS for model in MODELS]
any_facts = st.fixed_dictionaries(
    {
        **{name: st.none() | KINDS[fact.kind] for name, fact in FACTS.items()},
        **{lookup_key(name, model): st.none() | KINDS[LOOKUPS[name].kind] for name, model in asked},
    }
)


def facts_in_words(kind: str) -> list[str]:
    """Every fact and look-up of a kind, as a condition writes it."""
    looked_up = [f'{name}("{model}")' for name, model in asked if LOOKUPS[name].kind == kind]
    return [name for name, fact in FACTS.items() if fact.kind == kind] + looked_up


def put(pattern: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: pattern.format(*given))


# Every expression that the language has, by its kind.
texts = st.recursive(
    st.sampled_from([*facts_in_words("text"), '"a"', "'b c'", '""']),
    lambda inner: put("lower({})", inner),
    max_leaves=2,
)
lists = st.sampled_from(facts_in_words("list")) | st.lists(texts, min_size=1, max_size=3).map(
    lambda given: f"[{', '.join(given)}]"
)
numbers = st.recursive(
    st.sampled_from([*facts_in_words("number"), "0", "3", "0.25"]) | put("len({})", texts | lists),
    lambda inner: put("({} {} {})", inner, st.sampled_from("+-*/%"), inner) | put("-{}", inner),
    max_leaves=6,
)
orders, equals = st.sampled_from(["<", "<=", ">", ">="]), st.sampled_from(["==", "!="])
comparisons = st.one_of(
    put("{} {} {}", numbers, orders | equals, numbers),
    put("{} {} {} {} {}", numbers, orders, numbers, orders, numbers),
    put("{} {} {}", texts, orders | equals, texts),
    put("{} {} {}", texts, st.sampled_from(["in", "not in"]), texts | lists),
    put("{} in [{}, {}]", numbers, numbers, numbers),
    put("{}({}, {})", st.sampled_from(["startswith", "endswith"]), texts, texts),
    put("contains({}, {})", texts | lists, texts),
)
truths = st.recursive(
    st.sampled_from([*facts_in_words("truth"), "true", "False"]) | comparisons,
    lambda inner: put("not ({})", inner) | put("({} {} {})", inner, st.sampled_from(["and", "or"]), inner),
    max_leaves=8,
)


@unhurried
@given(truths, any_facts)
def test_whatever_is_well_typed_is_accepted_and_has_a_value_for_every_request(
    source: str, facts: dict[str, Any]
) -> None:
    outcome = accepted_or_refused(source)
    if isinstance(outcome, Problem):
        assert "deep" in outcome.message or "parts" in outcome.message or "longer" in outcome.message, source
        return
    value, note = outcome.holds(facts)
    assert (value is None) == bool(note)
    assert value in (True, False, None)
    assert parse(source, models=MODELS).lookups == outcome.lookups <= set(asked)
