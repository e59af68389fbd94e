"""The router's file: the article's as it stands, ours on top of it, and every mistake with its place."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workspace.accounts.models import Person
from workspace.router import catalog, configuration, frozen
from workspace.router.conditions import Problem
from workspace.router.configuration import DEFAULT_SOURCE, ConfigurationError, parse, save_version
from workspace.router.facts import FACTS, LOOKUPS
from workspace.router.jsonc import blank_comments
from workspace.router.models import RouterConfiguration, RouterVersion
from workspace.router.schema import schema
from workspace.router.seed import ensure_defaults

# A busy machine is no failure; pytest's own limit ends what hangs.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

MODELS = {"fast-flash", "atlas-long", "balanced-sonnet"}

ARTICLE = """\
// model_router.json
{
"routes": [
{"condition": "len(prompt) < 120", "model": "fast-flash"},
{"condition": "requires_reasoning == true", "model": "atlas-long"},
{"condition": "default", "model": "balanced-sonnet"}
],
"fallback": "balanced-sonnet"
}
"""

WHOLE = """\
{
  "routes": [
    {
      "name": "short // prompt", // a comment; not in the name
      "condition": "len(prompt) < 120 and \\"//\\" in prompt and cost(\\"fast-flash\\") < 0.1",
      "groups": ["staff", "research"],
      "models": {"fast-flash": 9, "atlas-long": 1},
      "mode": "background",
      "parameters": {"temperature": 0.2, "top_p": 1, "max_tokens": 400, "stop": ["END"]},
      "grounding": {"documents": true, "web": false},
      "first_token_s": 2,
      "total_s": 30.5,
      "fallbacks": ["balanced-sonnet", "any"],
      "budget": {"usd": 0.05}
    }
  ],
  "fallback": "balanced-sonnet",
  "autocomplete": "fast-flash",
  "hedge": {"after_s": 1.5, "percent": 5}
}
"""


def test_the_articles_file_is_valid_as_it_stands() -> None:
    read = parse(ARTICLE, models=MODELS)
    assert [(route.condition.source, dict(route.models)) for route in read.routes] == [
        ("len(prompt) < 120", {"fast-flash": 1.0}),
        ("requires_reasoning == true", {"atlas-long": 1.0}),
        ("default", {"balanced-sonnet": 1.0}),
    ]
    assert read.fallback == "balanced-sonnet"


def test_the_whole_of_a_route_is_read() -> None:
    read = parse(WHOLE, models=MODELS)
    assert (read.autocomplete, read.hedge) == ("fast-flash", {"after_s": 1.5, "percent": 5})
    assert read.lookups == {("cost", "fast-flash")} and read.names == {"prompt"}
    (route,) = read.routes
    assert route.groups == ("staff", "research")
    assert route.name == "short // prompt"
    assert route.models == {"fast-flash": 9, "atlas-long": 1}
    assert (route.mode, route.first_token_s, route.total_s) == ("background", 2, 30.5)
    assert route.parameters == {"temperature": 0.2, "top_p": 1, "max_tokens": 400, "stop": ["END"]}
    assert (route.grounding, route.budget) == ({"documents": True, "web": False}, {"usd": 0.05})
    assert route.fallbacks == ("balanced-sonnet", "any")


def test_the_digest_is_of_the_meaning() -> None:
    spaced = ARTICLE.replace("// model_router.json", "// another comment").replace(": ", ":   ")
    other = ARTICLE.replace("120", "121")
    assert parse(ARTICLE, models=MODELS).digest == parse(spaced, models=MODELS).digest
    assert parse(ARTICLE, models=MODELS).digest != parse(other, models=MODELS).digest


def test_the_default_needs_no_model_but_the_bundled_one() -> None:
    assert parse(DEFAULT_SOURCE, models={"quotes"}).fallback == "quotes"


MODEL = '"model": "fast-flash"'


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("len(prompt) <", "len(¦promt) <", "Did you mean “prompt”"),
        ("len(prompt) <", r"contains(prompt, \"\u00e9\") and ¦foo <", "There is no fact “foo”"),
        (MODEL, '¦"modell": "fast-flash"', "no key “modell”. Did you mean “model”"),
        (MODEL, '"model": ¦"slow-flash"', "There is no model “slow-flash”. Known: atlas-long, "),
        (MODEL, '"model": ¦3', "“model” is text in double quotes"),
        (MODEL, '"model": "any", "mode": ¦"later"', "“mode” is “interactive” or “background”"),
        (MODEL, '"models": ¦{}', "“models” is an object of models and their weights"),
        (MODEL, '"models": {"fast-flash": ¦0}', "“models” is a number above 0"),
        (MODEL, '"models": {¦"x": 1}', "There is no model “x”"),
        (MODEL, '"model": "any", "parameters": {¦"temprature": 1}', "Did you mean “temperature”"),
        (MODEL, '"model": "any", "parameters": {"top_p": ¦true}', "“top_p” is a number above 0 to 1"),
        (MODEL, '"model": "any", "parameters": {"stop": [¦""]}', "“stop” is text in double quotes"),
        (MODEL, '"model": "any", "total_s": ¦-1', "“total_s” is a number above 0"),
        (MODEL, '"model": "any", "fallbacks": ¦"any"', "“fallbacks” is a list"),
        (MODEL, '"model": "any", "fallbacks": [¦"x"]', "There is no model “x”"),
        (MODEL, '"model": "any", "budget": {"usd": ¦0}', "“usd” is a number above 0"),
        (MODEL, '"model": "any", "grounding": {"web": ¦1}', "“web” is true or false"),
        (MODEL, '"model": "any", "groups": ¦"staff"', "“groups” is a list"),
        (MODEL, '"model": "any", "groups": [¦3]', "“groups” is text in double quotes"),
        ('"fallback": ', '"hedge": ¦5, "fallback": ', "“hedge” is an object"),
        ('"fallback": ', '"hedge": {"after_s": ¦0}, "fallback": ', "“after_s” is a number above 0 to 60"),
        ('"fallback": ', '"hedge": {"percent": ¦101}, "fallback": ', "“percent” is a number above 0 to 100"),
        ('"fallback": ', '"hedge": {¦"after": 1}, "fallback": ', "Did you mean “after_s”"),
        ('"fallback": ', '"autocomplete": ¦"gone", "fallback": ', "There is no model “gone”"),
        ("len(prompt) < 120", 'cost(¦\\"gone\\") < 1', "There is no model “gone”"),
        (MODEL, '"model": "any", "name": ¦"two\\nlines"', "one line"),
        (MODEL, '"model": "any", ¦"model": "any"', "stands here twice"),
        ('{"condition": "len(prompt) < 120", ', "¦{", "Route 1 has no condition"),
        ('{"condition": "len(prompt) < 120", ', '¦{"condition": "web", "models": {"any": 1}, ', "names its model once"),
        ("len(prompt) < 120", "len(prompt) < 120¦\n", "not valid JSON"),
        (
            '{"condition": "req',
            '¦{"condition": "len(prompt) < 120", "model": "any"},\n{"condition": "req',
            "has the same condition",
        ),
        (
            '{"condition": "req',
            '{"condition": "1 < 2", "model": "any"},\n¦{"condition": "req',
            "route 2 always applies",
        ),
        (
            '{"condition": "req',
            '{"condition": "default", "model": "any"},\n¦{"condition": "req',
            "route 2 always applies",
        ),
        ('{"condition": "req', '¦{"condition": "false", "model": "any"},\n{"condition": "req', "never applies"),
        ('"fallback": "balanced-sonnet"', '"fallback": ¦"gone"', "There is no model “gone”"),
        ('"fallback"', '¦"falback"', "The file has no key “falback”. Did you mean “fallback”"),
        ('],\n"fall', ']\n¦"fall', "A comma or } is missing"),
        ("],\n", "]¦,\n// no fallback\n}", "Delete this comma"),
        ('{\n"routes":', '[\n"routes"¦:', "A comma or ] is missing"),
        ('"routes": ', "¦routes: ", "A key in double quotes is missing"),
    ],
)
def test_a_mistake_is_refused_with_its_place(old: str, new: str, said: str) -> None:
    """``¦`` marks where the author is to look."""
    marked = ARTICLE.replace(old, new, 1)
    before, after = marked.split("¦")
    with pytest.raises(ConfigurationError) as refused:
        parse(before + after, models=MODELS)
    problem = refused.value.problems[0]
    assert said in problem.message
    assert (problem.line, problem.column) == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "ends too early"),
        ("[]", "The file is an object"),
        ("{}", "no routes"),
        ('{"routes": []}', "holds 1 to 200 routes"),
        ('{"routes": [3]}', "Route 1 is an object"),
        ('{"routes": {}}', "is a list"),
        ('{"routes": [{"condition": "web", "model": "any"}]}', "nothing answers"),
        ("[" * 100_000, "20 deep"),
        ('{"routes": NaN}', "A value is missing"),
        ('{"routes": 1e999}', "too large"),
        ('{"routes": "\\ud800"}', "half of a character"),
        (" " * 200_001, "longer than"),
        ('"\\' * 90_000, "not valid JSON"),
        ('{"routes": []} {}', "ends before this"),
    ],
)
def test_what_is_no_file_at_all_is_refused(source: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse(source, models=MODELS)
    assert said in str(refused.value)


def test_every_mistake_is_told_at_once_in_order() -> None:
    broken = (
        ARTICLE.replace("requires_reasoning", "reasons")
        .replace('"fallback": "b', '"fallback": "x')
        .replace("120", '\\"')
    )
    with pytest.raises(ConfigurationError) as refused:
        parse(broken, models=MODELS)
    assert [problem.line for problem in refused.value.problems] == [4, 5, 8]


def test_a_stored_file_still_reads_when_its_models_have_gone() -> None:
    assert len(parse(ARTICLE, models=None).routes) == 3


@unhurried
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from([*ARTICLE.split(), "{", "}", '"', "//", ","]), max_size=40).map(" ".join)
)
def test_no_text_crashes_the_reader(source: str) -> None:
    problems = problems_of(source)
    assert all(1 <= problem.line <= source.count("\n") + 1 for problem in problems)


@unhurried
@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 12), st.text(max_size=3) | st.sampled_from(list('{}[]",:/\\\n')))
def test_no_slip_in_a_good_file_crashes_the_reader(place: int, gone: int, new: str) -> None:
    source = WHOLE[:place] + new + WHOLE[place + gone :]
    assert all(1 <= problem.line <= source.count("\n") + 1 for problem in problems_of(source))


@pytest.mark.parametrize(
    "unit", ["{", "[", '{"a":', '"', "\\", "//", "// x\n", ",", "9", "-", '"a",', "\n", "é", '{"routes":[', "/*"]
)
def test_no_repetition_holds_the_reader_up(unit: str) -> None:
    began = time.process_time()
    for length in (30, 1_000, 100_000):
        assert problems_of(unit * length)
        assert problems_of(ARTICLE.replace("120", unit * length))
    assert time.process_time() - began < 3


def problems_of(source: str) -> tuple[Problem, ...]:
    try:
        parse(source, models=MODELS)
    except ConfigurationError as refused:
        assert refused.problems
        return refused.problems
    return ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*configuration.ROUTE_KEYS, "x"]), inner)
    ),
    max_leaves=12,
)


@unhurried
@given(json_values, json_values)
def test_no_value_in_any_place_crashes_the_check(route: Any, fallback: Any) -> None:
    source = json.dumps(
        {
            "routes": [route, {"condition": "default", **(route if isinstance(route, dict) else {})}],
            "fallback": fallback,
        }
    )
    assert len(problems_of(source)) < 100


def test_the_schema_lists_the_keys_that_are_read() -> None:
    described = schema(MODELS)
    route = described["properties"]["routes"]["items"]["properties"]
    assert described["properties"].keys() == configuration.FILE_KEYS.keys()
    assert route.keys() == configuration.ROUTE_KEYS.keys()
    assert route["parameters"]["properties"].keys() == configuration.PARAMETER_KEYS.keys()
    assert route["grounding"]["properties"].keys() == configuration.GROUNDING_KEYS.keys()
    assert route["budget"]["properties"].keys() == configuration.BUDGET_KEYS.keys()
    assert described["properties"]["hedge"]["properties"].keys() == configuration.HEDGE_KEYS.keys()
    language = route["condition"]["description"]
    assert all(f"{name} (" in language for name in FACTS) and all(f"{name}(" in language for name in LOOKUPS)


@pytest.mark.parametrize(
    ("source", "fits"),
    [
        (ARTICLE, True),
        (WHOLE, True),
        (DEFAULT_SOURCE.replace("quotes", "any"), True),
        (ARTICLE.replace("fast-flash", "gone"), False),
        (ARTICLE.replace('"model": "fast', '"modell": "fast'), False),
        (WHOLE.replace("0.05", "0"), False),
        (WHOLE.replace('"percent": 5', '"percent": 500'), False),
        (WHOLE.replace('"autocomplete": "fast-flash"', '"autocomplete": "gone"'), False),
        (WHOLE.replace('["staff", "research"]', '"staff"'), False),
    ],
)
def test_the_schema_says_what_the_reader_says(source: str, fits: bool) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    content = json.loads(blank_comments(source))
    assert jsonschema.Draft202012Validator(schema(MODELS)).is_valid(content) is fits
    assert (not problems_of(source)) is fits


@pytest.mark.django_db
def test_a_saved_version_is_kept_with_its_author_and_decides(
    alice: Person, django_capture_on_commit_callbacks: Any
) -> None:
    assert catalog.load_sync().router_version_id is None
    with django_capture_on_commit_callbacks(execute=True):
        version = save_version("default", ARTICLE, models=MODELS, author=alice, note="As in the article.")
    assert (version.number, version.author, version.note) == (1, alice, "As in the article.")
    assert version.digest == parse(ARTICLE, models=MODELS).digest
    assert catalog.load_sync().router_version_id == version.pk
    assert len(catalog.load_sync().configuration.routes) == 3


@pytest.mark.django_db
def test_the_same_file_again_makes_no_version_and_a_changed_one_the_next() -> None:
    first = save_version("default", ARTICLE, models=MODELS)
    assert save_version("default", ARTICLE, models=MODELS) == first
    second = save_version("default", WHOLE, models=MODELS, activate=False)
    assert (second.number, RouterConfiguration.objects.get().current) == (2, first)
    assert save_version("default", WHOLE, models=MODELS) == second
    assert RouterConfiguration.objects.get().current == second
    assert save_version("default", ARTICLE, models=MODELS).number == 3
    assert RouterVersion.objects.get(pk=first.pk).source == ARTICLE


@pytest.mark.django_db
def test_a_refused_file_leaves_nothing_behind() -> None:
    with pytest.raises(ConfigurationError):
        save_version("default", ARTICLE)  # none of its models is there
    assert not RouterConfiguration.objects.exists()


@pytest.mark.django_db
def test_the_first_defaults_are_stored_once() -> None:
    ensure_defaults()
    ensure_defaults()
    version = RouterVersion.objects.get()
    assert version.source == DEFAULT_SOURCE
    catalog.forget()
    loaded = catalog.load_sync()
    assert loaded.router_version_id == version.pk
    assert loaded.template.version_id is not None


@pytest.mark.django_db
def test_a_stored_file_that_no_longer_reads_does_not_silence_the_workspace(caplog: pytest.LogCaptureFixture) -> None:
    version = save_version("default", ARTICLE, models=MODELS)
    frozen.lift()
    RouterVersion.objects.filter(pk=version.pk).update(source=ARTICLE.replace("len(prompt)", "old_fact"))
    catalog.forget()
    loaded = catalog.load_sync()
    assert (loaded.router_version_id, len(loaded.configuration.routes)) == (None, 1)
    assert "no longer reads" in caplog.text
