"""``manage.py judge_benchmark DIR``: how well each judge agrees with people, on answers in which people marked what is
not in the passages."""

from __future__ import annotations

import asyncio
import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = (
        "Measure judges on RAGTruth's QA sample (ragtruth_qa_test_sources and _responses), and the rule that reads "
        "whether an answer abstains on it and on HaluEval's (halueval_general_human), gzipped. Reports show it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--model", default="", help="A language model that judges, too: two calls an answer.")
        parser.add_argument("--first", type=int, help="Judge so many answers and no more.")
        parser.add_argument("--release", action="store_true", help="Write what the product is released with.")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        from workspace.measurement import agreement, judge_benchmark, marked

        try:
            rows = marked.read(options["folder"])[: options["first"]]
            abstention = judge_benchmark.by_abstention(options["folder"])
        except FileNotFoundError as missing:
            raise CommandError(f"{missing.filename} is not there. Name the folder that holds the sample.") from None
        found = [judge_benchmark.by_support(rows), judge_benchmark.by_length(rows), abstention]
        if options["release"]:
            agreement.write(found)
        if options["model"]:
            found.insert(1, self._by_model(rows, options["model"]))
        if options["json"]:
            self.stdout.write(json.dumps([asdict(one) for one in found], indent=2))
            return
        self.stdout.write(f"{abstention.answers} answers were read for whether they abstain ({abstention.dataset}).")
        wrong = sum(row.hallucinated for row in rows)
        self.stdout.write(f"{len(rows)} answers; in {wrong} people marked something that is not in the passages.\n")
        for one in found:
            figures = "  ".join(
                f"{name} {value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
                for name, value in (("P", one.precision), ("R", one.recall), ("F1", one.f1), ("same", one.same))
            )
            self.stdout.write(f"{one.judge:26} {figures}  kappa {one.kappa:.3f}  unscored {one.unscored}")

    def _by_model(self, rows: Any, model: str) -> Any:
        from workspace.measurement import agreement, judge_benchmark
        from workspace.router import catalog

        if model not in catalog.load_sync().candidates:
            raise CommandError(f"There is no model “{model}”.")
        tell = lambda n: self.stderr.write(f"\r{n} of {len(rows)}", ending="")  # noqa: E731
        found = asyncio.run(judge_benchmark.by_model(rows, model, tell))
        agreement.keep(found)
        return found
