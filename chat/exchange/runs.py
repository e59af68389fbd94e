"""A run as a line of our own format, and back, with the marks of the judge who read its answer.

Evidence and decision stand in the manifest already, but where there is none. What comes in is billed to nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils import timezone

from chat.exchange.nodes import moment, when
from workspace.accounts.models import Person
from workspace.router.models import Judgement, Run
from workspace.router.states import SETTLED

PLACES = Decimal("1e-8")  # as the column has it


def line_of(run: Run) -> dict[str, Any]:
    manifest = run.manifest
    told = {
        "state": run.state if run.state in SETTLED else "interrupted",
        "text": run.text,
        "reasoning": run.reasoning,
        "failure": run.failure,
        "manifest": manifest,
        "evidence": None if manifest and run.evidence == (manifest.get("evidence") or []) else run.evidence,
        "tokens_input": run.tokens_input,
        "tokens_output": run.tokens_output,
        "cost": _told(run.cost),
        "first_token_s": run.first_token_s,
        "total_s": run.total_s,
        "created": when(run.created),
        "settled": when(run.settled),
    }
    judged: Judgement | None = getattr(run, "judgement", None)
    if judged is None:
        return told
    marks = {"model": judged.model, "verdicts": judged.verdicts, "cost": _told(judged.cost)}
    return {**told, "judged": {**marks, "created": when(judged.created)}}


def run_of(person: Person | None, line: Mapping[str, Any], began: datetime) -> Run:
    """A row that is not kept yet; ``began`` where the line does not tell it."""
    manifest = line["manifest"]
    return Run(
        person=person,
        state=line["state"],
        text=line["text"],
        reasoning=line["reasoning"],
        failure=line["failure"],
        manifest=manifest,
        decision=(manifest or {}).get("decision"),
        evidence=line["evidence"] if line.get("evidence") is not None else (manifest or {}).get("evidence") or [],
        tokens_input=line.get("tokens_input"),
        tokens_output=line.get("tokens_output"),
        cost=_cost(line.get("cost")),
        first_token_s=line.get("first_token_s"),
        total_s=line.get("total_s"),
        imported=True,
        created=moment(line.get("created")) or began,
        settled=moment(line.get("settled")),
    )


def judgement_of(run: Run, line: Mapping[str, Any]) -> Judgement | None:
    """Of a run whose row is kept by then."""
    told = line.get("judged")
    if not told:
        return None
    return Judgement(
        run=run, model=told["model"], verdicts=told["verdicts"], cost=_cost(told["cost"]),
        created=moment(told["created"]) or timezone.now(),
    )  # fmt: skip


def _told(cost: Decimal | None) -> str | None:
    return f"{cost:.8f}" if cost is not None else None


def _cost(value: Any) -> Decimal | None:
    """Within what the column holds."""
    amount = Decimal(str(value)) if isinstance(value, str) else None
    if amount is None or not amount.is_finite() or not 0 <= amount < 10**6:
        return None
    return amount.quantize(PLACES)
