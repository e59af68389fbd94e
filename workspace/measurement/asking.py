"""One answer of a measurement: the request, the run, and what is kept of it in the transaction that settles it.

It knows the router and the rows, and nothing of order, budget or pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from uuid import UUID

from django.db.models import F

from retrieval import support
from workspace.ids import new_id
from workspace.measurement import abstaining, metrics, taking
from workspace.measurement.metrics import Cell
from workspace.measurement.models import Completion, Gathered, Item, Measurement, Outcome
from workspace.router import catalog, run_rows
from workspace.router.grounding import look_up
from workspace.router.prompts import DEFAULT_SYSTEM, EVIDENCE_PLACE
from workspace.router.run_rows import Outcome as Settled
from workspace.router.runs import Numbered, registry
from workspace.router.states import RunState
from workspace.types import Evidence, Grounding, Manifest, PromptMessage, Request, canonical, plain, sha256, text_part
from workspace.writes import writer

LONG = 256  # tokens of a timed completion
PAUSES = (2.0, 15.0, 60.0)  # seconds that a provider which limits its rate is left alone, unless it asks for more
LONGEST_PAUSE = 120.0
LIMITED = {"rate_limited", "overloaded"}
MayAsk = Callable[[str], Awaitable[bool]]  # whether a model is asked now; waits for its turn
THEMES = (
    "the history of bridges", "how bread is made", "life in a tidal pool", "the building of a wooden boat",
    "a walk through a northern forest", "how clocks came to keep time", "the work of a lighthouse keeper",
    "how rivers shape a valley", "the craft of bookbinding", "a year on a mountain farm",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unit:
    """One answer that is still to be had."""

    item: Item
    lane: int
    repeat: int


class Listener:
    """Hears how a run ends, and keeps it where it counts; what any other cost is spent all the same. While it is
    ``patient``, one that the provider refused for its rate is not kept: it is asked again."""

    hands_over = False

    def __init__(self, measurement: Measurement, keep: Callable[[Settled], Any] | None, *, patient: bool) -> None:
        self._id, self._keep, self._patient = measurement.pk, keep, patient
        self.state = RunState.INTERRUPTED
        self.waits: float | None = None

    def settle(self, outcome: Settled) -> None:
        if not taking.release(self._id, outcome.run_id):
            return  # somebody deleted it meanwhile
        if self._patient and outcome.failure and outcome.failure.code in LIMITED:
            self.waits = outcome.failure.retry_after or 0.0
        elif self._keep and outcome.state in (RunState.DONE, RunState.FAILED):
            self._keep(outcome)
            return
        if outcome.manifest.cost:
            Measurement.objects.filter(pk=self._id).update(aside=F("aside") + outcome.manifest.cost)

    async def handed_over(self) -> None: ...

    async def heard(self, numbered: Numbered) -> None: ...

    async def settled(self, outcome: Settled) -> None:
        self.state = outcome.state

    async def committed(self, seq: int) -> None: ...


async def run(
    measurement: Measurement, request: Request, keep: Callable[[Settled], Any] | None, may_ask: MayAsk
) -> RunState:
    """Ask when it may be asked, and keep how it ended; interrupted when it may not. Who is limited is waited for, a few
    times."""
    for pause in (*PAUSES, None):
        if not await may_ask(request.model):
            return RunState.INTERRUPTED
        run_id = new_id()
        if not await writer.submit(partial(_open, measurement, run_id)):
            return RunState.INTERRUPTED
        listener = Listener(measurement, keep, patient=pause is not None)
        going = await registry().start(run_id, request, listener)
        await asyncio.shield(going.task)
        if listener.waits is None or pause is None:
            return listener.state
        await asyncio.sleep(min(LONGEST_PAUSE, max(pause, listener.waits)))
    raise AssertionError("the last try is not patient")


def _open(measurement: Measurement, run_id: UUID) -> bool:
    """In one transaction: it may have been paused, and taken by another, since it was looked at."""
    if not taking.claim(measurement.pk, run_id):
        return False
    run_rows.open_row(pk=run_id, person_id=measurement.owner_id)
    return True


async def warm_up(measurement: Measurement, lane: int, number: int, may_ask: MayAsk) -> RunState:
    """An answer that counts for nothing, to a question and a passage that no item shares: it loads a model and fills
    the cache of what every prompt begins with, and of nothing else."""
    theme = THEMES[number % len(THEMES)]
    text = f"Much has been written about {theme}."
    passage = Evidence(number=1, chunk_id="", document_id="", title="", text=text, digest=sha256(text), score=1.0)
    asked = f"What has been written about {theme}? Answer in one sentence. (Warm-up {number + 1}.)"
    given = () if measurement.lanes[lane].get("closed") else (passage,)
    request = await _request(
        measurement, lane, (PromptMessage(role="person", parts=(text_part(asked),)),), seed=measurement.seed,
        evidence=given if measurement.grounded else None,
    )  # fmt: skip
    return await run(measurement, request, None, may_ask)


async def answer(measurement: Measurement, unit: Unit, may_ask: MayAsk) -> RunState:
    """One lane's answer to one item."""
    lane = measurement.lanes[unit.lane]
    evidence = await gather(measurement, unit.item) if measurement.grounded and not lane.get("closed") else ()
    before = tuple(PromptMessage(role=m["role"], parts=(text_part(m["text"]),)) for m in unit.item.before)
    request = await _request(
        measurement, unit.lane, (*before, PromptMessage(role="person", parts=(text_part(unit.item.question),))),
        seed=measurement.seed + unit.repeat, evidence=evidence if measurement.grounded else None,
    )  # fmt: skip

    def keep(outcome: Settled) -> None:
        Outcome.objects.get_or_create(
            measurement=measurement, item=unit.item, lane=unit.lane, repeat=unit.repeat,
            defaults={"run_id": outcome.run_id, **judged(unit.item, outcome, evidence)},
        )  # fmt: skip

    if measurement.cache == Measurement.Cache.WARM:
        await run(measurement, _short(request), None, may_ask)
    return await run(measurement, request, keep, may_ask)


