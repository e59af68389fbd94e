"""The rows of runs: opened, reopened, settled, and found dead. Synchronous; what executes a run is ``runs.py``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from workspace.hub import PROCESS
from workspace.providers.models import LanguageModelVersion
from workspace.router import catalog as catalogs
from workspace.router import money
from workspace.router.journal import text_so_far
from workspace.router.models import Run, RunEvent
from workspace.router.money import Spent
from workspace.router.prompts import estimate_tokens
from workspace.router.states import SETTLED, RunState, sources_of
from workspace.types import Decision, Failure, Manifest, Usage, plain
from workspace.wire import RunEventKind

DEAD_AFTER = 10.0  # seconds without a heartbeat

INTERRUPTED = Failure(
    code="interrupted",
    cause="The server stopped while this answer was being written.",
    action="Continue it, or retry.",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run settled."""

    run_id: UUID
    state: RunState
    text: str
    reasoning: str
    manifest: Manifest
    failure: Failure | None
    seq: int
    person_id: str = ""


def open_row(**fields: Any) -> Run:
    """A new run's row, owned by this process. Called inside the transaction that opens a turn."""
    return open_rows(1, **fields)[0]


def open_rows(count: int, **fields: Any) -> list[Run]:
    """So many, all alike, in one statement."""
    new = [Run(state=RunState.RUNNING, owner=PROCESS, heartbeat=timezone.now(), **fields) for _ in range(count)]
    return Run.objects.bulk_create(new)


def reopen_row(run_id: UUID) -> bool:
    """Take an interrupted run to go on with it; False when somebody else did."""
    return bool(
        Run.objects.filter(pk=run_id, state=RunState.INTERRUPTED).update(
            state=RunState.RUNNING, owner=PROCESS, heartbeat=timezone.now(), failure=None, settled=None
        )
    )


def queue_row(run_id: UUID, decision: Decision, seq: int) -> bool:
    """Leave a run to a background worker: nobody owns it until one takes it."""
    return bool(
        Run.objects.filter(pk=run_id, state=RunState.RUNNING).update(
            state=RunState.QUEUED,
            decision=plain(decision),
            model_version_id=decision.model_version,
            router_version_id=decision.configuration,
            owner="",
            heartbeat=None,
            seq=seq,
        )
    )


def take_row(run_id: UUID) -> bool:
    """Take a queued run, or an interrupted one, for this process; False when somebody else did."""
    return bool(
        Run.objects.filter(pk=run_id, state__in=[RunState.QUEUED, RunState.INTERRUPTED]).update(
            state=RunState.RUNNING, owner=PROCESS, heartbeat=timezone.now(), failure=None, settled=None
        )
    )


def stop_queued(run_id: UUID) -> bool:
    """Stop a run that no worker has taken; False when one has."""
    return bool(
        Run.objects.filter(pk=run_id, state=RunState.QUEUED).update(
            state=RunState.STOPPED, seq=F("seq") + 1, settled=timezone.now()
        )
    )


def settle_row(outcome: Outcome) -> bool:
    """Write how a run ended; False when it may not move there (somebody else settled it first)."""
    manifest = outcome.manifest
    usage = manifest.usage
    changed = Run.objects.filter(pk=outcome.run_id, state__in=sources_of(outcome.state)).update(
        state=outcome.state,
        model_version_id=manifest.model_version,
        router_version_id=manifest.decision.configuration if manifest.decision else None,
        template_version_id=manifest.prompt_template_version,
        text=outcome.text,
        reasoning=outcome.reasoning,
        decision=plain(manifest.decision) if manifest.decision else None,
        evidence=[plain(e) for e in manifest.evidence],
        failure=plain(outcome.failure) if outcome.failure else None,
        manifest=manifest.as_dict(),
        tokens_input=_more("tokens_input", usage.input) if usage else F("tokens_input"),
        tokens_output=_more("tokens_output", usage.output) if usage else F("tokens_output"),
        cost=_more_cost(manifest.cost) if usage else F("cost"),
        reserved=None,
        first_token_s=manifest.timings.first_token,
        total_s=manifest.timings.total,
        seq=outcome.seq,
        settled=timezone.now(),
    )
    if changed:
        RunEvent.objects.filter(run_id=outcome.run_id).delete()
        _bill(outcome)
    return bool(changed)


def _more(field: str, amount: Any) -> Any:
    """A run that was continued has cost something before."""
    return Coalesce(F(field), Value(amount * 0)) + Value(amount)


