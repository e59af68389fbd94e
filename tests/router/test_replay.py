"""Replay: which stored decisions a configuration would move, what that changes, and what can't be told."""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tests.decided import log
from tests.scripted import add_model
from workspace.router import catalog as catalogs
from workspace.router.catalog import Catalog
from workspace.router.configuration import Configuration, parse, save_version
from workspace.router.decide import decide
from workspace.router.facts import facts_of
from workspace.router.history import Past
from workspace.router.models import RouterVersion
from workspace.router.replay import Record, replay, wilson
from workspace.types import Decision, Part, PromptMessage, Request, plain, text_part

pytestmark = pytest.mark.django_db

MODELS = {"plum": "1", "peach": "3", "pear": None, "fig": "2"}


@pytest.fixture(autouse=True)
def models() -> None:
    for name, price in MODELS.items():
        add_model(name, price=price, abilities=("images",) if name != "fig" else ())


def routes(*pairs: tuple[str, Any], fallback: str = "plum") -> str:
    """Conditions and models; a mapping draws by weight."""
    each = [{"condition": c, "models" if isinstance(m, dict) else "model": m} for c, m in pairs]
    return json.dumps({"routes": each, "fallback": fallback})


def catalog_of(source: str) -> Catalog:
    return replace(catalogs.load_sync(), configuration=parse(source, models=MODELS))


def ask(words: str, *, earlier: int = 0, image: bool = False, groups: tuple[str, ...] = (), model: str = "") -> Request:
    image_part = (Part(kind="image", media_type="image/png"),) if image else ()
    question = PromptMessage(role="person", parts=(text_part(words), *image_part))
    before = (PromptMessage(role="person", parts=(text_part("Before."),)),) * earlier
    return Request(messages=(*before, question), user="alice", groups=groups, chat_id=words, model=model)


def decided(request: Request, catalog: Catalog, **also: Any) -> Decision:
    facts = facts_of(request, user=request.user, groups=request.groups, also=also)
    return decide(request, catalog, facts=facts)


def kept(decision: Decision, configuration: Configuration, **fields: Any) -> Record:
    usual = {"tokens_input": 1_000, "tokens_output": 1_000, "cost": 0.002, "first_token_s": 0.5}
    return Record(
        key=f"run {id(decision)}",
        facts=plain(decision)["facts"],
        route=decision.route,
        model=decision.model,
        chosen_by=decision.chosen_by,
        configuration=configuration,
        **(usual | fields),
    )


def test_it_says_what_moves_where_and_what_that_changes() -> None:
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes(("len(prompt) > 20", "peach"), ("default", "plum")), models=MODELS)
    records = [kept(decided(ask("word " * n), old), old.configuration) for n in range(1, 11)]
    report = replay(new, records, catalog=old, past={"peach": Past(p50_ms=700.0)})
    (move, still) = report.moves
    assert (move.from_model, move.to_model, move.to_route, move.count) == ("plum", "peach", "rule 1", 6)
    assert (still.from_route, still.to_route, still.changes_model) == ("rule 1", "rule 2", False)
    assert (report.decisions, report.moved, report.stayed) == (10, 6, 4)
    assert report.share_moved == wilson(6, 10)
    assert move.cost == pytest.approx(0.004)  # 2,000 tokens at 3 dollars a million, less what was paid
    assert report.cost.interval is not None and report.first_token.interval is not None
    assert report.cost.interval.value == pytest.approx(2.4)
    assert report.cost.interval.low < 2.4 < report.cost.interval.high
    assert report.first_token.interval.value == pytest.approx(200)
    assert replay(new, records, catalog=old, past={"peach": Past(p50_ms=700.0)}) == report


