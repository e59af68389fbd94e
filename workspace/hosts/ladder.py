"""The ladder of loading: which precision, device and size are tried in turn, and what each would take.

It decides nothing: ``tenants`` climbs it, and whoever asks beforehand is shown the same rungs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workspace.hosts.ledger import Ledger, Place
from workspace.hosts.sizes import Size
from workspace.hosts.weights import Facts

FEWEST = 2048  # tokens of one answer that there is room for at the least
CPU = ("float32", "bfloat16", "int8")  # float32 is the quickest there
GPU = ("bfloat16", "int8")  # what the makers stored


@dataclass(frozen=True, slots=True)
class Rung:
    """One step of the ladder of loading: a precision on the best of some devices, with the first of ``sizes`` that has
    room there."""

    precision: str
    devices: list[str]
    sizes: tuple[Size, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What loading takes by one rung, in bytes, beside the device's budget and what may be had of it once others have
    gone; ``turns`` are the models that have to go first."""

    device: str
    precision: str
    context: int
    answers: int
    weights: int
    cache: int
    working: int
    budget: int
    room: int
    turns: tuple[str, ...]
    fits: bool


def rungs(devices: Iterable[str], about: Facts, asked: Size | None, *, on_cpu: Sequence[str] = CPU) -> list[Rung]:
    """``on_cpu`` are the precisions to try there."""
    gpus = [name for name in devices if name != "cpu"]
    where = [*((precision, gpus) for precision in GPU if gpus), *((precision, ["cpu"]) for precision in on_cpu)]
    return [Rung(precision, each, _sizes(about, asked, precision)) for precision, each in where]


def estimates(ledger: Ledger, about: Facts, ladder: Iterable[Rung]) -> list[Estimate]:
    """Rung by rung, until one has room: what was asked for, then what has room in its stead."""
    found: list[Estimate] = []
    for rung in ladder:
        size, place = placed(ledger, about, rung)
        if place is None or size != rung.sizes[0]:
            found.append(_estimate(ledger, about, rung, rung.sizes[0], None))
        if place:
            return [*found, _estimate(ledger, about, rung, size, place)]
    return found


def _estimate(ledger: Ledger, about: Facts, rung: Rung, size: Size, place: Place | None) -> Estimate:
    device = place.device if place else max(rung.devices, key=ledger.most)
    return Estimate(
        device=device,
        precision=rung.precision,
        context=size.context,
        answers=size.answers,
        weights=about.weights(rung.precision),
        cache=about.cache(rung.precision, size),
        working=about.working(rung.precision, size, device),
        budget=ledger.budgets[device],
        room=ledger.most(device),
        turns=tuple(held.plain for held in place.going) if place else (),
        fits=place is not None,
    )


def placed(ledger: Ledger, about: Facts, rung: Rung) -> tuple[Size, Place | None]:
    """The first size that has room, and where; else what was asked for, and ``None``."""
    for size in rung.sizes:
        if place := ledger.place(rung.devices, about.needs(rung.precision, size, rung.devices[0])):
            return size, place
    return rung.sizes[0], None


def _sizes(about: Facts, asked: Size | None, precision: str) -> tuple[Size, ...]:
    """What room is made for: what was asked for, else half as many answers and so on; in the lowest precision, before
    none, one answer of the least length."""
    least = fewest(about)
    if asked is None:
        return (least,)
    size = Size(min(asked.context, about.window), 1 if about.shape.alone else asked.answers)
    found = [size]
    while found[-1].answers > 1:
        found.append(found[-1].smaller())
    if precision == GPU[-1] and size.context > least.context:
        found.append(least)
    return tuple(found)


def fewest(about: Facts) -> Size:
    return Size(min(about.window, FEWEST), 1)
