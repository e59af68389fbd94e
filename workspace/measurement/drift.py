"""Two measurements of one suite held against each other, lane by lane and item by item: what moved, and by how much.

A schedule's measurement is held against the one before it. What got worse is kept with it as an alert, until somebody
has noted it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from workspace.accounts.models import Person
from workspace.measurement import report, statistics
from workspace.measurement.models import Measurement, Outcome
from workspace.measurement.statistics import Interval, Pair
from workspace.types import canonical, sha256

MUCH_SLOWER = 1.25  # times the first token's median before, with intervals that do not touch


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """One lane, now and before. ``pair`` is now against before, ``p`` adjusted for all lanes."""

    label: str
    pair: Pair
    p: float
    told: bool
    correct: tuple[Interval | None, Interval | None]
    hallucinated: tuple[Interval | None, Interval | None]
    first_token: tuple[Interval | None, Interval | None]
    failed: tuple[Interval | None, Interval | None]


def between(now: Measurement, before: Measurement) -> list[Moved]:
    """Lanes that both have, by label."""
    reports = report.report(now), report.report(before)
    rows = [_by_label(one) for one in (now, before)]
    rights = [report.rightness(one) for one in (now, before)]
    found = []
    for lane in reports[0].lanes:
        other = next((one for one in reports[1].lanes if one.label == lane.label), None)
        if other is None:
            continue
        items = [report.by_item(rows[at].get(lane.label, []), rights[at]) for at in (0, 1)]
        both = [item for item in items[0] if item in items[1]]
        if both:
            pair = statistics.paired(
                [items[0][item][0] for item in both], [items[1][item][0] for item in both],
                [items[0][item][1] for item in both],
            )  # fmt: skip
            found.append((lane, other, pair))
    told = statistics.together([pair for _, _, pair in found])
    return [
        Moved(
            label=lane.label,
            pair=pair,
            p=p,
            told=tells,
            correct=(lane.correct, other.correct),
            hallucinated=(lane.hallucinated, other.hallucinated),
            first_token=(lane.first_token, other.first_token),
            failed=(statistics.share(lane.unscored, lane.answers), statistics.share(other.unscored, other.answers)),
        )
        for (lane, other, _), (pair, p, tells) in zip(found, told, strict=True)
    ]


def unlike(now: Measurement, before: Measurement) -> list[tuple[str, Any, Any]]:
    """What was not held equal between the two: name, now, before."""
    names = dict.fromkeys([*now.held, *before.held])
    found = [(name, now.held.get(name), before.held.get(name)) for name in names]
    found.append(("passages", passages(now), passages(before)))
    return [(name, one, other) for name, one, other in found if one != other]


def look(measurement: Measurement) -> None:
    """Of a schedule's measurement that is done: hold it against the one before."""
    if measurement.schedule_id is None:
        return
    done = Measurement.objects.filter(schedule=measurement.schedule_id, state=Measurement.State.DONE)
    before = done.filter(created__lt=measurement.created).order_by("-created").first()
    if before is None:
        return
    found = [line for moved in between(measurement, before) for line in _worse(moved)]
    if found and (names := [name for name, _, _ in unlike(measurement, before)]):
        found.append(f"Not held equal between the two: {', '.join(names)}.")
    measurement.drift = {"against": str(before.pk), "found": found, "noted": not found}
    measurement.save(update_fields=["drift"])


def alerts(person: Person) -> int:
    """Measurements of a person that drifted, and that nobody has noted."""
    return Measurement.objects.filter(owner=person, drift__noted=False).count()


def _worse(moved: Moved) -> Sequence[str]:
    found = []
    if moved.told and moved.pair.difference.value < 0:
        lost, won = moved.pair.only_second, moved.pair.only_first
        points = abs(round(100 * moved.pair.difference.value))
        p = "p < 0.001" if moved.p < 0.001 else f"p = {moved.p:.3f}"
        found.append(f"{moved.label} is right less often: {points} points, {p} ({lost} items lost, {won} won).")
    now, before = moved.first_token
    if now and before and now.low > before.high and now.value > MUCH_SLOWER * before.value:
        found.append(f"{moved.label} is slower: first token {now.value:.2f} s, before {before.value:.2f} s.")
    now, before = moved.hallucinated
    if now and before and now.low > before.high:
        found.append(
            f"{moved.label} hallucinates more: {now.value:.0%} of what it attempts, before {before.value:.0%}."
        )
    now, before = moved.failed
    if now and before and now.low > before.high:
        found.append(f"{moved.label} fails more: {now.value:.0%} of its answers, before {before.value:.0%}.")
    return found


def _by_label(measurement: Measurement) -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = {}
    for row in measurement.outcomes.select_related("item").order_by("item__position", "repeat"):
        found.setdefault(measurement.lanes[row.lane]["label"], []).append(row)
    return found


def passages(measurement: Measurement) -> str:
    digests = list(measurement.gathered.order_by("item__position").values_list("item__key", "digest"))
    return sha256(canonical(digests))[:12] if digests else "none"
