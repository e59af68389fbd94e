"""Votes become strengths: blind and sighted apart, of the models that a reader may use, and few votes are no rank."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from chat.compare.leaderboard import LEAST, Leaderboard, Wanted, leaderboard
from chat.compare.opinions import opinions
from chat.compare.topics import topic_of
from chat.models import ChatShare, Comparison, Lane, Thumb, Vote
from tests.chat.votes import vote
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.measurement.bradley_terry import Match, Table
from workspace.providers.models import LanguageModelVersion
from workspace.router.models import RouterConfiguration, RouterVersion, Run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def models(db: None) -> None:
    for name in ("strong", "weak", "new"):
        add_model(name)
    add_model("secret", groups=["bridge"])


def found(groups: set[str] | None = None, **wanted: Any) -> Leaderboard:
    return leaderboard(groups or set(), Wanted(**wanted))


def told(groups: set[str] | None = None, **wanted: Any) -> list[str]:
    return [one.strength.model for one in found(groups, **wanted).standings]


def lead(board: Leaderboard) -> float:
    by_name = {one.strength.model: one.strength.elo for one in board.standings}
    return by_name["strong"] - by_name["weak"]


def test_who_wins_stands_first_and_who_has_few_votes_stands_apart(alice: Person) -> None:
    for n in range(30):
        vote(alice, "strong", "weak", best="weak" if n % 5 == 0 else "strong")
    vote(alice, "new", "weak", best="new")
    board = found()
    assert told() == ["strong", "weak"] and board.first == ["strong"]
    assert board.few == [("new", 1)] and (board.votes, board.people) == (31, 1)
    assert [one.strength.rank for one in board.standings] == [1, 2] and not board.untold


def test_votes_against_a_model_that_is_not_ranked_do_not_rank_another(alice: Person) -> None:
    """15 votes between two, and 5 of each with others that have no more: nobody has the 20 that it takes."""
    for n in range(15):
        vote(alice, "strong", "weak", best="weak" if n % 3 == 0 else "strong")
    for _ in range(5):
        vote(alice, "strong", "new", best="strong")
        vote(alice, "weak", "new", best="weak")
    board = found()
    assert told() == [] and dict(board.few) == {"new": 10, "strong": 15, "weak": 15} and board.apart == []
    for _ in range(5):
        vote(alice, "strong", "weak", best="strong")
    board = found()
    assert told() == ["strong", "weak"] and board.few == [("new", 10)]
    assert [one.strength.votes for one in board.standings] == [20, 20]


def test_a_tie_between_five_is_as_many_matches_as_a_choice_among_them(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("fourth", "fifth"):
        add_model(name)
    for n in range(LEAST):
        vote(alice, "strong", "weak", "new", "fourth", "fifth", best="strong" if n % 2 else "", each=({},) * 5)
    weights: Counter[Any] = Counter()

    def count(matches: Sequence[Match], **_: Any) -> Table:
        for match in matches:
            weights[match.vote] += match.weight
        return Table()

    monkeypatch.setattr("chat.compare.leaderboard.table", count)
    found()
    assert len(weights) == LEAST and list(weights.values()) == pytest.approx([4.0] * LEAST)


def test_what_these_votes_can_not_tell_is_said(alice: Person, client: Client) -> None:
    for n in range(40):
        vote(alice, "strong", "weak", best="weak" if n % 5 < 2 else "strong")
    gap = found().untold[0]
    assert (gap.first, gap.second) == ("strong", "weak") and gap.low < 0 < gap.high and gap.needed
    client.force_login(alice)
    page = client.get("/leaderboard/").content.decode()
    assert "strong leads, and can’t be told from weak" in page and "Can’t tell at n = 40." in page


def test_blind_and_sighted_votes_are_never_mixed(alice: Person) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "weak", best="strong")
        vote(alice, "strong", "weak", best="weak", blind=False)
    assert told() == ["strong", "weak"]
    assert told(blind=False) == ["weak", "strong"]


@pytest.mark.parametrize(("held", "looks"), [("length", "word " * 40), ("style", "# A\n\n- **b** c\n- d\n\nword word")])
def test_a_win_by_looks_alone_is_taken_out(alice: Person, held: str, looks: str) -> None:
    """Of two equals, the one that is longer, or more decorated, wins nine in ten; the other way round as well."""
    for n in range(120):
        decorated, plain = ("strong", "weak") if n % 4 else ("weak", "strong")
        vote(alice, decorated, plain, best=decorated if n // 4 % 10 else plain, text=looks)
    plainly, fairly = found(), found(held=held)
    assert plainly.first == ["strong"] and lead(plainly) > 100
    assert abs(lead(fairly)) < lead(plainly) / 2 and fairly.first != ["strong"]
    assert max(weight for _, weight in fairly.weights) > 20


def test_lanes_that_failed_and_a_model_as_its_own_rival_count_for_nothing(alice: Person) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "weak", best="strong", state="failed")
        vote(alice, "strong", "strong", best="strong")
    board = found()
    assert (board.votes, board.few, told()) == (2 * LEAST, [], [])


def test_models_that_never_met_have_no_place_among_the_others(alice: Person) -> None:
    add_model("far")
    for _ in range(LEAST):
        vote(alice, "strong", "weak", "new", best="strong")
        vote(alice, "far", "secret", best="far")
    board = found({"bridge"})
    assert {one.strength.model for one in board.standings} == {"strong", "weak", "new"}
    assert board.apart == ["far", "secret"]


def test_a_model_that_a_reader_may_not_use_is_not_named(alice: Person, client: Client) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "secret", best="secret")
    assert told() == [] and told({"bridge"}) == ["secret", "strong"]
    client.force_login(alice)
    page = client.get("/leaderboard/").content.decode()
    assert "secret" not in page and "Too few votes" in page


def test_by_topic(alice: Person, client: Client) -> None:
    for _ in range(LEAST):
        vote(alice, "strong", "weak", best="weak", question="Write a python function that sorts a list.")
        vote(alice, "strong", "weak", best="strong", question="Write an email to the landlord.")
    assert told(topic="code") == ["weak", "strong"] and told(topic="writing") == ["strong", "weak"]
    assert found().topics == [("code", LEAST), ("writing", LEAST)]
    client.force_login(alice)
    assert "weak leads" in client.get("/leaderboard/?topic=code").content.decode()


def test_versions_settings_and_router_versions_are_told_apart_when_asked(alice: Person) -> None:
    version = LanguageModelVersion.objects.filter(model__name="strong").get()
    configuration = RouterConfiguration.objects.create(name="house")
    old, new = (
        RouterVersion.objects.create(configuration=configuration, number=number, source="{}", digest=str(number))
        for number in (7, 8)
    )
    took = {"model_version": version, "first_token_s": 0.2, "cost": Decimal("0.002")}
    by_route = {"manifest": {"model": "weak", "decision": {"chosen_by": "route"}}}
    for _ in range(LEAST):
        each = [{**by_route, "router_version": routed} for routed in (old, new)]
        lanes = vote(alice, "strong", "weak", best="strong", each=each, **took)
        lanes[0].asked["parameters"] = {"temperature": 0.2}
        lanes[0].save()
        vote(alice, "strong", "weak", best="weak", router_version=old, **took)  # whose model was chosen
    assert told(by="settings") == ["strong v1 · temperature 0.2", "strong v1"]
    assert told(by="router") == ["house v7", "house v8"]
    one = found(by="settings").standings[0]
    assert one.per_thousand == 2 and one.first_token
    assert (one.first_token.low, one.first_token.value, one.first_token.high) == (0.2, 0.2, 0.2)


def test_two_instructions_of_one_model_are_ranked_against_each_other(alice: Person) -> None:
    texts = ("Answer in one short and plain sentence.", "Answer in one short and plain paragraph.")
    for n in range(LEAST):
        lanes = vote(
            alice, "strong", "weak", best="strong" if n % 4 else "weak", each=[{"manifest": {"model": "strong"}}] * 2
        )
        for lane, text in zip(lanes, texts, strict=True):
            lane.asked["system"] = text
            lane.save()
    first, second = told(by="settings")
    assert first != second and all(name.startswith("strong · “Answer in one short …” ") for name in (first, second))


def test_a_median_wait_is_told_from_enough_answers_on(alice: Person, client: Client) -> None:
    for n in range(LEAST):
        waits = [{"first_token_s": 0.5}, {"first_token_s": 0.1 if n else None}]
        vote(alice, "strong", "weak", best="strong" if n % 3 else "weak", each=waits)
    board = {one.strength.model: one.first_token for one in found().standings}
    assert board["strong"] and board["weak"] is None, "19 answers of it were timed"
    client.force_login(alice)
    assert "too few to say" in client.get("/leaderboard/").content.decode()


def test_quality_is_drawn_against_cost_and_latency_with_intervals(alice: Person, client: Client) -> None:
    each = [{"cost": Decimal(cost), "first_token_s": wait} for cost, wait in (("0.004", 0.9), ("0.001", 0.1))]
    for n in range(LEAST):
        vote(alice, "strong", "weak", best="strong" if n % 3 else "weak", each=each)
    client.force_login(alice)
    page = client.get("/leaderboard/").content.decode()
    assert "Quality against cost" in page and "Quality against latency" in page
    assert page.count('class="bar" d="M') == 4 and "at $4" in page and "at 0.1 s" in page


@pytest.mark.parametrize(
    ("question", "grounding", "topic"),
    [
        ("Implement a binary search in Rust.", {}, "code"),
        ("Solve x^2 + 3 = 12 and prove that it has two roots.", {}, "maths"),
        ("Translate this into German: good morning.", {}, "translation"),
        ("Draft a letter to the council about the bins.", {}, "writing"),
        ("What does the survey say of the roof?", {"documents": True}, "documents"),
        ("Who painted this?", {}, "other"),
    ],
)
def test_a_topic_is_told_by_rules(question: str, grounding: dict[str, bool], topic: str) -> None:
    assert topic_of(question, grounding) == topic


def test_the_list_of_comparisons_says_which_wait_and_names_no_blind_one(
    alice: Person, charlie: Person, client: Client
) -> None:
    vote(alice, "strong", "weak", best="strong", question="Red or blue?")
    lanes = vote(alice, "strong", "weak", question="Old or new?")
    Vote.objects.filter(comparison=lanes[0].comparison).delete()
    Comparison.objects.exclude(pk=lanes[0].comparison_id).update(blind=False)
    client.force_login(alice)
    page = client.get("/compare/").content.decode().split('id="main"')[1]
    assert "1 comparison waits for your vote" in page and "you chose A" in page and "names withheld" in page
    assert page.count("strong") == page.count("weak") == 1
    client.force_login(charlie)
    assert "Red or blue?" not in client.get("/compare/").content.decode()


def test_who_may_only_read_is_not_waited_for(alice: Person, bob: Person, client: Client) -> None:
    lanes = vote(alice, "strong", "weak", question="Old or new?")
    Vote.objects.all().delete()
    share = ChatShare.objects.create(chat=lanes[0].comparison.chat, person=bob, may_write=False)
    client.force_login(bob)
    page = client.get("/compare/").content.decode()
    assert "Old or new?" in page and "No comparison waits for your vote" in page and "waits for your vote<" not in page
    share.may_write = True
    share.save()
    assert "1 comparison waits for your vote" in client.get("/compare/").content.decode()


def test_what_is_left_out_of_long_lists_is_said(alice: Person, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (("listing", "SHOWN"), ("pages", "SHOWN"), ("ranked", "MOST"), ("leaderboard", "MOST")):
        monkeypatch.setattr(f"chat.compare.{module}.{name}", 2)
    client.force_login(alice)
    for left_out in (False, True):
        vote(alice, "strong", "weak")
        told = client.get("/compare/").content.decode(), client.get("/leaderboard/").content.decode()
        assert ["The newest 2" in told[0], "of the newest 2 votes" in told[1]] == [left_out] * 2


def test_why_people_choose_and_like_is_counted_by_model_blind_and_sighted_apart(alice: Person, client: Client) -> None:
    def voted(reasons: list[str], *, up: bool, because: list[str], blind: bool = True) -> list[Lane]:
        lanes = vote(alice, "strong", "weak", best="strong", blind=blind)
        Vote.objects.filter(comparison=lanes[0].comparison).update(reasons=reasons)
        Thumb.objects.create(lane=lanes[1], person=alice, up=up, reasons=because, blind=blind)
        return lanes

    voted(["clearer", "better cited"], up=False, because=["wrong"])
    voted(["clearer"], up=False, because=["wrong", "too long"])
    voted(["better tone"], up=True, because=["clearer"], blind=False)
    strong, weak = opinions(set(), Wanted())
    assert (strong.model, dict(strong.best), strong.up) == ("strong", {"clearer": 2, "better cited": 1}, 0)
    assert (weak.model, weak.down, dict(weak.disliked)) == ("weak", 2, {"wrong": 2, "too long": 1})
    assert [(one.model, one.up, dict(one.best)) for one in opinions(set(), Wanted(blind=False))] == [
        ("strong", 0, {"better tone": 1}), ("weak", 1, {}),
    ]  # fmt: skip
    assert opinions(set(), Wanted(topic="code")) == []
    client.force_login(alice)
    page = client.get("/leaderboard/").content.decode()
    assert "clearer 2, better cited 1" in page and "<small>wrong 2</small>" in page and "better tone" not in page


def test_a_thumb_in_a_blind_comparison_that_is_open_moves_no_figure(alice: Person) -> None:
    lanes = vote(alice, "strong", "weak", best="strong")
    Thumb.objects.create(lane=lanes[1], person=alice, up=True, reasons=["clearer"], blind=True)
    Run.objects.update(withheld=True)
    assert opinions(set(), Wanted()) == [] and found().few == []
    Run.objects.update(withheld=False)
    assert len(opinions(set(), Wanted())) == 1 and len(found().few) == 2
