"""A language model says which of two answers is better: every two lanes, item by item, each shown first once.

It is never told which models answered. Where two answers are the same text nobody is asked: that is a tie.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from workspace.measurement import asking, judging
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Gathered, Item, Judge, Measurement, Outcome, Preference
from workspace.router.prompts import marked, quote
from workspace.router.run_rows import Outcome as Settled
from workspace.router.states import RunState
from workspace.types import Evidence, plain

Side = Preference.Side
SAID_NOTHING = {"cause": "It named neither answer and no tie."}


@dataclass(frozen=True, slots=True)
class Unit:
    """One question to the judge that is still to be put: two answers to an item, the first one above or below."""

    first: Outcome
    second: Outcome
    order: int


def pairs(measurement: Measurement, item: Item | None = None) -> Iterator[tuple[Outcome, Outcome]]:
    """Every two lanes' first answers to an item, or to that one, where both answered. A closed lane is the twin of an
    open one, and meets nobody."""
    asked = measurement.outcomes.filter(repeat=0, **({"item": item} if item else {}))
    rows = asked.exclude(cell=Cell.UNSCORED).select_related("item")
    answers: dict[int, list[Outcome]] = {}
    for row in rows.order_by("item__position", "lane"):
        if not measurement.lanes[row.lane].get("closed"):
            answers.setdefault(row.item_id, []).append(row)
    for of_item in answers.values():
        yield from combinations(of_item, 2)


def is_same(first: Outcome, second: Outcome) -> bool:
    return first.text.strip() == second.text.strip()


def left(measurement: Measurement) -> list[Unit]:
    """Every question to the judge that has no answer yet; of a measurement that is done, none."""
    if not (measurement.judge and measurement.pairwise) or measurement.state == Measurement.State.DONE:
        return []
    rows = measurement.preferences.filter(judge__in=measurement.judges.all())
    done = set(rows.values_list("item_id", "first", "second", "order"))
    return [
        Unit(first, second, order)
        for first, second in pairs(measurement)
        if not is_same(first, second)
        for order in judging.ORDERS
        if (first.item_id, first.lane, second.lane, order) not in done
    ]


def prompt(
    order: int, question: str, answers: Sequence[str], *, evidence: Sequence[Evidence], gold: Sequence[str], rubric: str
) -> str:
    """What is to be judged: the question, what is known, and both answers in their order."""
    shown = answers[:: -1 if order else 1]
    told = [marked("question", question), *judging.known(gold, rubric)]
    if evidence:
        told.append(quote(evidence))
    told += [marked(name, text) for name, text in zip(("first", "second"), shown, strict=True)]
    return "\n\n".join(told)


def preferred(said: str, order: int) -> str:
    """Which lane the judge means by what it said of the answers as they were shown."""
    swapped = {Side.FIRST: Side.SECOND, Side.SECOND: Side.FIRST}
    return swapped.get(Side(said), Side(said)) if said and order else said


async def prefer(measurement: Measurement, unit: Unit, judge: Judge, may_ask: asking.MayAsk) -> RunState:
    item = unit.first.item
    kept = await Gathered.objects.filter(measurement=measurement, item=item).afirst()
    told = prompt(
        unit.order, item.question, (unit.first.text, unit.second.text),
        evidence=[Evidence(**one) for one in kept.evidence] if kept else [], gold=judging.gold_of(item),
        rubric=item.rubric,
    )  # fmt: skip

    def keep(outcome: Settled) -> None:
        said = "" if outcome.failure else judging.verdict_of(outcome.text, judging.BETTER)
        failure = plain(outcome.failure) if outcome.failure else None if said else SAID_NOTHING
        Preference.objects.get_or_create(
            measurement=measurement, item=item, first=unit.first.lane, second=unit.second.lane, judge=judge,
            order=unit.order,
            defaults={
                "prefers": preferred(said, unit.order), "run_id": outcome.run_id, "cost": outcome.manifest.cost,
                "failure": failure,
            },
        )  # fmt: skip

    request = judging.asked(judge, told, **await asking.asker(measurement))
    return await asking.run(measurement, request, keep, may_ask)
