"""``manage.py router_benchmark DIR [--json]``: score and rules on published outcomes, with baselines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from workspace import ownership
from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor


class Command(BaseCommand):
    help = "Measure the learned score and the rules on a folder of published outcomes (README, “Measured”)."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("folder", type=Path, help="Of routellm_*.csv.gz and ulab_llmrouter_9models.csv.gz.")
        parser.add_argument("--json", action="store_true", help="One JSON object in place of tables.")

    def handle(self, *args: Any, **options: Any) -> None:
        from workspace.router.published import TABLES, rows_of  # numpy: not before it is needed

        folder: Path = options["folder"]
        if not any(rows_of(folder, name) for name in TABLES):
            raise CommandError(f"{folder} holds none of {', '.join(f'{name}.csv.gz' for name in TABLES)}.")
        report = asyncio.run(self._measured(folder))
        if options["json"]:
            self.stdout.write(orjson.dumps(report, option=orjson.OPT_INDENT_2).decode())
        else:
            self._tell(report)

    async def _measured(self, folder: Path) -> dict[str, Any]:
        """The model host of the running server serves, or one of our own, started when a text is not known yet."""
        from workspace.router import benchmark
        from workspace.router.embedded import embedded

        loop, hosts = asyncio.get_running_loop(), Hosts()

        def embed(texts: Sequence[str]) -> Any:
            asyncio.run_coroutine_threadsafe(hosts.ready(), loop).result()
            return link.embed(texts)

        def known(texts: Sequence[str]) -> Any:
            place = Path(settings.DATA_DIR) / "router_benchmark"
            return embedded(texts, folder=place, embed=embed, tell=lambda step: self.stderr.write(f"… {step}"))

        try:
            return await asyncio.to_thread(benchmark.report, folder, known)
        finally:
            await hosts.close()

    def _tell(self, report: dict[str, Any]) -> None:
        line = "{data:30} {by:30} AUC {auc:.3f} {between}{rest}"
        for row in report["reasoning"]:
            rest = f"  precision {row['precision']:.3f}  recall {row['recall']:.3f}" if "precision" in row else ""
            self.stdout.write(line.format(**row, between=_between(row["auc_interval"]), rest=rest))
        line = "{data:9} {router:28} {labels:7,} labels  APGR {apgr:.3f} {between:18}  "
        line += "CPT50 {cpt50:5.1f}  CPT80 {cpt80:5.1f}"
        for row in report["routing"]:
            self.stdout.write(line.format(**row, between=_between(row.get("apgr_interval"))))
        if gate := report["gate"]:
            self.stdout.write(f"The gate: {'on' if gate['passed'] else 'off'}, {gate['reason']}.")


class Hosts:
    """A model host that answers: somebody else's, or ours until ``close``."""

    def __init__(self) -> None:
        self._ours: Supervisor | None = None
        self._answers = False

    async def ready(self) -> None:
        if self._answers:
            return
        try:
            state = await link.settled()
        except link.HostUnavailable:
            state = await self._start()
        if state != "ready":
            raise CommandError(f"The embedding model can't be used: {state}")
        self._answers = True

    async def close(self) -> None:
        await link.close()
        if self._ours:
            await self._ours.stop()
            ownership.release()

    async def _start(self) -> str:
        try:
            ownership.take(settings.DATA_DIR, about="manage.py router_benchmark")
        except ownership.OwnedElsewhere as elsewhere:
            raise CommandError(
                f"{settings.DATA_DIR} is in use ({elsewhere.owner}), and its model host does not answer. Try again."
            ) from None
        self._ours = Supervisor((link.MODEL_HOST,))
        await self._ours.start()
        await self._ours.serving()
        return await link.settled()


def _between(pair: Sequence[float] | None) -> str:
    return f"({pair[0]:.3f} to {pair[1]:.3f})" if pair else ""
