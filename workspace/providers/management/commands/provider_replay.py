"""``manage.py provider_replay DIR [--json]``: recorded provider traffic read again, and what differs."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
from django.core.management.base import BaseCommand, CommandError, CommandParser

from workspace.providers.replay import Case, byte_by_byte, cases_in, differences, in_one


class Command(BaseCommand):
    help = "Play recorded provider traffic through the providers: whole, byte by byte and in random cuts."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--json", action="store_true", help="one JSON object in place of lines")
        parser.add_argument("--seed", type=int, default=0, help="of the random cuts")
        parser.add_argument("--whole", action="store_true", help="in one piece only")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (cases := cases_in(options["folder"])):
            raise CommandError(f"No recorded cases under {options['folder']}.")
        report = asyncio.run(self._replay(cases, options))
        wrong = {name: found for name, found in report.items() if found}
        if options["json"]:
            self.stdout.write(orjson.dumps({"cases": len(cases), "differ": wrong}).decode())
        else:
            for name, found in wrong.items():
                self.stdout.write("\n  ".join([name, *found]))
            self.stdout.write(f"{len(cases) - len(wrong)} of {len(cases)} cases come out as they should.")
        if wrong:
            raise SystemExit(1)

    async def _replay(self, cases: list[Case], options: dict[str, Any]) -> dict[str, list[str]]:
        chance = random.Random(options["seed"])

        def anywhere(body: bytes) -> list[bytes]:
            places = sorted({0, len(body), *(chance.randrange(len(body) + 1) for _ in range(max(2, len(body) // 40)))})
            return [body[a:b] for a, b in pairwise(places)]

        cuts = [in_one] if options["whole"] else [in_one, byte_by_byte, anywhere]
        report: dict[str, list[str]] = {}
        for case in cases:
            report[case.name] = [f"({cut.__name__}) {line}" for cut in cuts for line in await differences(case, cut)]
        return report
