"""What a report makes of answers, written as rows: failures apart, items counted once, one judge at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from django.test import Client

from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.measurement import agreement, drift, judging, verdicts
from workspace.measurement.metrics import Cell, cell, f1
from workspace.measurement.models import Item, Judge, Judgement, Measurement, Outcome, Preference, Suite
from workspace.measurement.plots import beside
from workspace.measurement.preferences import judgements
from workspace.measurement.report import Report, report
from workspace.measurement.statistics import Interval

pytestmark = pytest.mark.django_db

PASSES = "I do not know."
FAILED = None
WORDS = '["Is it so? {choices}", ["YES", "NO"]]'
Answers = Sequence[Sequence[str | None]]  # of one lane, by item; several are repeats


@pytest.fixture(autouse=True)
def models(db: None) -> None:
    for name in ("plum", "pear", "fig", "judge"):
        add_model(name)


def measured(
    owner: Person, lanes: Mapping[str, Answers], items: Sequence[Mapping[str, Any]], **fields: Any
) -> Measurement:
    """A measurement that is done. An answer that is ``None`` failed; a lane may have fewer items."""
    suite = Suite.objects.create(owner=owner, name="things", digest="0" * 64)
    rows = [
        Item.objects.create(**{"suite": suite, "position": n, "key": f"q{n}", "question": f"Thing {n}?", **item})
        for n, item in enumerate(items)
    ]
    measurement = Measurement.objects.create(
        suite=suite, owner=owner, state="done", lanes=[{"label": name, "model": name} for name in lanes], **fields
    )
    for lane, answers in enumerate(lanes.values()):
        for item, texts in zip(rows, answers, strict=False):
            for repeat, text in enumerate(texts):
                said = text or ""
                Outcome.objects.create(
                    measurement=measurement, item=item, lane=lane, repeat=repeat, text=said,
                    cell=Cell.UNSCORED if text is FAILED else cell(said, item.answers),
                    f1=f1(said, item.answers or []), failure=None if text else {"cause": "Broken."},
                )  # fmt: skip
    return measurement


def judge_says(measurement: Measurement, said: Mapping[tuple[int, int], str], *, judge: str, orders: int = 2) -> None:
    """Verdicts by item and lane, in so many orders. The first one that says any is pinned."""
    fields = {"model": "judge", "asks": judging.RIGHT, "prompt": WORDS}
    row, _ = Judge.objects.get_or_create(digest=judge, defaults=fields)
    if judging.RIGHT not in judging.pinned(measurement):
        measurement.judges.add(row)
    for (item, lane), verdict in said.items():
        outcome = measurement.outcomes.get(item__position=item, lane=lane)
        for order in range(orders):
            Judgement.objects.create(outcome=outcome, judge=row, order=order, verdict=verdict)


def gold(n: int, **more: Any) -> list[dict[str, Any]]:
    return [{"answers": [f"number {at}"], **more} for at in range(n)]


def value(interval: Interval | None) -> float:
    assert interval
    return round(interval.value, 3)


def test_how_alike_lanes_are_is_told_of_answers_and_not_of_failures(alice: Person) -> None:
    plain, marked = "It is number 0 of all.", "**It** is number 0 of all."
    lanes = {"plum": [[plain]] * 4 + [[FAILED]] * 4, "pear": [[marked]] * 2 + [[plain]] * 2 + [[plain]] * 4}
    found = report(measured(alice, lanes, [{"answers": ["number 0"]} for _ in range(8)]))
    [alike] = found.likenesses
    assert (value(alike.verdict), value(alike.words), value(alike.format)) == (1, 1, 0.5)
    assert (value(alike.length), value(alike.ease), value(alike.formality)) == (0, 0, 0)
    plum, pear = (lane.steadiness for lane in found.lanes)
    assert dict(plum.formats) == {} and value(pear.formats["bold"]) == 0.25 and pear.formats["bold"].high > 0.25
    assert plum.length and (plum.length.value, plum.length.width) == (5, 0), (
        "four answers of five words: a number is none"
    )


def test_how_much_longer_and_chattier_a_lane_is_has_an_interval(alice: Person) -> None:
    short, long = "It is five.", "Sure! It is five, and I'd say that it has always been five."
    answers = [[long] if n % 4 else [short] for n in range(24)]
    found = report(measured(alice, {"plum": answers, "pear": [[short]] * 24}, gold(24)))
    [alike] = found.likenesses
    assert value(alike.length) == 7.5 and alike.length and 5 < alike.length.low < 7.5 < alike.length.high < 10
    assert alike.formality and alike.formality.high < 0, "the first one chats"
    assert alike.words and 0.25 < alike.words.low < value(alike.words) < alike.words.high < 0.8


def test_what_differs_from_repeat_to_repeat_is_a_mean_over_items(alice: Person) -> None:
    steady, unsteady = ["It is number 0."] * 3, ["number 1", "It is number 1, and it is.", PASSES]
    found = report(measured(alice, {"plum": [steady, unsteady, [FAILED, "number 2", "number 2"]]}, gold(3), repeats=3))
    told = found.lanes[0].steadiness
    assert told.repeats == 3
    assert value(told.verdict) == round((1 + 1 / 3 + 1) / 3, 3)
    assert value(told.format) == 1 and told.words and told.words.low < value(told.words) < 1
    spread = [1, 6, 4]
    middle = sum(spread) / 3
    deviation = (sum((one - middle) ** 2 for one in spread) / 3) ** 0.5
    assert value(told.length_spread) == round((0 + deviation / middle + 0) / 3, 3)
    assert value(told.ease_spread) > 0 and told.ease_spread and told.ease_spread.low == 0
    assert value(told.formality_spread) == round(100 * 2 / 4 / 3, 3), "“I” in four words, in one item of three"


def test_an_item_counts_once_for_its_topic_however_often_it_was_asked(alice: Person) -> None:
    items = [{**one, "cluster": f"part {n % 2}"} for n, one in enumerate(gold(4))]
    answers = [[f"number {n}"] * 5 if n < 2 else ["number 9"] * 5 for n in range(4)]
    once = report(measured(alice, {"plum": [one[:1] for one in answers]}, items))
    often = report(measured(alice, {"plum": answers}, items, repeats=5))
    assert [topic.items for topic in often.topics] == [2, 2]
    assert [topic.shares for topic in often.topics] == [topic.shares for topic in once.topics]


def test_f1_is_of_answerable_questions_alone(alice: Person) -> None:
    items = [*gold(2), {"answers": None, "reference": "number 2"}]
    found = report(measured(alice, {"plum": [["number 0"], ["number 1"], ["number 2"]]}, items))
    assert value(found.lanes[0].f1) == 1


def test_an_open_question_that_is_passed_is_not_answered_right(alice: Person) -> None:
    items = [{"answers": None, "reference": "It is known."}] * 3 + [{"answers": None}]
    measurement = measured(alice, {"plum": [["Known."], ["Known."], [PASSES], [PASSES]]}, items, judge="judge")
    judge_says(measurement, {(0, 0): "yes", (1, 0): "no"}, judge="a")
    [lane] = report(measurement).lanes
    assert value(lane.right) == round(1 / 3, 3), "nobody holds anything to be right of the fourth"


def test_lanes_differ_where_the_judge_says_so_of_an_open_question(alice: Person, client: Client) -> None:
    items = [{"answers": None, "reference": "It is known."}] * 3
    lanes: dict[str, Answers] = {"plum": [["Known."]] * 3, "pear": [["Known!"]] * 3}
    measurement = measured(alice, lanes, items, judge="judge")
    judge_says(measurement, {(0, 0): "yes", (0, 1): "no", (1, 0): "yes", (1, 1): "yes", (2, 0): "yes"}, judge="a")
    found = report(measurement)
    assert [(one.position, [each["right"] for each in one.answers]) for one in found.differing] == [(0, [True, False])]
    client.force_login(alice)
    page = client.get(f"/measure/{measurement.pk}/").content.decode()
    assert "judged right" in page and "judged wrong" in page


def test_the_best_is_not_said_to_beat_whom_it_never_met(alice: Person) -> None:
    """``fig`` answered what ``plum`` did not."""
    right, wrong = [[f"number {n}"] for n in range(40)], [["number 99"]] * 40
    nothing: list[list[str | None]] = [[FAILED]] * 40
    lanes: dict[str, Answers] = {
        "plum": [*right, *nothing], "pear": [*wrong, *wrong], "fig": [*nothing, *right[:30], *wrong[:10]],
    }  # fmt: skip
    items = [*gold(40), *gold(40)]
    found = report(measured(alice, lanes, items))
    assert {frozenset((one.first, one.second)) for one in found.pairs if one.told} == {
        frozenset(("plum", "pear")), frozenset(("pear", "fig")),
    }  # fmt: skip
    assert found.headline.startswith("plum leads, but between it and fig this run cannot tell.")


def test_only_the_judge_that_is_pinned_counts(alice: Person) -> None:
    """Whatever another one said of the same answers."""
    items = [{"answers": None, "reference": "It is known."}] * 4
    measurement = measured(alice, {"plum": [["Known."]] * 4}, items, judge="judge")
    judge_says(measurement, {(n, 0): "yes" for n in range(3)}, judge="pinned")
    judge_says(measurement, {(3, 0): "yes"}, judge="pinned", orders=1)
    judge_says(measurement, {(n, 0): "no" for n in range(4)}, judge="another")
    assert list(verdicts.verdicts(measurement, judging.RIGHT).values()) == [True] * 3, "in both orders"
    [told] = report(measurement).judges
    assert (told.version, told.unscored, value(told.shares[0])) == ("pinned", [0], 1)


def test_looking_at_a_report_makes_no_judge_and_nothing_more_to_do(alice: Person, client: Client) -> None:
    """Whatever the judge is by now: what is done is done."""
    measurement = measured(
        alice, {"plum": [["It is."]], "pear": [["It is so."]]}, gold(1), judge="judge", pairwise=True
    )
    judge_says(measurement, {(0, 0): "yes", (0, 1): "no"}, judge="old")
    better = Judge.objects.create(digest="better", model="judge", asks=judging.BETTER, prompt=WORDS)
    measurement.judges.add(better)
    for order in (0, 1):
        Preference.objects.create(
            measurement=measurement, item=measurement.suite.items.get(), first=0, second=1, judge=better, order=order,
            prefers="first",
        )  # fmt: skip
    client.force_login(alice)
    assert client.get(f"/measure/{measurement.pk}/").status_code == 200
    found: Report = report(measurement)
    assert Judge.objects.count() == 2
    assert [(one.done, one.of) for one in found.progress] == [(2, 2), (4, 4), (2, 2)]
    assert found.preferences and found.preferences.version == "better"
    Preference.objects.filter(order=1).delete()
    assert judgements(measurement) == {}, "one order is no verdict"


def test_an_agreement_that_is_measured_again_is_shown(alice: Person) -> None:
    measurement = measured(alice, {"plum": [["number 0"]]}, gold(1))
    first = report(measurement)
    assert report(measurement) is first
    agreement.keep(agreement.measure("model judge", "v1", [True, False], [True, False], ["a", "b"]))
    second = report(measurement)
    agreement.keep(agreement.measure("model judge", "v1", [True, True], [True, False], ["a", "b"]))
    assert len({id(one) for one in (first, second, report(measurement))}) == 3


@pytest.mark.parametrize(("failed", "told"), [(3, False), (15, True)])
def test_a_lane_that_fails_more_is_told_where_it_is_no_chance(alice: Person, failed: int, told: bool) -> None:
    right: list[list[str | None]] = [[f"number {n}"] for n in range(50)]
    before = measured(alice, {"plum": right}, gold(50))
    now = Measurement.objects.create(suite=before.suite, owner=alice, state="done", lanes=before.lanes)
    for outcome in before.outcomes.order_by("item__position"):
        broken = outcome.item.position < failed
        Outcome.objects.create(
            measurement=now, item=outcome.item, lane=0, text=outcome.text, f1=1.0,
            cell=Cell.UNSCORED if broken else Cell.CORRECT, failure={"cause": "Broken."} if broken else None,
        )  # fmt: skip
    [moved] = drift.between(now, before)
    assert any("fails more" in line for line in drift._worse(moved)) is told


@pytest.mark.parametrize("apart", [(10, 0), (14, -6), (0, 16), (-10, 0)])
def test_a_label_is_nearest_to_its_own_dot(apart: tuple[int, int]) -> None:
    dots = [(150.0, 115.0), (150.0 + apart[0], 115.0 + apart[1])]
    labels = beside(["careful", "hasty"], dots)
    for label, own in zip(labels, dots, strict=True):
        assert min(dots, key=label.distance) == own
    assert not labels[0].covers(labels[1])
