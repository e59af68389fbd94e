"""Trials of versions: begun, watched and ended. One runs at a time; every beginning and end is in the audit log."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from workspace.accounts.models import Person
from workspace.audit.log import record
from workspace.audit.models import Action
from workspace.router import catalog
from workspace.router.models import Rollout, RouterConfiguration, RouterVersion
from workspace.router.rollout_report import report

MOST = 1_000_000  # answers that a trial may wait for


class RolloutRefused(Exception):
    """Why a version can't be tried so, in words."""


@transaction.atomic
def begin(version: RouterVersion, *, percent: int, most: int, author: Person | None = None) -> Rollout:
    """Try a version on ``percent`` of the chats, or in the shadow with 0, until ``most`` answers of it were counted.
    A trial that runs already ends. Raises RolloutRefused."""
    if not 0 <= percent <= 99:
        raise RolloutRefused("Try it on 1 to 99 percent of the chats, or in the shadow.")
    if not 1 <= most <= MOST:
        raise RolloutRefused(f"Let it end after 1 to {MOST:,} answers.")
    configuration = RouterConfiguration.objects.select_for_update().get(pk=version.configuration_id)
    if configuration.current is None or configuration.current_id == version.pk:
        raise RolloutRefused("It is the version in use. Try another one against it.")
    end_all(configuration, why="Another version is tried.")
    rollout = Rollout.objects.create(
        configuration=configuration,
        version=version,
        against=configuration.current,
        mode=Rollout.Mode.SPLIT if percent else Rollout.Mode.SHADOW,
        percent=percent,
        most=most,
        author=author,
    )
    record(Action.CREATED, about=rollout)
    transaction.on_commit(catalog.forget)
    return rollout


@transaction.atomic
def end(rollout: Rollout, *, why: str) -> bool:
    """False where it had ended already."""
    if not Rollout.objects.filter(pk=rollout.pk, ended=None).update(ended=timezone.now(), why_ended=why[:300]):
        return False
    record(Action.CHANGED, about=rollout, words=f"Ended: {why}")
    transaction.on_commit(catalog.forget)
    return True


def end_all(configuration: RouterConfiguration, *, why: str) -> None:
    for rollout in Rollout.objects.filter(configuration=configuration, ended=None):
        end(rollout, why=why)


def watch() -> None:
    """End each trial that fails more for sure, or has been counted enough. Safe in several processes."""
    for rollout in Rollout.objects.filter(ended=None).select_related("version"):
        found = report(rollout)
        if found.fails_more:
            end(rollout, why="It fails more often than the version in use, for sure.")
        elif found.counted >= rollout.most:
            end(rollout, why=f"{found.counted:,} answers were counted, as many as it was to have.")
