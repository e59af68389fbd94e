"""``manage.py measure_latency``: how fast a local model writes here, beside plain ``model.generate``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from workspace.spread import line_of


class Command(BaseCommand):
    help = (
        "Measure how fast a local model writes: plain model.generate and this workspace's batches, in turn and in one "
        "process of its own, with fixed prompts and seeds. The model is loaded beside what the server has in memory."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--model", required=True, help="An id of the Hugging Face cache, or a folder.")
        parser.add_argument("--tokens", type=int, default=256, help="Of each completion.")
        parser.add_argument("--runs", type=int, default=5, help="Completions of each kind that are counted.")
        parser.add_argument("--at-once", type=int, default=8, help="Answers that are written together.")
        parser.add_argument("--device", default="", help="cpu, cuda, cuda:1; the GPU where there is one.")
        parser.add_argument("--precision", default="", choices=["", "float32", "bfloat16", "int8"])
        parser.add_argument("--json", action="store_true", help="Print the figures as JSON.")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in ("tokens", "runs", "at_once"):
            if not 1 <= options[name] <= 100_000:
                raise CommandError(f"--{name.replace('_', '-')} is a number from 1 on.")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "workspace.hosts.latency", options["model"],
             "--tokens", str(options["tokens"]), "--runs", str(options["runs"]), "--device", options["device"],
             "--precision", options["precision"], "--at-once", str(options["at_once"])],
            cwd=settings.BASE_DIR, env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise CommandError(
                done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "It ended without a word."
            )
        found = json.loads(done.stdout.splitlines()[-1])
        self.stdout.write(json.dumps(found, indent=2) if options["json"] else _table(found))


def _table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['model']} in {found['precision']} on {found['device']}; torch {found['torch']}, transformers "
        f"{found['transformers']}; peak {found['memory_peak_mb']:,} MB. {found['tokens']} tokens, {found['runs']} runs."
    ]
    for name, title in (("naive", "model.generate"), ("ours", "this workspace")):
        row = found[name]
        lines += [
            f"{title}:",
            f"  completion         {line_of(row['completion_s'], 's')}",
            f"  tokens a second    {line_of(row['tokens_per_s'])}",
            f"  first token        {line_of(row['first_token_s'], 's')}",
            f"  between tokens     {line_of(row['between_tokens_s'], 's')}",
        ]
    at_once = found["at_once"]
    lines.append(
        f"in the batch alone, {at_once['answers']} answers at once: {line_of(at_once['tokens_per_s'])} tokens a second "
        "together"
    )
    first = found["first_token_s"]
    lines.append(
        f"first token alone {line_of(first['alone'], 's')}; while others run {line_of(first['while_others_run'], 's')}"
    )
    ratios = found["ratios"]
    lines.append(
        f"one stream / model.generate {ratios['one_stream_over_naive']['median']:.2f}; "
        f"at once / one stream {ratios['at_once_over_one']['median']:.2f}; "
        f"first token late / alone {ratios['first_token_late_over_alone']:.2f}"
    )
    return "\n".join(lines)
