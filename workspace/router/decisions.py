"""The log of decisions: written behind the runs' backs, read by replay, and forgotten in time.

A run never waits for it. What can't be written soon enough is dropped and counted: an answer is worth more than its
line in a log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from datetime import timedelta

from django.conf import settings
from django.utils import timezone

from workspace.router.configuration import DEFAULT_SOURCE, Configuration, ConfigurationError, parse
from workspace.router.models import LoggedDecision, RouterVersion, Run
from workspace.router.replay import Record
from workspace.router.rollout import Shadow
from workspace.router.run_rows import Outcome
from workspace.types import plain
from workspace.writes import writer

logger = logging.getLogger(__name__)

LAST = 1_000  # decisions that a replay takes unless told
MOST_WAITING = 10_000
BATCH = 500  # rows in one statement, whether written or deleted
EVERY = 0.25  # seconds between two writes

_WRITTEN_AGAIN = [
    field.attname for field in LoggedDecision._meta.concrete_fields if field.attname not in ("id", "created", "run")
]
_dropped = 0


class DecisionLog:
    """The decisions of one event loop that are not written yet."""

    def __init__(self, *, most: int = MOST_WAITING) -> None:
        self._waiting: deque[LoggedDecision] = deque()
        self._most = most
        self._some = asyncio.Event()

    def note(self, outcome: Outcome, *, routed: str = "", shadow: Shadow | None = None) -> None:
        """Keep how a run was decided and how it settled. It returns at once, and drops what finds no room."""
        if outcome.manifest.decision is None:
            return
        if len(self._waiting) >= self._most:
            _drop(1)
            return
        self._waiting.append(_row(outcome, routed, shadow))
        self._some.set()

    async def drain(self) -> None:
        """Write what waits, a batch at a time, until cancelled."""
        while True:
            await self._some.wait()
            await asyncio.sleep(EVERY)
            await self.flush()

    async def flush(self) -> None:
        self._some.clear()
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                await writer.submit(lambda batch=batch: _write(batch))  # type: ignore[misc]
            except Exception:
                logger.exception("%d decisions could not be logged.", len(batch))
                _drop(len(batch))


def dropped() -> int:
    """How many decisions this process has dropped since it started."""
    return _dropped


async def forget_old() -> None:
    """Delete what is older than ``RETENTION_DAYS``, in batches between which answers are written."""
    before = timezone.now() - timedelta(days=settings.RETENTION_DAYS)

    def forget() -> int:
        # The oldest come first in the order of their ids, so nothing else is looked at.
        oldest = LoggedDecision.objects.order_by("id").values_list("id", "created")[:BATCH]
        old = [pk for pk, created in oldest if created < before]
        return LoggedDecision.objects.filter(pk__in=old).delete()[0] if old else 0

    while await writer.submit(forget) == BATCH:
        pass


def tellable(rows: Sequence[LoggedDecision]) -> list[LoggedDecision]:
    """Without those of a blind comparison that is open: each says who wrote what."""
    withheld = set(Run.objects.filter(withheld=True).values_list("pk", flat=True))
    return [row for row in rows if row.run not in withheld]


def records(last: int = LAST) -> list[Record]:
    """The newest decisions, newest first, as replay takes them."""
    rows = tellable(list(LoggedDecision.objects.order_by("-id").defer("person")[:last]))
    deciders = _configurations({row.router_version_id for row in rows})
    return [
        Record(
            key=str(row.run),
            facts=row.facts,
            route=row.route,
            model=row.model,
            chosen_by=row.chosen_by,
            configuration=deciders[row.router_version_id],
            tokens_input=row.tokens_input,
            tokens_output=row.tokens_output,
            cost=None if row.cost is None else float(row.cost),
            first_token_s=row.first_token_s,
        )
        for row in rows
    ]


def _row(outcome: Outcome, routed: str, shadow: Shadow | None) -> LoggedDecision:
    manifest = outcome.manifest
    decision, usage = manifest.decision, manifest.usage
    assert decision is not None
    return LoggedDecision(
        person_id=outcome.person_id or None,
        run=outcome.run_id,
        router_version_id=decision.configuration,
        route=decision.route,
        model=decision.model,
        chosen_by=decision.chosen_by,
        mode=decision.mode,
        facts=plain(decision.facts),
        routed=routed,
        rollout_id=shadow.rollout_id if shadow else None,
        shadow_route=shadow.route if shadow else "",
        shadow_model=shadow.model if shadow else "",
        state=outcome.state,
        tokens_input=usage.input if usage else None,
        tokens_output=usage.output if usage else None,
        cost=manifest.cost if usage else None,
        first_token_s=manifest.timings.first_token,
        total_s=manifest.timings.total,
    )


def _write(rows: Sequence[LoggedDecision]) -> None:
    """One row for each run: one that was continued settles again, and so does its row."""
    newest = {row.run: row for row in rows}
    LoggedDecision.objects.bulk_create(
        list(newest.values()), update_conflicts=True, unique_fields=["run"], update_fields=_WRITTEN_AGAIN
    )


def _drop(count: int) -> None:
    global _dropped
    _dropped += count


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
