"""What must be true before anything is served: tables, static files, the owner, defaults, the guide.

Every step is safe to repeat and quick when there is nothing to do. ``say`` hears each step that takes time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from workspace import stylesheet
from workspace.hosts.supervisor import make_private

Say = Callable[[str], None]


def prepare(say: Say) -> None:
    make_private(settings.SOCKET_DIR)
    migrate(say)
    collect_static(say)
    ensure_rows(say)


def migrate(say: Say) -> None:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        say(f"Preparing the database ({len(plan)} steps)")
        call_command("migrate", verbosity=0, interactive=False)


def collect_static(say: Say) -> None:
    """Hash and compress static files, when one of them changed since the last time."""
    stamp = Path(settings.STATIC_ROOT) / ".stamp"
    state = _static_state()
    if not stamp.exists() or stamp.read_text() != state:
        say("Preparing pages")
        stylesheet.build()
        call_command("collectstatic", verbosity=0, interactive=False, clear=True)
        stamp.write_text(state)


def ensure_rows(say: Say) -> None:
    # Here, because these modules load models and this one is imported before the apps are ready.
    from retrieval import guide
    from retrieval.web import engines
    from workspace.accounts.owner import ensure_owner
    from workspace.hub import PROCESS
    from workspace.providers.adding import prices_are_old, refresh_prices
    from workspace.providers.setup import ensure_from_environment, ensure_quotes
    from workspace.router import run_rows
    from workspace.router.seed import ensure_defaults

    ensure_owner()
    ensure_quotes()
    if added := ensure_from_environment():
        say(f"Found keys for {', '.join(added)}")
    if prices_are_old() and (changed := refresh_prices()):
        say(f"New prices for {', '.join(changed)}")
    ensure_defaults()
    engines.ensure()
    guide.ensure()
    guide.ingest_words()
    alone = PROCESS if not settings.REDIS_URL else ""
    if found := run_rows.reap(all_but=alone):
        say(f"{len(found)} interrupted answer{'' if len(found) == 1 else 's'} can be continued")


def _static_state() -> str:
    """Names, sizes and times of our own static files, and of the lock that fixes everybody else's."""
    digest = hashlib.sha256()
    lock = settings.BASE_DIR / "requirements" / "lock.txt"
    for path in sorted([*Path(settings.BASE_DIR / "static").rglob("*"), lock]):
        if path.is_file():
            seen = path.stat()
            digest.update(f"{path} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    return digest.hexdigest()
