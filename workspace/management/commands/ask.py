"""``manage.py ask``: one question through the same router, its stored run printed."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace import control, ownership
from workspace.prepare import prepare


class Command(BaseCommand):
    help = "Ask a question. The running server answers; when none runs, this command does, with search by words."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("question")
        parser.add_argument("--model", default="", help="Name of a model; the router chooses by default.")
        parser.add_argument("--documents", action="store_true", help="Ground the answer in the documents.")
        parser.add_argument("--person", default="", help="Who asks, by name; the owner by default.")
        parser.add_argument("--json", action="store_true", help="Print the stored run with its manifest.")

    def handle(self, *args: Any, **options: Any) -> None:
        fields = {name: options[name] for name in ("question", "model", "documents", "person")}
        if not fields["question"].strip():
            raise CommandError("The question is empty. Write it in quotes after the command.")
        answer = control.call("ask", **fields)
        if answer is None:
            answer = self._answer_here(fields)
        if refused := answer.get("refused"):
            raise CommandError(f"{refused['cause']} {refused['action']}")
        self._print(answer, as_json=options["json"])

    def _answer_here(self, fields: dict[str, Any]) -> dict[str, Any]:
        try:
            ownership.take(settings.DATA_DIR, about="manage.py ask")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(
                f"{settings.DATA_DIR} is in use ({elsewhere.owner}), and that does not answer yet. Try again."
            ) from None
        prepare(lambda step: self.stderr.write(f"… {step}"))
        from chat.asking import ask

        return asyncio.run(ask(**fields))

    def _print(self, answer: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(answer, indent=2, ensure_ascii=False))
            return
        failure = answer["failure"]
        self.stdout.write(answer["text"] or "")
        if failure:
            raise CommandError(f"{failure['cause']} {failure['action']}")
        manifest = answer["manifest"]
        for passage in manifest["evidence"]:
            place = ", ".join(part for part in (passage["title"], passage["where"]) if part)
            self.stdout.write(f"[{passage['number']}] {place}")
        decision = manifest["decision"]
        self.stdout.write(f"\n{manifest['model']} · {decision['reason']} · {manifest['timings']['total']:.2f} s")
