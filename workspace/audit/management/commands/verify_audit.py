"""``manage.py verify_audit``: is the audit log still what was written?"""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from workspace.audit import chain


class Command(BaseCommand):
    help = "Checks every entry of the audit log against the chain of digests. Ends with 1 when one does not fit."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--expect",
            metavar="NUMBER:DIGEST",
            help="an entry as an earlier check told it: shows a log that was rewritten whole, or cut off at its end",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        verdict = chain.verify(expect=_noted(options["expect"]))
        if options["json"]:
            self.stdout.write(json.dumps(asdict(verdict)))
        elif verdict.wrong:
            self.stdout.write(f"{verdict.wrong} The {verdict.entries} before it fit.")
        else:
            noted = f" Note {verdict.entries}:{verdict.digest} outside this machine." if verdict.entries else ""
            self.stdout.write(f"All {verdict.entries} entries fit.{noted}")
        if verdict.wrong:
            sys.exit(1)


def _noted(text: str | None) -> tuple[int, str] | None:
    if not text:
        return None
    found = re.fullmatch(r"([1-9]\d{0,17}):([0-9a-f]{64})", text.strip().lower())
    if not found:
        raise CommandError("Write --expect as an earlier check told it: a number, a colon and 64 hex digits.")
    return int(found[1]), found[2]
