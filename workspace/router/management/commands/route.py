"""``manage.py route``: which model a prompt would go to, and why; with ``--replay``, which requests that were another
configuration would move. It calls no model and stores nothing."""

from __future__ import annotations

from argparse import ArgumentParser
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from workspace.router import catalog as catalogs
from workspace.router import decisions, history
from workspace.router.catalog import Catalog
from workspace.router.configuration import Configuration, ConfigurationError, parse
from workspace.router.decide import NoModel, decide
from workspace.router.facts import facts_of
from workspace.router.models import RouterVersion
from workspace.router.replay import PER, Change, Report, replay
from workspace.types import Decision, Part, PromptMessage, Request, text_part

REFUSED = 2  # exit status when the file is refused
MARKS = {True: "true", False: "false", None: "unknown"}


class Command(BaseCommand):
    help = "Show which model the router would choose for a prompt, and why. No model is called."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--prompt", help="The question.")
        parser.add_argument("--replay", action="store_true", help="Decide the newest kept decisions anew.")
        parser.add_argument("--last", type=int, default=decisions.LAST, help="How many of them.")
        parser.add_argument(
            "--config", type=Path, metavar="FILE", help="A model_router.json in place of the active one."
        )
        parser.add_argument("--number", type=int, help="A stored version of it, by its number.")
        parser.add_argument("--model", default="", help="The model a person would choose.")
        parser.add_argument("--image", action="store_true", help="The question carries an image.")
        parser.add_argument("--reasoning", action="store_true", help="The person asks for reasoning.")
        parser.add_argument("--user", default=None, help="Who asks, for rules about people.")
        parser.add_argument("--json", action="store_true", help="Print the whole decision as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        catalog = self._catalog(options["config"], options["number"])
        if options["replay"]:
            self._replay(catalog, options["last"], as_json=options["json"])
            return
        if options["prompt"] is None:
            raise CommandError("Give a question with --prompt, or --replay to decide kept decisions anew.")
        request = _request(options)
        try:
            decision = decide(request, catalog, facts=facts_of(request, user=options["user"]))
        except NoModel as refused:
            raise CommandError(f"{refused.failure.cause} {refused.failure.action}") from None
        if options["json"]:
            self.stdout.write(orjson.dumps(asdict(decision), option=orjson.OPT_INDENT_2).decode())
        else:
            self._tell(decision)

    def _replay(self, catalog: Catalog, last: int, *, as_json: bool) -> None:
        report = replay(catalog.configuration, decisions.records(max(last, 0)), catalog=catalog, past=history.read())
        if as_json:
            self.stdout.write(orjson.dumps(asdict(report), option=orjson.OPT_INDENT_2).decode())
        else:
            self.stdout.write("\n".join(_lines(report)))

    def _catalog(self, path: Path | None, number: int | None) -> Catalog:
        try:
            catalog = catalogs.load_sync()
        except DatabaseError:
            raise CommandError(
                "The database has no tables yet. Run “manage.py migrate” or start the server once."
            ) from None
        if path is None and number is not None:
            return replace(catalog, configuration=_stored(number), router_version_id=None)
        if path is None:
            return catalog
        try:
            configuration = parse(path.read_text(encoding="utf-8"), models=set(catalog.candidates))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{path} can't be read: {error}", returncode=REFUSED) from None
        except ConfigurationError as error:
            said = "\n".join(f"{path}:{p.line}:{p.column}: {p.message}" for p in error.problems)
            raise CommandError(said, returncode=REFUSED) from None
        return replace(catalog, configuration=configuration, router_version_id=None)

    def _tell(self, decision: Decision) -> None:
        self.stdout.write(f"{decision.model} · {decision.reason}")
        for step in decision.trace:
            note = f" ({step.note})" if step.note else ""
            self.stdout.write(f"  {step.route}: {step.condition} → {MARKS[step.value]}{note}")
        for drop in decision.dropped:
            self.stdout.write(f"  left out: {drop.reason}")
        if decision.fallbacks:
            self.stdout.write(f"  then: {', '.join(decision.fallbacks)}")


def _request(options: dict[str, Any]) -> Request:
    image = (Part(kind="image", media_type="image/png"),) if options["image"] else ()
    return Request(
        messages=(PromptMessage(role="person", parts=(text_part(options["prompt"]), *image)),),
        model=options["model"],
        requires_reasoning=options["reasoning"],
    )


def _stored(number: int) -> Configuration:
    version = RouterVersion.objects.filter(configuration__name=catalogs.ACTIVE, number=number).first()
    if version is None:
        raise CommandError(f"There is no version {number} of the router's file. The admin lists them.")
    try:
        return parse(version.source, models=None)
    except ConfigurationError as error:
        raise CommandError(f"Version {number} no longer reads: {error}", returncode=REFUSED) from None


def _lines(report: Report) -> list[str]:
    share = report.share_moved
    return [
        f"{report.decisions:,} decisions: {report.moved:,} would go to another model "
        f"({share.value:.1%}; 95 %: {share.low:.1%} to {share.high:.1%}), {report.stayed:,} stay, "
        f"{report.chosen:,} were chosen by people",
        *(
            f"  {move.count:6,}  {move.from_model} ({move.from_route or 'fallback'}) → "
            f"{move.to_model} ({move.to_route or 'fallback'})"
            for move in report.moves
        ),
        *(f"  {count:6,}  would be refused: {why}" for why, count in report.refused.items()),
        *(f"  {count:6,}  can't be told: {why}" for why, count in report.untold.items()),
        f"Cost of {PER:,} requests: {_change(report.cost, 'US dollars')}",
        f"Median first token: {_change(report.first_token, 'ms')}",
    ]


def _change(change: Change, unit: str) -> str:
    unknown = f"; of {change.unknown:,} it is not known" if change.unknown else ""
    if change.interval is None:
        return f"can't be told{unknown}"
    interval = change.interval
    return f"{interval.value:+.2f} {unit} (95 %: {interval.low:+.2f} to {interval.high:+.2f}){unknown}"