def test_an_unknown_price_or_speed_stays_unknown_and_is_counted() -> None:
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes(("len(prompt) < 9", "pear"), ("default", "plum")), models=MODELS)
    records = [kept(decided(ask(words), old), old.configuration) for words in ("Hello", "Hello to all of you")]
    report = replay(new, records, catalog=old)
    assert (report.moved, report.stayed) == (1, 1)  # and the one that stays says nothing of the other
    assert (report.cost.interval, report.cost.unknown) == (None, 1)
    assert (report.first_token.interval, report.first_token.unknown) == (None, 1)


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        ('contains(prompt, "tax")', "the words of the prompt are not kept"),
        ('language == "de"', "language was not looked up"),
        ("free_memory_gib > 4", "free_memory_gib was not looked up"),
        ('p50_ms("peach") < 500', "p50_ms(peach) was not looked up"),
        ('healthy("peach")', "healthy(peach) was not looked up"),
    ],
)
def test_what_the_record_lacks_cant_be_told(condition: str, why: str) -> None:
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes((f"len(prompt) > 4 and {condition}", "peach"), ("default", "plum")), models=MODELS)
    records = [kept(decided(ask(words), old), old.configuration) for words in ("Hi", "Good morning")]
    report = replay(new, records, catalog=old)
    assert report.untold == {why: 1}
    assert (report.stayed, report.moved) == (1, 0)


def test_what_nobody_could_know_then_makes_the_rule_false_as_it_did() -> None:
    old = catalog_of(routes(('language == "de"', "peach"), ("default", "plum")))
    new = parse(routes(('language == "de" or budget_left < 1', "pear"), ("default", "fig")), models=MODELS)
    report = replay(new, [kept(decided(ask("12 + 30"), old), old.configuration)], catalog=old)
    assert not report.untold
    assert [move.to_model for move in report.moves] == ["fig"]


def test_what_was_true_only_then_is_taken_as_it_was() -> None:
    old = catalog_of(routes(("default", "plum")))
    decision = decided(ask("Hello", groups=("board",)), old, hour=3, budget_left=0.5, **{"p50_ms(peach)": 90.0})
    new = parse(
        routes(('hour < 5 and "board" in groups and budget_left < 1 and p50_ms("peach") < 100', "peach")), models=MODELS
    )
    assert replay(new, [kept(decision, old.configuration)], catalog=old).moves[0].to_model == "peach"


def test_a_cost_nobody_had_looked_up_follows_from_the_tokens() -> None:
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes(('cost("peach") < 0.01', "peach"), ("default", "plum")), models=MODELS)
    decision = decided(ask("Hello"), old)
    cheap, dear = (kept(decision, old.configuration, tokens_output=n) for n in (1_000, 9_000))
    none = kept(decision, old.configuration, tokens_input=None)
    report = replay(new, [cheap, dear, none], catalog=old)
    assert (report.moved, report.stayed) == (1, 1)
    assert report.untold == {"the run counted no tokens": 1}


def test_a_picture_is_told_of_the_question_where_the_chat_had_only_that() -> None:
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes(("default", "fig"), fallback="peach"), models=MODELS)
    first = kept(decided(ask("Look", image=True), old), old.configuration)
    later = kept(decided(ask("Look", image=True, earlier=1), old), old.configuration)
    report = replay(new, [first, later], catalog=old)
    assert [(move.to_model, move.count) for move in report.moves] == [("peach", 1)]
    assert report.untold == {"whether the question itself carried images is not kept": 1}


def test_a_model_of_other_groups_refuses_and_a_persons_choice_stays() -> None:
    add_model("private", groups=("board",))
    catalogs.forget()
    old = catalog_of(routes(("default", "plum")))
    new = parse(routes(("default", "private"), fallback="private"), models=None)
    inside = kept(decided(ask("Hello", groups=("board",)), old), old.configuration)
    outside = kept(decided(ask("Hello"), old), old.configuration)
    chosen = kept(decided(ask("Hello", model="peach"), old), old.configuration)
    report = replay(new, [inside, outside, chosen], catalog=old)
    assert (report.moved, report.chosen) == (1, 1)
    assert report.refused == {"no model that it names can answer": 1}


