"""``manage.py dual_path``: the article's before and after, measured on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace.prepare import prepare

FEWEST, MOST = 4, 400


class Command(BaseCommand):
    help = (
        "Measure how long a person waits: one heavy model for everything, then a fast one for short prompts and the "
        "heavy one in the background. On data of its own, with model servers of known pace on loopback."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--questions", type=int, default=40, help="How many; every fourth asks for a long answer.")
        parser.add_argument("--json", action="store_true", help="Print the figures as JSON.")
        parser.add_argument("--here", action="store_true", help="On this DATA_DIR, which is taken to be a fresh one.")

    def handle(self, *args: Any, **options: Any) -> None:
        count = options["questions"]
        if not FEWEST <= count <= MOST:
            raise CommandError(f"Between {FEWEST} and {MOST} questions can be measured.")
        if not options["here"]:
            self._on_data_of_its_own(count, as_json=options["json"])
            return
        prepare(lambda step: None)
        from workspace.dual_path import measure

        report = asyncio.run(measure(count)).as_dict()
        self.stdout.write(json.dumps(report, indent=2) if options["json"] else _table(report))

    def _on_data_of_its_own(self, count: int, *, as_json: bool) -> None:
        """Settings are read once, so other data means another process."""
        with tempfile.TemporaryDirectory(prefix="onepane-dual-path-") as data:
            command = [sys.executable, "manage.py", "dual_path", "--here", "--questions", str(count)]
            done = subprocess.run(
                command + ["--json"] * as_json,
                cwd=settings.BASE_DIR,
                env={**os.environ, "DATA_DIR": data, "DATABASE_URL": "", "REDIS_URL": "", "DISCOVER": ""},
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if done.returncode:
            raise CommandError("The measurement failed; what it said stands above.")
        self.stdout.write(done.stdout.rstrip())


def _table(report: dict[str, Any]) -> str:
    lines = [f"{report['questions']} questions, {report['long_answers']} of them long", ""]
    lines.append(f"{'':28}{'median':>10}{'p95':>10}")
    for name, title in (("before", "one heavy model"), ("after", "two paths")):
        waits = report[name]
        lines.append(f"{title + ', until seen':28}{waits['seen_p50']:7.0f} ms{waits['seen_p95']:7.0f} ms")
        lines.append(f"{title + ', until free':28}{waits['free_p50']:7.0f} ms{waits['free_p95']:7.0f} ms")
    lines.append("")
    lines.append(f"The same long answers: {report['same_long_answers']} of {report['long_answers']}")
    return "\n".join(lines)
