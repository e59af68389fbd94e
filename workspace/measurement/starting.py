"""A measurement begins: its files are taken, its lanes checked, its row queued. A page and a command call the same."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction

from workspace.accounts.models import Person, Role
from workspace.measurement import corpus, importing, tasks
from workspace.measurement.importing import NotTaken
from workspace.measurement.models import Measurement, Suite
from workspace.router import catalog
from workspace.router.decide import may_use

MOST_LANES = 8
MOST_REPEATS = 20


def begin(
    person: Person,
    suite: Suite,
    models: Sequence[str],
    *,
    grounded: bool = True,
    repeats: int = 1,
    warmups: int = 3,
    budget: Decimal | None = None,
    seed: int = 0,
    queued: bool = True,
) -> Measurement:
    """Raises NotTaken."""
    known = catalog.load_sync().candidates
    groups = set(person.groups.values_list("name", flat=True))
    names = list(dict.fromkeys(models))
    if not 1 <= len(names) <= MOST_LANES:
        raise NotTaken(f"Choose 1 to {MOST_LANES} models.")
    usable = sorted(name for name, one in known.items() if one.enabled and may_use(one, groups))
    if unknown := [name for name in names if name not in usable]:
        raise NotTaken(f"There is no model “{unknown[0]}”. There are: {', '.join(usable) or 'none'}.")
    if not 1 <= repeats <= MOST_REPEATS:
        raise NotTaken(f"An item can be asked 1 to {MOST_REPEATS} times.")
    with transaction.atomic():
        measurement = Measurement.objects.create(
            suite=suite,
            owner=person,
            lanes=[{"label": name, "model": name} for name in names],
            grounded=grounded,
            repeats=repeats,
            warmups=warmups,
            budget=budget,
            seed=seed,
        )
        if queued:
            transaction.on_commit(partial(tasks.queue, measurement.pk))
    return measurement


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
