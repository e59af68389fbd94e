"""``manage.py checklist SUITE.jsonl``: questions with gold answers, put to several models, and what can be told."""

from __future__ import annotations

import asyncio
import json
import time
from argparse import ArgumentParser
from collections.abc import Callable, Coroutine
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import control, ownership
from workspace.prepare import prepare

if TYPE_CHECKING:
    from workspace.measurement.models import Measurement

HALTED = ("done", "paused")
LOOK = 0.5  # seconds between two looks at a measurement of the server's


class Command(BaseCommand):
    help = "Measure models on a checklist. The running server does; when none runs, this command, searching by words."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("suite", type=Path, help="JSON Lines or CSV: question, answers, and perhaps evidence.")
        parser.add_argument("--corpus", type=Path, help="JSON Lines of id, title and text: what is searched.")
        parser.add_argument("--models", required=True, help="Names of models, with commas between them.")
        parser.add_argument("--closed-book", action="store_true", help="Give the models no passages.")
        parser.add_argument("--also-closed-book", action="store_true", help="Ask without passages, too.")
        parser.add_argument("--repeats", type=int, default=1, help="Ask each item so many times.")
        parser.add_argument("--warmups", type=int, default=3, help="Answers of each model that are thrown away, first.")
        parser.add_argument("--completions", type=int, default=0, help="Timed completions of 256 tokens, a model.")
        parser.add_argument("--cache", default="template", help="Prefix caches: template, warm or cold.")
        parser.add_argument("--per-minute", type=int, help="Answers a minute of one model, at most.")
        parser.add_argument("--judge", default="", help="A model that judges, too: up to four calls an answer.")
        parser.add_argument("--pairwise", action="store_true", help="Let the judge say which of two is better, too.")
        parser.add_argument("--budget", type=Decimal, help="US dollars, at most; it pauses there.")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--person", default="", help="Who asks, by name; the owner by default.")
        parser.add_argument("--json", action="store_true", help="Print the whole report as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        fields = {
            "suite": str(options["suite"].resolve()),
            "corpus_file": str(options["corpus"].resolve()) if options["corpus"] else "",
            "models": [name.strip() for name in options["models"].split(",") if name.strip()],
            "person": options["person"],
            "grounded": not options["closed_book"],
            "closed_book": options["also_closed_book"],
            **{
                name: options[name]
                for name in ("repeats", "warmups", "completions", "cache", "per_minute", "judge", "pairwise")
            },
            "budget": str(options["budget"]) if options["budget"] is not None else None,
            "seed": options["seed"],
        }
        answer = control.call("checklist", **fields)
        if answer is None:
            answer = self._measure_here(fields)
        if "error" in answer:
            raise CommandError(answer["error"])
        self._wait(answer["measurement"])
        self._print(answer["measurement"], as_json=options["json"])

    def _measure_here(self, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            ownership.take(settings.DATA_DIR, about="manage.py checklist")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(
                f"{settings.DATA_DIR} is in use ({elsewhere.owner}), and that does not answer yet. Try again."
            ) from None
        prepare(lambda step: self.stderr.write(f"… {step}"))
        from workspace.measurement import measuring, taking

        if not settings.REDIS_URL:
            taking.forsake()  # an earlier one that was killed
        answer = control.begin_checklist(fields, queued=False)
        if "measurement" in answer:
            settings.LOCAL_MODELS = False  # no model host runs beside this command
            asyncio.run(self._go_on(answer["measurement"], measuring.measure))
        return answer

    async def _go_on(self, id: str, measure: Callable[[UUID], Coroutine[Any, Any, None]]) -> None:
        """Again and again: with Redis, a process that was killed is not known to be dead at once."""
        tell = database_sync_to_async(self._tell)
        while (await tell(id)).state not in HALTED:
            going = asyncio.create_task(measure(UUID(id)))
            while not going.done():
                await asyncio.wait({going}, timeout=LOOK)
                await tell(id)
            await going
            await asyncio.sleep(LOOK)

    def _wait(self, id: str) -> None:
        """Until it is done or paused, telling how far it is."""
        while (measurement := self._tell(id)).state not in HALTED:
            time.sleep(LOOK)
        self.stderr.write(f"\n{measurement.why}" if measurement.why else "")

    def _tell(self, id: str) -> Measurement:
        from workspace.measurement.models import Measurement
        from workspace.measurement.progress import progress

        measurement = Measurement.objects.get(pk=id)
        told = ", ".join(f"{one.done} of {one.of} {one.part}" for one in progress(measurement))
        self.stderr.write(f"\r{told}", ending="")
        return measurement

    def _print(self, id: str, *, as_json: bool) -> None:
        from workspace.measurement import exports
        from workspace.measurement.models import Measurement
        from workspace.measurement.report import report

        measurement = Measurement.objects.select_related("suite").get(pk=id)
        if as_json:
            self.stdout.write(json.dumps(exports.whole(measurement), indent=2, ensure_ascii=False))
            return
        found = report(measurement)
        self.stdout.write(f"{found.headline}\n")
        self.stdout.write(f"{found.answerable} questions with an answer, {found.unanswerable} without.\n")
        for lane in found.lanes:
            self.stdout.write(
                f"{lane.label:24} correct {_share(lane.correct)}  hallucinated {_share(lane.hallucinated)}  "
                f"attempted {_share(lane.attempted)}  first token {_seconds(lane.first_token)}"
                + (f"  closed book {_share(lane.closed_book)}" if lane.closed_book else "")
                + (f"  256 tokens {_seconds(lane.completed.whole)}" if lane.completed else "")
                + (f"  unscored {lane.unscored}" if lane.unscored else "")
            )
        for pair in found.pairs:
            difference = pair.pair.difference
            said = "differ" if pair.told else f"cannot be told apart at n = {pair.pair.n}"
            more = f"; about {pair.pair.needed:,} items would tell" if not pair.told and pair.pair.needed else ""
            self.stdout.write(
                f"{pair.first} and {pair.second} {said}: {difference.value:+.1%} "
                f"({difference.low:+.1%} to {difference.high:+.1%}), p = {pair.p:.3f}{more}."
            )
        if found.preferences:
            self._print_preferences(found.preferences)

    def _print_preferences(self, told: Any) -> None:
        for one in told.pairs:
            said = "differ" if one.told else f"cannot be told apart at n = {one.pair.n}"
            difference = one.pair.difference
            self.stdout.write(
                f"To {told.judge}, {one.first} and {one.second} {said}: {one.pair.only_first} wins to "
                f"{one.pair.only_second}, {one.ties} ties, {difference.value:+.1%} ({difference.low:+.1%} to "
                f"{difference.high:+.1%}), p = {one.p:.3f}; by length alone {one.by_length.difference.value:+.1%}; "
                f"order flips {_share(one.flips)}" + (f"; {one.unscored} unscored" if one.unscored else "")
            )


def _share(interval: Any) -> str:
    return f"{interval.value:4.0%} ({interval.low:.0%} to {interval.high:.0%})" if interval else "none"


def _seconds(interval: Any) -> str:
    return f"{interval.value:.3f} s" if interval else "too few to say"
