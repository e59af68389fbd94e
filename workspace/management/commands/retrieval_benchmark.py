"""``manage.py retrieval_benchmark DIR [--json]``: search on judged questions, with baselines and rivals' defaults."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from retrieval import presets
from retrieval.benchmark import Scores
from retrieval.reranking import Reranker
from retrieval.search import reranked
from workspace.hosts import link
from workspace.management.commands.router_benchmark import Hosts


class Command(BaseCommand):
    help = "Measure search on a folder of judged questions (README, “Measured”), on data of its own."
    requires_system_checks: list[str] = []
    name = "retrieval_benchmark"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "folder", type=Path, help="Of corpus.jsonl with questions, or NAME_corpus, _queries, _qrels."
        )
        parser.add_argument("--json", action="store_true", help="One JSON object in place of tables.")
        parser.add_argument("--here", type=Path, help="On this DATA_DIR, a fresh one; vectors are kept in this folder.")

    def handle(self, *args: Any, **options: Any) -> None:
        folder: Path = options["folder"]
        self.check_folder(folder)
        if options["here"] is None:
            self._on_data_of_its_own(folder, as_json=options["json"])
            return
        call_command("migrate", verbosity=0)
        report = asyncio.run(self._measured(folder, options["here"], _reranker(sys.stdin.read())))
        self.stdout.write(json.dumps(report, indent=2) if options["json"] else self.table(report))

    def check_folder(self, folder: Path) -> None:
        from retrieval import judged

        if not folder.is_dir() or not judged.sets(folder):
            raise CommandError(f"{folder} holds no corpus.jsonl with questions, and no NAME_corpus.jsonl with qrels.")

    def measured(self, folder: Path, embed: Any, tell: Any, rerank: Any) -> dict[str, Any]:
        """In a thread, on a fresh database."""
        from retrieval import benchmark, judged

        found = judged.sets(folder)
        answered = [one for one in found if one.asked[0].answers]
        largest = max(answered, key=lambda one: len(one.asked), default=None)
        return {
            "rankings": [benchmark.rankings(one, embed, tell, rerank) for one in found],
            "contexts": [benchmark.contexts(largest, embed, tell, rerank)] if largest else [],
        }

    def table(self, report: dict[str, Any]) -> str:
        return _table(report)

    def _on_data_of_its_own(self, folder: Path, *, as_json: bool) -> None:
        """Settings are read once, so other data means another process. Embeddings outlive it: they cost the most. Of
        this workspace it is told the reranker that an admin has set, by its input, as a key belongs to no command line.
        """
        kept = Path(settings.DATA_DIR) / "retrieval_benchmark"
        with tempfile.TemporaryDirectory(prefix="onepane-retrieval-") as data:
            command = [sys.executable, "manage.py", self.name, str(folder.resolve()), "--here", str(kept)]
            done = subprocess.run(
                command + ["--json"] * as_json,
                cwd=settings.BASE_DIR,
                env={**os.environ, "DATA_DIR": data, "DATABASE_URL": "", "REDIS_URL": "", "DISCOVER": ""},
                input=_told(),
                stdout=subprocess.PIPE,
                text=True,
                check=False,
            )
        if done.returncode:
            raise CommandError("The measurement failed; what it said stands above.")
        self.stdout.write(done.stdout.rstrip())

    async def _measured(self, folder: Path, kept: Path, reranker: Reranker | None) -> dict[str, Any]:
        """The model host that serves is started when a text is not known yet."""
        from workspace.router.embedded import embedded

        loop, hosts = asyncio.get_running_loop(), Hosts()

        def tell(step: str) -> None:
            self.stderr.write(f"… {step}")

        def ask(texts: Sequence[str]) -> Any:
            asyncio.run_coroutine_threadsafe(hosts.ready(), loop).result()
            return link.embed(texts)

        def embed(texts: Sequence[str]) -> Any:
            return embedded(texts, folder=kept, embed=ask, tell=tell)

        def rerank(question: str, joined: Scores) -> Scores:
            assert reranker is not None
            asyncio.run_coroutine_threadsafe(hosts.ready(), loop).result()
            again, note = asyncio.run_coroutine_threadsafe(reranked(reranker, question, joined), loop).result()
            if again is None:
                raise CommandError(f"{note}. Look at it under Search settings in the admin.")
            return again

        try:
            return await asyncio.to_thread(self.measured, folder, embed, tell, rerank if reranker else None)
        finally:
            await hosts.close()


def _told() -> str:
    """The reranker that is set here, if there is a database with one."""
    try:
        found = presets.current().reranker
    except DatabaseError:
        found = None
    return json.dumps(asdict(found)) if found else ""


def _reranker(told: str) -> Reranker | None:
    return Reranker(**json.loads(told)) if told else None


def _table(report: dict[str, Any]) -> str:
    lines = []
    for one in report["rankings"]:
        lines += ["", f"{one['set']}: {one['texts']:,} texts, {one['questions']:,} questions"]
        names = list(next(iter(one["by"].values())))
        lines.append(f"  {'':10}" + "".join(f"{name:>12}" for name in names))
        for method, row in one["by"].items():
            lines.append(f"  {method:10}" + "".join(f"{row[name]['value']:12.3f}" for name in names))
        for other in ("words", "meaning"):
            lines.append(f"  nDCG@10, joined over {other}: {_between(one[f'joined_over_{other}'])}")
    for one in report["contexts"]:
        lines += [
            "",
            f"{one['set']}, whole articles: the answer stands in the context, of {one['questions']:,} questions",
        ]
        lines += [f"  {name:26}{_between(row)}" for name, row in one["held"].items()]
        lines += [f"  joined, 1,024 tokens, over {name}: {_between(row)}" for name, row in one["joined_over"].items()]
    return "\n".join(lines).strip()


def _between(row: dict[str, float]) -> str:
    return (
        f"{row['value']:+.3f} ({row['low']:+.3f} to {row['high']:+.3f})"
        if row["low"] < 0
        else (f"{row['value']:.3f} ({row['low']:.3f} to {row['high']:.3f})")
    )
