"""A decision in the log, as a run that settled would have left it."""

from __future__ import annotations

from typing import Any

from workspace.ids import new_id
from workspace.router.models import LoggedDecision
from workspace.types import Decision, plain


def log(decision: Decision, **fields: Any) -> LoggedDecision:
    usual: dict[str, Any] = {
        "run": new_id(),
        "router_version_id": decision.configuration,
        "route": decision.route,
        "model": decision.model,
        "chosen_by": decision.chosen_by,
        "mode": decision.mode,
        "facts": plain(decision.facts),
        "state": "done",
    }
    return LoggedDecision.objects.create(**(usual | fields))
