"""``manage.py support_benchmark DIR``: the check of support, on answers in which people marked what is not in the
passages."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace.hosts import link
from workspace.management.commands.router_benchmark import Hosts
from workspace.measurement import support_benchmark
from workspace.router.embedded import embedded


class Command(BaseCommand):
    help = "Measure the check of support on RAGTruth's QA sample: ragtruth_qa_test_sources and _responses, gzipped."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--json", action="store_true")
        parser.add_argument(
            "--meaning", action="store_true", help="Beside it, nearness by meaning: embeds 10,000 sentences once."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = asyncio.run(self._measured(options["folder"], meaning=options["meaning"]))
        except FileNotFoundError as missing:
            raise CommandError(f"{missing.filename} is not there. Name the folder that holds the sample.") from None
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), indent=2))
            return
        self.stdout.write(
            f"{found.answers} answers, {found.hallucinated} with something that is not in the passages.\n"
        )
        for one in found.rules:
            area = f"  AUROC {one.auroc:.3f}" if one.auroc is not None else ""
            self.stdout.write(
                f"{one.rule:48} P {one.precision:.3f}  R {one.recall:.3f}  F1 {one.f1:.3f} "
                f"({one.low:.3f} to {one.high:.3f}){area}"
            )
        self.stdout.write("{:48} P {:.3f}  R {:.3f}  F1 {:.3f}".format(*support_benchmark.PUBLISHED))
        for its in found.by_generator:
            told = f"{its.hallucinated:3} of {its.answers:3} hallucinated"
            self.stdout.write(f"{its.name:28} {told}  F1 {its.f1:.3f} ({its.low:.3f} to {its.high:.3f})")

    async def _measured(self, folder: Path, *, meaning: bool) -> support_benchmark.Report:
        """The model host is started where it is needed and none serves."""
        if not meaning:
            return support_benchmark.measure(folder)
        loop, hosts = asyncio.get_running_loop(), Hosts()
        kept = Path(settings.DATA_DIR) / "support_benchmark"

        def ask(texts: Sequence[str]) -> Any:
            asyncio.run_coroutine_threadsafe(hosts.ready(), loop).result()
            return link.embed(texts)

        def embed(texts: Sequence[str]) -> Any:
            return embedded(texts, folder=kept, embed=ask, tell=lambda step: self.stderr.write(f"… {step}"))

        try:
            return await asyncio.to_thread(support_benchmark.measure, folder, embed)
        finally:
            await hosts.close()
