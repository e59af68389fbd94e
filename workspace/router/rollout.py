"""A version on trial: which chats are its own, and what it says of the others' requests. Pure: it calls nobody.

A chat's arm follows from its id and the trial's, so a chat keeps it, and another trial draws anew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from workspace.router.catalog import Catalog
from workspace.router.decide import NoModel, decide
from workspace.router.situation import Situation
from workspace.types import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """What the version in the shadow would have done; no model where it would have refused."""

    rollout_id: int
    route: str = ""
    model: str = ""


def arm(catalog: Catalog, request: Request) -> Catalog:
    """The catalog as this chat has it: with the file on trial for its share of the chats."""
    trial = catalog.trial
    if trial is None or not trial.percent or _point(trial.rollout_id, request) >= trial.percent:
        return catalog
    return replace(catalog, configuration=trial.configuration, router_version_id=trial.version_id)


def shadow(request: Request, catalog: Catalog, situation: Situation) -> Shadow | None:
    """What the version on trial says of a request that was routed."""
    trial = catalog.trial
    if trial is None:
        return None
    tried = replace(catalog, configuration=trial.configuration, router_version_id=trial.version_id)
    try:
        decision = decide(
            request,
            tried,
            facts=situation.facts,
            unhealthy=situation.unhealthy,
            unaffordable=situation.unaffordable,
        )
    except NoModel:
        return Shadow(rollout_id=trial.rollout_id)
    return Shadow(rollout_id=trial.rollout_id, route=decision.route, model=decision.model)


def _point(rollout_id: int, request: Request) -> float:
    """Where a chat stands, 0 to 100; a request of no chat stands by its words."""
    seed = hashlib.sha256(f"rollout {rollout_id}\n{request.chat_id or request.prompt}".encode()).digest()
    return int.from_bytes(seed[:8], "big") / 2**64 * 100
