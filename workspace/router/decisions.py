"""The decisions that were kept, as replay reads them."""

from __future__ import annotations

from workspace.router.configuration import DEFAULT_SOURCE, Configuration, ConfigurationError, parse
from workspace.router.models import RouterVersion, Run
from workspace.router.replay import Record

LAST = 1_000


def records(last: int = LAST) -> list[Record]:
    """The newest decisions, newest first."""
    fields = ("pk", "decision", "tokens_input", "tokens_output", "cost", "first_token_s")
    rows = Run.objects.filter(decision__isnull=False).order_by("-pk").values_list(*fields)[:last]
    found = list(rows)
    deciders = _configurations({decision["configuration"] for _, decision, *_ in found})
    return [
        Record(
            key=str(run_id),
            facts=decision["facts"],
            route=decision["route"],
            model=decision["model"],
            chosen_by=decision["chosen_by"],
            configuration=deciders[decision["configuration"]],
            tokens_input=tokens_input,
            tokens_output=tokens_output,
            cost=None if cost is None else float(cost),
            first_token_s=first_token_s,
        )
        for run_id, decision, tokens_input, tokens_output, cost, first_token_s in found
    ]


def _configurations(versions: set[int | None]) -> dict[int | None, Configuration]:
    """What decided then. A version that no longer reads was the built-in file, as it is for the catalog."""
    default = parse(DEFAULT_SOURCE, models=None)
    deciders: dict[int | None, Configuration] = dict.fromkeys(versions, default)
    kept = RouterVersion.objects.filter(pk__in=[version for version in versions if version])
    for pk, source in kept.values_list("pk", "source"):
        try:
            deciders[pk] = parse(source, models=None)
        except ConfigurationError:
            continue
    return deciders
