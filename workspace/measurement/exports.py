"""A report as it is taken away: all that its page shows, as plain values and as a table, each answer and preference.

Cells are texts of models and of files that somebody sent: none may be taken for a formula by a spreadsheet. It knows no
request, and the page that needs nothing else is made where the page is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workspace.measurement import agreement, drift, judging, preferences, verdicts
from workspace.measurement.models import Judge, Measurement, Preference
from workspace.measurement.preferences import Judged
from workspace.measurement.report import report
from workspace.types import plain

ANSWERS = (
    "cell", "exact", "f1", "found", "first_token_s", "first_answer_s", "last_token_s", "total_s", "tokens_input",
    "tokens_output", "tokens_cached", "estimated", "cost", "run_id",
)  # fmt: skip
SUPPORT = ("supported", "weak", "unsupported")
OF_A_PAIR = ("first", "second")
PREFERENCES = (
    "item", "question", *OF_A_PAIR, "preferred", "because", "first_shown_first", "second_shown_first", "judge",
    "version", "cost", "run_ids", "failure", "first_text", "second_text",
)  # fmt: skip
BY_LANE = ("answers", "shares", "unscored")  # lists that have one entry a lane, in the lanes' order
NAMED_BY = ("label", "name", "part", "question")
IN_ANSWERS = ("times",)  # one number an answer, which stands in the table of answers
INTERVAL = ("value", "low", "high")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a text for that begins with it
Table = Iterator[Sequence[Any]]


def whole(measurement: Measurement, other: Measurement | None = None) -> dict[str, Any]:
    """The report as plain values, with what its page shows around it; ``other`` is the one that it stands beside."""
    found = report(measurement)
    baseline = agreement.known(agreement.LENGTH, "1")
    return {
        "suite": measurement.suite.name,
        "started": measurement.created.isoformat(),
        "state": measurement.state,
        "why": measurement.why,
        **found.as_dict(),
        "held": held(measurement),
        "length_alone": plain(asdict(baseline)) if baseline else None,
        "drift": measurement.drift,
        "beside": _beside(measurement, other) if other else None,
    }


def held(measurement: Measurement) -> dict[str, Any]:
    """What was held equal for all lanes."""
    found = dict(measurement.held)
    if gathered := measurement.gathered.count():
        found["passages"] = f"{gathered} sets, digest {drift.passages(measurement)}"
    return {**found, "suite": f"{measurement.suite.name}, digest {measurement.suite.digest[:12]}"}


def table(measurement: Measurement, form: str, other: Measurement | None = None) -> str | None:
    """As CSV: the ``figures`` of the report, every one of its ``answers``, or every ``preference`` of its judge;
    ``None`` of a form that there is not."""
    forms: Mapping[str, Callable[[], Table]] = {
        "figures": lambda: _figures(whole(measurement, other)),
        "answers": lambda: _answers(measurement),
        "preferences": lambda: _preferences(measurement),
    }
    if form not in forms:
        return None
    written = io.StringIO()
    csv.writer(written).writerows([_harmless(cell) for cell in line] for line in forms[form]())
    return written.getvalue()


def _beside(measurement: Measurement, other: Measurement) -> dict[str, Any]:
    unlike = drift.unlike(measurement, other)
    return {
        "started": other.created.isoformat(),
        "moved": [_moved(plain(asdict(one))) for one in drift.between(measurement, other)],
        "unlike": {name: {"now": now, "then": then} for name, now, then in unlike},
    }


def _moved(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: dict(zip(("now", "then"), value, strict=True)) if isinstance(value, list) else value
        for name, value in told.items()
    }


def _figures(told: Mapping[str, Any]) -> Table:
    """One figure a row: which part of the report, of what, its name, and its interval where it has one."""
    yield "part", "of", "figure", *INTERVAL
    lanes = [lane["label"] for lane in told["lanes"]]
    for part, value in told.items():
        for of, name, figure in _flat(value, (), (), lanes):
            ends = [figure[end] for end in INTERVAL] if isinstance(figure, Mapping) else [figure, "", ""]
            yield part, " · ".join(of), " ".join(name), *ends


def _flat(
    value: Any, of: tuple[str, ...], name: tuple[str, ...], lanes: Sequence[str]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], Any]]:
    if isinstance(value, Mapping) and set(value) != set(INTERVAL):
        for key, inner in value.items():
            if key not in IN_ANSWERS:
                yield from _flat(inner, of, (*name, str(key)), lanes)
    elif isinstance(value, list) and name[-1:] and name[-1] in BY_LANE and len(value) == len(lanes):
        for label, inner in zip(lanes, value, strict=True):
            yield from _flat(inner, (*of, label), name, lanes)
    elif isinstance(value, list):
        for at, inner in enumerate(value, 1):
            if isinstance(inner, list) and isinstance(inner[-1], int):  # a cause, and how often
                yield (*of, *map(str, inner[:-1])), name, inner[-1]
            else:
                yield from _flat(inner, (*of, _name_of(inner, at)), name, lanes)
    elif value is not None:
        yield of, name, value


def _name_of(one: Any, at: int) -> str:
    """What an entry of a list is called: by itself, by the two it is about, or by its place."""
    if not isinstance(one, Mapping):
        return str(at)
    if all(isinstance(one.get(side), str) for side in OF_A_PAIR):
        return " and ".join(one[side] for side in OF_A_PAIR)
    return next((str(one[key]) for key in NAMED_BY if key in one), str(at))


def _answers(measurement: Measurement) -> Table:
    """Every answer, with what each judge says of it."""
    asks = judging.ASKS if measurement.judge else ()
    told = {one: verdicts.verdicts(measurement, one) for one in asks}
    judged = [f"judged_{one}" for one in asks]
    yield (
        "item", "question", "gold", "model", "repeat", *ANSWERS, "failure", "text", "cluster", *SUPPORT, *judged,
    )  # fmt: skip
    for row in measurement.outcomes.select_related("item").order_by("item__position", "lane", "repeat"):
        yield [
            row.item.key, row.item.question, " | ".join(row.item.answers or []), measurement.lanes[row.lane]["label"],
            row.repeat, *(getattr(row, name) for name in ANSWERS), (row.failure or {}).get("cause", ""), row.text,
            row.item.cluster, *((row.support or {}).get(name, "") for name in SUPPORT),
            *(told[one].get(row.pk, "") for one in asks),
        ]  # fmt: skip


def _preferences(measurement: Measurement) -> Table:
    """Every two answers that are judged, with what was said in either order and the runs that said it."""
    yield PREFERENCES
    labels = [lane["label"] for lane in measurement.lanes]
    judge = judging.pinned(measurement).get(judging.BETTER)
    every = preferences.judgements(measurement) if judge else {}
    for (first, second), pairs in every.items():
        for one in pairs:
            yield _preference(one, (labels[first], labels[second]), judge if one.said else None)


def _preference(one: Judged, labels: tuple[str, str], judge: Judge | None) -> Sequence[Any]:
    names = {**dict(zip(OF_A_PAIR, labels, strict=True)), Preference.Side.TIE.value: "tie", "": ""}
    costs = [row.cost for row in one.said]
    causes = dict.fromkeys(str(row.failure.get("cause", "")) for row in one.said if row.failure)
    return [
        one.first.item.key, one.first.item.question, *labels,
        "" if one.won is None else ("tie", *labels)[one.won], _because(one),
        *([names[row.prefers] for row in one.said] or ["", ""]),
        *((judge.model, judge.digest[:12]) if judge else ("", "")),
        "" if None in costs else sum(cost for cost in costs if cost is not None),
        " ".join(str(row.run_id) for row in one.said if row.run_id), " | ".join(causes), one.first.text,
        one.second.text,
    ]  # fmt: skip


def _because(one: Judged) -> str:
    if one.same:
        return "the same text"
    if one.won is None:
        return "unscored"
    return "its two orders differ" if one.flipped else "both orders"


def _harmless(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA) else cell
