"""A measurement begins: its files are taken, its lanes checked, its row queued. A page and a command call the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.utils import timezone

from workspace.accounts.models import Person, Role
from workspace.accounts.rights import may_chat
from workspace.measurement import access, corpus, importing, tasks
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
LABELLED = 40  # characters of a lane's own instruction that name it
PINS = ("version", "provider_version", "template")  # what a lane keeps from its first answer on


def begin(
    person: Person,
    suite: Suite,
    models: Sequence[str],
    *,
    variants: Sequence[Mapping[str, Any]] = (),
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
    goes_on: bool = False,
    queued: bool = True,
) -> Measurement:
    """``variants`` are lanes of their own: a ``model`` with ``parameters`` or a ``system`` prompt that it is asked with
    instead. ``closed_book`` asks every answerable question without passages, too; ``pairwise`` lets the judge say which
    of two models' answers is better. ``goes_on`` takes up an earlier one like it that is not done. Raises NotTaken."""
    lanes = _lanes(models, variants, closed_book=closed_book and grounded)
    open_lanes = [lane for lane in lanes if not lane.get("closed")]
    if not 1 <= len(open_lanes) <= MOST_LANES:
        raise NotTaken(f"Choose 1 to {MOST_LANES} models.")
    names = [lane["model"] for lane in open_lanes]
    _check_models(person, [*names, *([judge] if judge else [])], priced=budget is not None)
    for value, least, most, what in (
        (repeats, 1, MOST_REPEATS, "An item can be asked {} to {} times."),
        (warmups, LEAST_WARMUPS, 100, "Warm-ups are {} to {} answers."),
        (completions, 0, MOST_COMPLETIONS, "Timed completions are {} to {}."),
        (per_minute or 1, 1, MOST_RATE, "A model can be asked {} to {} times a minute."),
    ):
        if not least <= value <= most:
            raise NotTaken(what.format(least, most))
    if pairwise and not (judge and len(open_lanes) > 1):
        raise NotTaken("Which of two answers is better is said by a judge, of two models or more. Choose them.")
    if cache not in Measurement.Cache.values:
        raise NotTaken(f"The prefix cache is one of: {', '.join(Measurement.Cache.values)}.")
    asked = {
        "suite": suite, "owner": person, "grounded": grounded, "repeats": repeats, "warmups": warmups,
        "completions": completions, "cache": cache, "per_minute": per_minute, "judge": judge, "pairwise": pairwise,
        "seed": seed, "schedule": schedule,
    }  # fmt: skip
    with transaction.atomic():
        measurement = _unfinished(asked, lanes) if goes_on else None
        if measurement is None:
            measurement = Measurement.objects.create(**asked, lanes=lanes, budget=budget)
        else:
            resumed = Measurement.objects.filter(pk=measurement.pk)
            resumed.exclude(state=Measurement.State.RUNNING).update(state=Measurement.State.QUEUED, why="")
            resumed.update(budget=budget)
        if queued:
            transaction.on_commit(partial(tasks.queue, measurement.pk))
    return measurement


def _unfinished(asked: Mapping[str, Any], lanes: Sequence[Mapping[str, Any]]) -> Measurement | None:
    """The newest like it. What a lane has been pinned to since is no difference."""
    found = Measurement.objects.filter(**asked).exclude(state=Measurement.State.DONE)
    return next((one for one in found if [_bare(lane) for lane in one.lanes] == [_bare(lane) for lane in lanes]), None)


def _bare(lane: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in lane.items() if name not in PINS}


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
    elif not access.suites_of(schedule.owner).filter(pk=schedule.suite_id).exists():
        why = f"The suite is no longer shared with {schedule.owner}."
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


def _lanes(names: Sequence[str], variants: Sequence[Mapping[str, Any]], *, closed_book: bool) -> list[dict[str, Any]]:
    """A model asked without passages has a lane of its own, after the others."""
    lanes = [{"label": name, "model": name} for name in dict.fromkeys(names)]
    lanes += [{"label": _label(one), **one} for one in variants]
    _tell_apart(lanes)
    twins = [
        {**lane, "label": f"{lane['label']}, closed book", "closed": True, "of": at} for at, lane in enumerate(lanes)
    ]
    return lanes + (twins if closed_book else [])


def _label(variant: Mapping[str, Any]) -> str:
    """Its model and what is other: ``careful, temperature 0.2, “Answer in one word.”``."""
    words = [f"{name.replace('_', ' ')} {value:g}" for name, value in sorted(variant.get("parameters", {}).items())]
    if system := variant.get("system", ""):
        words.append(f"“{' '.join(system.split())[:LABELLED]}”")
    return ", ".join([variant["model"], *words])


def _tell_apart(lanes: Sequence[dict[str, Any]]) -> None:
    """Two of one name are numbered."""
    seen: Counter[str] = Counter()
    for lane in lanes:
        label = lane["label"]
        seen[label] += 1
        if seen[label] > 1:
            lane["label"] = f"{label} ({seen[label]})"


def _check_models(person: Person, names: Sequence[str], *, priced: bool) -> None:
    """A budget bounds nothing where a price is not known."""
    groups = set(person.groups.values_list("name", flat=True))
    known = catalog.load_sync().candidates
    usable = sorted(name for name, one in known.items() if one.enabled and may_use(one, groups))
    if unknown := [name for name in names if name not in usable]:
        raise NotTaken(f"There is no model “{unknown[0]}”. There are: {', '.join(usable) or 'none'}.")
    if free := [name for name in names if priced and None in (known[name].price_input, known[name].price_output)]:
        raise NotTaken(f"The price of “{free[0]}” is not known, so no budget can bound it. Enter its price.")


def from_files(
    *, suite: str, corpus_file: str, models: Sequence[str], person: str, queued: bool = True, **options: Any
) -> Measurement:
    """As a command asks: files of this machine, and a person by name. One that measures by itself goes on where an
    earlier one ended. Raises NotTaken."""
    wanted = Person.objects.filter(username=person) if person else Person.objects.filter(role=Role.OWNER)
    owner = wanted.first()
    if owner is None:
        raise NotTaken(f"There is no person named {person or 'owner'}. Start the server once: make run.")
    collection = corpus.add(owner, Path(corpus_file).stem, _read(corpus_file)) if corpus_file else None
    taken = importing.add(owner, Path(suite).name, _read(suite), collection=collection)
    return begin(owner, taken, models, queued=queued, goes_on=not queued, **options)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotTaken(f"{path} can't be read: {error.strerror}.") from None
