"""What the numbers of a run come to: percentiles, joined with the provider's own log, as a table or JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks import grounding, local, long_chats
from tests.benchmarks.load import Answer

Log = Mapping[str, Mapping[str, Any]]
RAMP = 2.0  # seconds from the first question to when every stream is under way


def added_ms(answers: Sequence[Answer], log: Log) -> list[float]:
    """What came on top of the provider's own time, for each answer: from send to the first token read."""
    return [
        1e3 * ((a.first - a.sent) - (log[a.rid]["first"] - log[a.rid]["received"]))
        for a in answers
        if a.first and a.rid in log and log[a.rid]["first"]
    ]


def level(answers: Sequence[Answer], log: Log, *, cpu_s: float = 0.0) -> dict[str, Any]:
    """One row: so many people, at once."""
    done = [a for a in answers if a.outcome == "done"]
    arrivals = [arrival for a in answers for arrival in a.arrivals]
    row = {
        "asked": len(answers),
        "done": len(done),
        "refused_or_lost": len(answers) - len(done),
        "outcomes": sorted({a.outcome for a in answers} - {"done"}),
        "added_ms": percentiles(added_ms(answers, log)),
        "cpu_ms_per_turn": round(1e3 * cpu_s / max(1, len(answers)), 1),
    }
    if arrivals:
        row |= steady(arrivals)
    return row


def steady(arrivals: Sequence[tuple[float, float]]) -> dict[str, Any]:
    """Tokens a second, and the age of tokens, once all streams run and before the first ends."""
    begun, over = min(at for at, _ in arrivals), max(at for at, _ in arrivals)
    low, high = begun + RAMP, over - RAMP / 2
    inside = [age for at, age in arrivals if low <= at <= high]
    if high <= low or not inside:
        return {}
    return {"tokens_per_s": round(len(inside) / (high - low)), "lag_ms": percentiles([1e3 * age for age in inside])}


def percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return (
        {f"p{p}": round(ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 1) for p in (50, 95, 99)}
        if ordered
        else {}
    )


def table(figures: Mapping[str, Any]) -> str:
    """The same on a screen."""
    lines = [figures["machine"]]
    if figures["levels"]:
        head = ("", "added to first token, ms", "× floor", "lost", "tok/s", "lag p50/p99", "CPU ms/turn")
        lines += ["", _columns(*head)]
    for name, rows in figures["levels"].items():
        lines.append(f"{name} at once")
        for who, row in rows.items():
            lines.append(_line(who, row, rows.get("floor")))
    for at_once, rows in figures.get("programs", {}).items():
        lines += ["", f"Chat completions, {at_once} program{'s' * (at_once != '1')} at once"]
        lines += [_program(who, row) for who, row in rows.items()]
    if found := figures.get("local"):
        lines += ["", *local.lines(found)]
    if found := figures.get("long_chats"):
        lines += ["", *long_chats.lines(found)]
    if found := figures.get("grounding"):
        lines += ["", *grounding.lines(found)]
    for title in ("server", "page"):
        if values := figures.get(title):
            lines += ["", title.capitalize()]
            lines += [f"  {name.replace('_', ' '):34}{value}" for name, value in values.items()]
    return "\n".join(lines)


def _line(who: str, row: Mapping[str, Any], floor: Mapping[str, Any] | None) -> str:
    added = row["added_ms"]
    spread = " / ".join(f"{added[p]:.1f}" for p in ("p50", "p95", "p99")) if added else "-"
    ratio = f"{added['p50'] / floor['added_ms']['p50']:.1f}" if added and floor and floor["added_ms"].get("p50") else ""
    lag = f"{row['lag_ms']['p50']:.0f} / {row['lag_ms']['p99']:.0f}" if "lag_ms" in row else ""
    line = _columns(
        f"  {who}",
        spread,
        ratio,
        row["refused_or_lost"],
        row.get("tokens_per_s", ""),
        lag,
        row["cpu_ms_per_turn"] or "",
    )
    return f"{line}  {', '.join(row['outcomes'])}".rstrip()


def _program(who: str, row: Mapping[str, Any]) -> str:
    """Whole, streamed, paced: what came on top, p50, and requests a second where no pace sets them."""
    cells = []
    for mode, level in row.items():
        added = level["added_ms"].get("p50", "-")
        rate = "" if mode == "paced" else f" {level['requests_per_s']:>5}/s"
        lost = f" lost {level['refused_or_lost']} {level['outcomes']}" if level["refused_or_lost"] else ""
        cells.append(f"{mode} +{added} ms{rate}{lost}")
    return f"  {who:10}" + "   ".join(f"{cell:28}" for cell in cells).rstrip()


def _columns(who: str, spread: str, ratio: str, lost: object, rate: object, lag: str, cpu: object) -> str:
    return f"{who:22}{spread:>28}{ratio:>9}{lost:>6}{rate:>8}{lag:>14}{cpu:>13}"
