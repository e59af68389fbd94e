"""``manage.py support_benchmark DIR``: the check of support, on answers in which people marked what is not in the
passages."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from retrieval import support_benchmark


class Command(BaseCommand):
    help = "Measure the check of support on RAGTruth's QA sample: ragtruth_qa_test_sources and _responses, gzipped."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = support_benchmark.measure(options["folder"])
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
        for name, answers, hallucinated, f1 in found.by_generator:
            self.stdout.write(f"{name:28} {hallucinated:3} of {answers:3} hallucinated  F1 {f1:.3f}")
