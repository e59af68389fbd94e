"""``manage.py quotes_benchmark DIR [--json]``: answers that hold the gold answer against questions rightly refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from workspace.management.commands import retrieval_benchmark


class Command(retrieval_benchmark.Command):
    help = "Measure quotes on a folder of judged questions, some of them without an answer; on data of its own."
    name = "quotes_benchmark"

    def check_folder(self, folder: Path) -> None:
        if not _sets(folder):
            raise CommandError(
                f"{folder} holds no corpus.jsonl with questions that name their text (gold_id), some with no answers."
            )

    def measured(self, folder: Path, embed: Any, tell: Any, rerank: Any) -> dict[str, Any]:
        from workspace.router import quotes_benchmark

        least = min(_sets(folder), key=lambda one: len(one.asked))  # the largest is for search
        return quotes_benchmark.measure(least, embed, tell)

    def table(self, report: dict[str, Any]) -> str:
        lines = [f"{report['set']}: {report['answerable']} answerable, {report['unanswerable']} unanswerable questions"]
        for way, told in report["by"].items():
            half = told["holds_at_half_refused"]
            lines += [
                "",
                f"By {way}: AUROC {told['auroc']:.3f}; with half of the unanswerable refused, "
                f"{half['holds']:.3f} ({half['low']:.3f} to {half['high']:.3f}) hold the answer",
                f"  {'threshold':>10}{'refused':>10}{'answered':>10}{'holding':>10}{'at gold':>10}",
            ]
            lines += [_row(point) for point in told["curve"]]
            lines.append(f"{_row(told['as_shipped'])}  as shipped")
        return "\n".join(lines)


def _sets(folder: Path) -> list[Any]:
    from retrieval import judged

    return [one for one in judged.sets(folder) if one.unanswerable] if folder.is_dir() else []


def _row(point: dict[str, float]) -> str:
    shares = "".join(f"{point[name]:10.3f}" for name in ("refused", "answered", "holds", "at_gold"))
    return f"  {point['threshold']:10.3f}{shares}"
