"""``manage.py ingest FOLDER``: every file of a folder becomes a document of a person's own."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import control, ownership
from workspace.prepare import prepare


class Command(BaseCommand):
    help = "Add the files of a folder as documents. The running server reads them; when none runs, this command does."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--person", default="", help="Whose documents they become, by name; the owner's by default."
        )
        parser.add_argument(
            "--collection", default="", help="Into which of their collections, by name; made where there is none."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        named = {name: options[name] for name in ("person", "collection")}
        fields = {"folder": str(options["folder"].resolve()), **named}
        answer = control.call("ingest", **fields)
        if answer is None:
            answer = self._add_here(fields)
        if "error" in answer:
            raise CommandError(answer["error"])
        for refused in answer["refused"]:
            self.stderr.write(refused)
        self.stdout.write(
            f"{answer['taken']} added, {answer['known']} known before, {len(answer['refused'])} not read."
        )

    def _add_here(self, fields: dict[str, str]) -> dict[str, Any]:
        try:
            ownership.take(settings.DATA_DIR, about="manage.py ingest")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(
                f"{settings.DATA_DIR} is in use ({elsewhere.owner}), and that does not answer yet. Try again."
            ) from None
        prepare(lambda step: self.stderr.write(f"… {step}"))
        from retrieval.folder import add_folder

        return add_folder(**fields, here=not settings.REDIS_URL)