async def complete(
    measurement: Measurement, lane: int, number: int, may_ask: MayAsk, *, counts: bool = True
) -> RunState:
    """A timed completion: 256 tokens of prose, at temperature 0, without passages. No two prompts are the same."""
    theme = THEMES[number % len(THEMES)]
    which = f"Essay {number + 1}" if counts else f"Warm-up {number + 1}"
    asked = f"{which}: write a long essay of at least 1,000 words about {theme}. Begin at once, and do not stop early."
    request = await _request(
        measurement, lane, (PromptMessage(role="person", parts=(text_part(asked),)),),
        seed=measurement.seed, evidence=None, max_tokens=LONG, temperature=0,
    )  # fmt: skip

    def keep(outcome: Settled) -> None:
        Completion.objects.get_or_create(
            measurement=measurement, lane=lane, number=number,
            defaults={
                "run_id": outcome.run_id, "finish_reason": outcome.manifest.finish_reason[:40],
                "failure": plain(outcome.failure) if outcome.failure else None, **spent(outcome.manifest),
            },
        )  # fmt: skip

    if counts and measurement.cache == Measurement.Cache.WARM:
        await run(measurement, _short(request), None, may_ask)
    return await run(measurement, request, keep if counts else None, may_ask)


async def gather(measurement: Measurement, item: Item) -> tuple[Evidence, ...]:
    """The item's passages: its own, or what its suite's collection holds, looked up once."""
    kept = await Gathered.objects.filter(measurement=measurement, item=item).afirst()
    if kept is not None:
        return tuple(Evidence(**one) for one in kept.evidence)
    if item.evidence is not None:
        evidence = tuple(_given(number, one) for number, one in enumerate(item.evidence, start=1))
    elif measurement.suite.collection_id:
        asked = (PromptMessage(role="person", parts=(text_part(item.question),)),)
        grounding = Grounding(collections=(str(measurement.suite.collection_id),))
        evidence = (await look_up(Request(messages=asked, grounding=grounding))).evidence
    else:
        evidence = ()
    rows = [plain(one) for one in evidence]
    digest = sha256(canonical([one.digest for one in evidence]))

    def keep() -> None:
        if Measurement.objects.filter(pk=measurement.pk).exists():  # nobody deleted it meanwhile
            fields = {"evidence": rows, "digest": digest}
            Gathered.objects.get_or_create(measurement=measurement, item=item, defaults=fields)

    await writer.submit(keep)
    return evidence


