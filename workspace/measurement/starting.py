"""A measurement begins: its files are taken, its lanes checked, its row queued. A page and a command call the same."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from workspace.accounts.models import Person, Role
from workspace.accounts.rights import may_chat
from workspace.measurement import corpus, importing, tasks
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Measurement, Schedule, Suite
from workspace.router import catalog
from workspace.router.decide import may_use

MOST_LANES = 8
MOST_REPEATS = 20
MOST_COMPLETIONS = 500
LEAST_WARMUPS = 3  # what a first call pays for loading and connecting, no later one does
MOST_RATE = 10_000  # answers a minute
MOST_HOURS = 24 * 90


def begin(
    person: Person,
    suite: Suite,
    models: Sequence[str],
    *,
    grounded: bool = True,
    closed_book: bool = False,
    repeats: int = 1,
    warmups: int = LEAST_WARMUPS,
    completions: int = 0,
    cache: str = Measurement.Cache.TEMPLATE,
    per_minute: int | None = None,
    judge: str = "",
    pairwise: bool = False,
    budget: Decimal | None = None,
    seed: int = 0,
    schedule: Schedule | None = None,
    queued: bool = True,
) -> Measurement:
    """``closed_book`` asks every answerable question without passages, too; ``pairwise`` lets the judge say which of
    two models' answers is better. Raises NotTaken."""
    names = list(dict.fromkeys(models))
    if not 1 <= len(names) <= MOST_LANES:
        raise NotTaken(f"Choose 1 to {MOST_LANES} models.")
    _check_models(person, [*names, *([judge] if judge else [])])
    for value, least, most, what in (
        (repeats, 1, MOST_REPEATS, "An item can be asked {} to {} times."),
        (warmups, LEAST_WARMUPS, 100, "Warm-ups are {} to {} answers."),
        (completions, 0, MOST_COMPLETIONS, "Timed completions are {} to {}."),
        (per_minute or 1, 1, MOST_RATE, "A model can be asked {} to {} times a minute."),
    ):
        if not least <= value <= most:
            raise NotTaken(what.format(least, most))
    if pairwise and not (judge and len(names) > 1):
        raise NotTaken("Which of two answers is better is said by a judge, of two models or more. Choose them.")
    if cache not in Measurement.Cache.values:
        raise NotTaken(f"The prefix cache is one of: {', '.join(Measurement.Cache.values)}.")
    with transaction.atomic():
        measurement = Measurement.objects.create(
            suite=suite,
            owner=person,
            lanes=_lanes(names, closed_book=closed_book and grounded),
            grounded=grounded,
            repeats=repeats,
            warmups=warmups,
            completions=completions,
            cache=cache,
            per_minute=per_minute,
            judge=judge,
            pairwise=pairwise,
            budget=budget,
            seed=seed,
            schedule=schedule,
        )
        if queued:
            transaction.on_commit(partial(tasks.queue, measurement.pk))
    return measurement


def repeat(person: Person, suite: Suite, models: Sequence[str], *, hours: int, **options: Any) -> Schedule:
    """Begin it now, and again every so many hours. Raises NotTaken."""
    if not 1 <= hours <= MOST_HOURS:
        raise NotTaken(f"It can be measured again every 1 to {MOST_HOURS:,} hours.")
    budget = options.get("budget")
    with transaction.atomic():
        schedule = Schedule.objects.create(
            owner=person, suite=suite, lanes=list(models), hours=hours, due=timezone.now() + timedelta(hours=hours),
            options={**options, "budget": None if budget is None else str(budget)},
        )  # fmt: skip
        begin(person, suite, models, schedule=schedule, **options)
    return schedule


def begin_due() -> int:
    """Begin what schedules ask for now; several processes may look, one begins. How many were begun."""
    begun = 0
    now = timezone.now()
    for schedule in Schedule.objects.filter(due__lte=now).select_related("owner", "suite"):
        due = now + timedelta(hours=schedule.hours)
        if Schedule.objects.filter(pk=schedule.pk, due=schedule.due).update(due=due):
            begun += _begin_one(schedule)
    return begun


def _begin_one(schedule: Schedule) -> int:
    """Not beside one that is still going; what can't be begun any more says why."""
    if schedule.measurements.exclude(state=Measurement.State.DONE).exists():
        why = "The last one is not done, so none was begun. Go on with it, or end the schedule."
    elif not (schedule.owner.is_active and may_chat(schedule.owner)):
        why = f"{schedule.owner} may no longer measure."
    else:
        budget = schedule.options.get("budget")
        options = {**schedule.options, "budget": Decimal(budget) if budget else None}
        try:
            begin(schedule.owner, schedule.suite, schedule.lanes, schedule=schedule, **options)
            why = ""
        except NotTaken as refused:
            why = str(refused)
    Schedule.objects.filter(pk=schedule.pk).update(why=why[:300])
    return int(not why)


def _lanes(names: Sequence[str], *, closed_book: bool) -> list[dict[str, Any]]:
    """A model asked without passages has a lane of its own, after the others."""
    lanes: list[dict[str, Any]] = [{"label": name, "model": name} for name in names]
    if closed_book:
        lanes += [
            {"label": f"{name}, closed book", "model": name, "closed": True, "of": at} for at, name in enumerate(names)
        ]
    return lanes


def _check_models(person: Person, names: Sequence[str]) -> None:
    groups = set(person.groups.values_list("name", flat=True))
    known = catalog.load_sync().candidates
    usable = sorted(name for name, one in known.items() if one.enabled and may_use(one, groups))
    if unknown := [name for name in names if name not in usable]:
        raise NotTaken(f"There is no model “{unknown[0]}”. There are: {', '.join(usable) or 'none'}.")


def from_files(
    *, suite: str, corpus_file: str, models: Sequence[str], person: str, queued: bool = True, **options: Any
) -> Measurement:
    """As a command asks: files of this machine, and a person by name. Raises NotTaken."""
    wanted = Person.objects.filter(username=person) if person else Person.objects.filter(role=Role.OWNER)
    owner = wanted.first()
    if owner is None:
        raise NotTaken(f"There is no person named {person or 'owner'}. Start the server once: make run.")
    collection = corpus.add(owner, Path(corpus_file).stem, _read(corpus_file)) if corpus_file else None
    taken = importing.add(owner, Path(suite).name, _read(suite), collection=collection)
    return begin(owner, taken, models, queued=queued, **options)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotTaken(f"{path} can't be read: {error.strerror}.") from None