def _more_cost(amount: Decimal | None) -> Any:
    """What was unknown before stays unknown: tokens without a cost are a price that is missing."""
    if amount is None:
        return None
    return Case(When(tokens_input__isnull=False, cost__isnull=True, then=Value(None)), default=_more("cost", amount))


def _bill(outcome: Outcome) -> None:
    """Each call counts for its own model; the run counts once, for the model that ended it."""
    manifest = outcome.manifest
    route = manifest.decision.route if manifest.decision else ""
    over = outcome.state in SETTLED
    ended_by = manifest.attempts[-1] if manifest.attempts else None
    for attempt in manifest.attempts or (None,):
        usage = attempt.usage if attempt else None
        last = attempt is ended_by
        money.settle(
            Spent(
                person_id=outcome.person_id,
                model=attempt.model if attempt else "",
                route=route,
                tokens_input=usage.input if usage else 0,
                tokens_output=usage.output if usage else 0,
                cost=attempt.cost if attempt else money.NOTHING,
                runs=int(last and over),
                failed=int(last and outcome.state is RunState.FAILED),
            )
        )


def reap(*, all_but: str = "", only: UUID | None = None) -> list[UUID]:
    """Mark runs whose process died as interrupted and move their text into their rows; ``only`` looks at one.

    ``all_but`` names this process when it is known to be the only one: every live run of another owner is
    then dead. Else a run is dead when its heartbeat is ``DEAD_AFTER`` old.
    """
    stale = timezone.now() - timedelta(seconds=DEAD_AFTER)
    dead = Q(heartbeat__lt=stale) | Q(heartbeat=None)  # a queued run has none and is not dead: it waits
    if all_but:
        dead |= ~Q(owner=all_but)
    live = Run.objects.filter(state=RunState.RUNNING, **({"pk": only} if only else {}))
    found = list(live.filter(dead).values_list("pk", "text", "reasoning"))
    return [run_id for run_id, text, reasoning in found if _interrupt(run_id, text, reasoning)]


def _interrupt(run_id: UUID, text: str, reasoning: str) -> bool:
    more, more_reasoning, seq = text_so_far(run_id)
    decided = _decided_before(run_id)
    spent = _estimate(run_id, decided.get("decision"), more + more_reasoning, began=bool(seq))
    changed = Run.objects.filter(pk=run_id, state__in=sources_of(RunState.INTERRUPTED)).update(
        state=RunState.INTERRUPTED,
        text=text + more,
        reasoning=reasoning + more_reasoning,
        failure=plain(INTERRUPTED),
        seq=seq + 1 if seq else F("seq") + 1,
        settled=timezone.now(),
        reserved=None,
        **decided,
        **_figures(spent),
    )
    if changed:
        RunEvent.objects.filter(run_id=run_id).delete()
        if spent:
            money.settle(spent)
    return bool(changed)


def _estimate(run_id: UUID, decision: dict[str, Any] | None, said: str, *, began: bool) -> Spent | None:
    """What a dead process had used, as nobody can tell any more: the conversation that was decided on went in, and
    what was journalled came out. It all counts for the model that was decided on; a run that waited in a queue had
    its decision in its row."""
    row = Run.objects.only("person_id", "decision").get(pk=run_id)
    decision = decision or (row.decision if began else None)
    if decision is None:
        return None
    version = LanguageModelVersion.objects.select_related("model").get(pk=decision["model_version"])
    usage = Usage(input=decision["facts"].get("tokens", 0), output=estimate_tokens(said), estimated=True)
    return Spent(
        person_id=str(row.person_id or ""),
        model=version.model.name,
        route=decision["route"],
        tokens_input=usage.input,
        tokens_output=usage.output,
        cost=catalogs.cost(version, usage),
    )


def _figures(spent: Spent | None) -> dict[str, Any]:
    if spent is None:
        return {}
    return {
        "tokens_input": _more("tokens_input", spent.tokens_input),
        "tokens_output": _more("tokens_output", spent.tokens_output),
        "cost": _more_cost(spent.cost),
    }


def _decided_before(run_id: UUID) -> dict[str, Any]:
    """What a dead process had journalled of its decision and evidence: who goes on needs both."""
    wanted = [RunEventKind.DECISION, RunEventKind.EVIDENCE]
    stored = dict(RunEvent.objects.filter(run_id=run_id, kind__in=wanted).values_list("kind", "data"))
    fields: dict[str, Any] = {}
    if data := stored.get(RunEventKind.EVIDENCE):
        fields["evidence"] = orjson.loads(data)
    if data := stored.get(RunEventKind.DECISION):
        decision = fields["decision"] = orjson.loads(data)
        fields |= {"model_version_id": decision["model_version"], "router_version_id": decision["configuration"]}
    return fields