def judged(item: Item, outcome: Settled, evidence: Sequence[Evidence]) -> dict[str, Any]:
    """What an answer is worth, as its row keeps it. A run that failed is unscored, and said to be so."""
    text, failed = outcome.text, outcome.failure is not None
    gold = item.answers if item.answers is not None else [item.reference] if item.reference else []
    return {
        "text": text,
        "cell": Cell.UNSCORED if failed else metrics.cell(text, item.answers),
        "exact": not failed and metrics.exact(text, gold),
        "f1": 0.0 if failed else metrics.f1(text, gold),
        "found": metrics.contains("\n".join(e.text for e in evidence), item.answers or []),
        "support": None if failed else supported(text, evidence, item.question),
        "failure": plain(outcome.failure) if outcome.failure else None,
        **spent(outcome.manifest),
    }


def supported(text: str, evidence: Sequence[Evidence], question: str) -> dict[str, int] | None:
    """How many sentences stand on the passages, as the check under every answer counts them; ``None`` of an answer
    that claims nothing."""
    if not evidence or abstaining.abstains(text):
        return None
    verdicts = [one.verdict for one in support.sentences(text, support.grounds(evidence, question))]
    return {name: verdicts.count(name) for name in ("supported", "weak", "unsupported")} if verdicts else None


def spent(manifest: Manifest) -> dict[str, Any]:
    """Times from the moment of the call that answered, and what the provider counted."""
    last, usage = (manifest.attempts[-1] if manifest.attempts else None), manifest.usage

    def since(moment: float | None) -> float | None:
        return None if last is None or moment is None else round(moment - last.started, 6)

    return {
        "first_token_s": since(last.first_token if last else None),
        "first_answer_s": since(last.first_answer_token if last else None),
        "last_token_s": since(last.last_token if last else None),
        "total_s": since(last.ended if last else None),
        "tokens_input": usage.input if usage else None,
        "tokens_output": usage.output if usage else None,
        "tokens_cached": usage.cached if usage else None,
        "estimated": bool(usage and usage.estimated),
        "cost": manifest.cost,
    }


async def _request(
    measurement: Measurement, lane: int, messages: tuple[PromptMessage, ...], *, seed: int,
    evidence: tuple[Evidence, ...] | None, **parameters: Any,
) -> Request:  # fmt: skip
    asked = measurement.lanes[lane]
    return Request(
        messages=messages,
        **await asker(measurement),
        model=asked["model"],
        parameters={**(asked.get("parameters") or {}), **parameters},
        system=await _system(measurement, asked),
        seed=seed,
        evidence=evidence,
        quoted=True,
        template=asked.get("template") or None,
        model_version=asked.get("version"),
        provider_version=asked.get("provider_version"),
        alone=True,
    )


async def asker(measurement: Measurement) -> dict[str, Any]:
    """Whose request it is, to whoever asks what they may use."""
    names = measurement.owner.groups.values_list("name", flat=True)
    groups = tuple([name async for name in names])
    return {"person_id": str(measurement.owner_id), "user": measurement.owner.username, "groups": groups}


async def _system(measurement: Measurement, lane: dict[str, Any]) -> str | None:
    """The lane's own system prompt, else the template's. Cold prompts begin with a number that no other has: a provider
    then finds no prefix that it knows. A measurement that began with the built-in template keeps it."""
    own: str | None = lane.get("system") or (DEFAULT_SYSTEM if lane.get("template") == 0 else None)
    if measurement.cache != Measurement.Cache.COLD:
        return own
    if own is None:
        pinned = Request(messages=(), template=lane.get("template"))
        own = (await catalog.pinned(await catalog.load(), pinned)).template.system
    return f"{new_id().hex}\n\n{own.replace(EVIDENCE_PLACE, '').strip()}"


def _short(request: Request) -> Request:
    return replace(request, parameters={**request.parameters, "max_tokens": 1})


def _given(number: int, passage: dict[str, str]) -> Evidence:
    text = passage["text"]
    return Evidence(
        number=number, chunk_id="", document_id="", title=passage["title"] or f"Passage {number}", text=text,
        digest=sha256(text), score=1.0, end=len(text),
    )  # fmt: skip