CONDITIONS = (
    "len(prompt) < 40", 'contains(prompt, "e")', "turn > 2", "requires_reasoning", "has_image", "hour > 11",
    "budget_left < 2", 'language == "en"', '"board" in groups', 'cost("peach") < 0.004', 'p50_ms("plum") < 300',
)  # fmt: skip


@pytest.mark.parametrize("seed", range(30))
def test_the_active_configuration_moves_nothing_of_its_own(seed: int) -> None:
    chance = random.Random(seed)
    chosen: list[tuple[str, Any]] = [
        (condition, chance.choice(["plum", "peach", "fig", "any", {"plum": 30, "fig": 70}]))
        for condition in chance.sample(CONDITIONS, 5)
    ]
    catalog = catalog_of(routes(*chosen, fallback=chance.choice(["plum", "peach"])))
    records = []
    for n in range(40):
        request = ask(
            "word " * chance.randrange(1, 30) + str(n),
            earlier=chance.randrange(4),
            image=chance.random() < 0.3,
            groups=("board",) if chance.random() < 0.5 else (),
        )
        also = {
            "hour": chance.randrange(24),
            "budget_left": chance.choice([None, 1.0, 9.0]),
            "language": chance.choice([None, "en", "de"]),
            **{f"{f}({m})": chance.choice([None, 0.001, 200.0]) for f, m in catalog.configuration.lookups},
        }
        records.append(kept(decided(request, catalog, **also), catalog.configuration))
    report = replay(catalog.configuration, records, catalog=catalog)
    assert (report.moved, report.moves, report.refused) == (0, (), {})
    assert set(report.untold) <= {"the words of the prompt are not kept"}


def test_ten_thousand_decisions_take_under_ten_seconds() -> None:
    old = catalog_of(routes(("default", "plum")))
    rules = [(f"tokens > {90_000 - n} and turn > 1 and hour < 5", "peach") for n in range(50)]
    new = parse(routes(*rules, ("len(prompt) % 2 == 0", "peach"), ("default", "plum")), models=MODELS)
    records = [kept(decided(ask("w" * (n % 900 + 1)), old), old.configuration) for n in range(200)] * 50
    began = time.perf_counter()
    report = replay(new, records, catalog=old, past={"peach": Past(p50_ms=1.0)})
    assert time.perf_counter() - began < 10
    assert report.decisions == 10_000


@pytest.mark.parametrize(("count", "of"), [(0, 0), (0, 10), (3, 10), (10, 10), (500, 1_000)])
def test_a_share_lies_in_its_interval_and_that_in_0_to_1(count: int, of: int) -> None:
    share = wilson(count, of)
    assert 0 <= share.low <= share.value <= share.high + 1e-12 <= 1 + 1e-12


def stored(words: str, version: RouterVersion) -> None:
    decision = decided(ask(words), replace(catalogs.load_sync(), router_version_id=version.pk))
    log(decision, tokens_input=10, tokens_output=10, cost=Decimal("0.00002"))


def command(*arguments: Any) -> str:
    out = StringIO()
    call_command("route", "--replay", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_the_command_replays_the_stored_decisions(tmp_path: Path) -> None:
    version = save_version(catalogs.ACTIVE, routes(("default", "plum")))
    catalogs.forget()
    for n in range(4):
        stored("word " * (n + 1), version)
    file = tmp_path / "model_router.json"
    file.write_text(routes(("len(prompt) > 12", "peach"), ("default", "plum")))
    said = command("--config", file)
    assert said.startswith("4 decisions: 2 would go to another model (50.0%")
    assert "plum (rule 1) → peach (rule 1)" in said
    assert json.loads(command("--config", file, "--last", 1, "--json"))["decisions"] == 1
    assert json.loads(command("--number", version.number, "--json"))["moved"] == 0
    with pytest.raises(CommandError, match="There is no version 99"):
        command("--number", 99)
