"""``manage.py verify_index``: do rows, vectors, postings and files agree? With ``--repair``, make them."""

from __future__ import annotations

import asyncio
import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import control, ownership
from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor
from workspace.prepare import prepare

_LEFT = {"missing file": "its text is searched still; add the file again"}


class Command(BaseCommand):
    help = "Lists where rows, vectors, postings and files differ. Ends with 1 when any is left."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--repair", action="store_true", help="Remove what nobody knows, make what is missing.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        if control.socket_path().exists():
            left = self._look(**options)
        else:
            left = self._look_alone(**options)
        if left:
            sys.exit(1)

    def _look_alone(self, **options: Any) -> int:
        """No server runs: the index host is started for this."""
        try:
            ownership.take(settings.DATA_DIR, about="manage.py verify_index")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(f"{settings.DATA_DIR} is in use ({elsewhere.owner}). Try again in a moment.") from None
        prepare(lambda step: self.stderr.write(f"… {step}"))

        async def look() -> int:
            host = Supervisor((link.INDEX_HOST,))
            await host.start()
            try:
                await host.serving()
                return await asyncio.to_thread(lambda: self._look(**options))
            finally:
                await host.stop()

        return asyncio.run(look())

    def _look(self, *, repair: bool, json: bool, **_: Any) -> int:
        from retrieval import verify

        try:
            found = list(verify.differences())
        except link.HostUnavailable as away:
            raise CommandError(
                f"The index does not answer: {away}. Start the server, or wait until it is up."
            ) from None
        mended = [one for one in found if repair and verify.repair(one)]
        if repair:
            control.call("requeue")
        self._tell(found, mended, repair=repair, as_json=json)
        return len(found) - len(mended)

    def _tell(self, found: list[Any], mended: list[Any], *, repair: bool, as_json: bool) -> None:
        if as_json:
            told = {"differences": [asdict(one) for one in found], "mended": len(mended)}
            self.stdout.write(json.dumps(told, default=str))
            return
        for one in found:
            done = "mended" if one in mended else _LEFT.get(one.kind, "to be read again") if repair else "found"
            self.stdout.write(f"{one.count} {one.kind}: {one.what} ({done})")
        self.stdout.write("All agree." if not found else f"{len(found)} differences, {len(mended)} mended.")
