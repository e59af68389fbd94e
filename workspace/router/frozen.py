"""What the database itself refuses of history: a version that changes, and a run that does once it is settled.

Triggers, as ``chat/integrity.py`` has them for messages, put in place after every migration. A row may still go with
the person or the collection it belongs to; that it is missing shows in ``verify_history``.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from workspace.router.pins import CONTENT

SETTLED = "('done', 'stopped', 'failed')"
# All but whose it is, what is withheld of it, and what is the machine's own affair.
RUN = (
    "state", "manifest", "text", "reasoning", "evidence", "decision", "failure", "model_version_id",
    "router_version_id", "template_version_id", "tokens_input", "tokens_output", "cost", "first_token_s", "total_s",
    "imported", "created", "settled",
)  # fmt: skip


def install(*, using: str, **kwargs: Any) -> None:
    """Connected to ``post_migrate``. PostgreSQL replaces what an older version put there."""
    before = _gone(using) if connections[using].vendor == "sqlite" else []
    _run(using, [*before, *(_guard(using, *one) for one in _guarded())])


def lift(using: str = "default") -> None:
    """For whoever tests what is found once somebody has got past this."""
    _run(using, _gone(using))


def _gone(using: str) -> list[str]:
    on = " ON {}" if connections[using].vendor == "postgresql" else ""
    return [f"DROP TRIGGER IF EXISTS {table}_frozen{on.format(table)}" for table, *_ in _guarded()]


def _guarded() -> list[tuple[str, tuple[str, ...], str, str]]:
    """Each table, its columns that stay, when they do, and what is said to who tries."""
    versions = [(row._meta.db_table, names, "TRUE", "a version does not change") for row, names in CONTENT.items()]
    settled = f"OLD.state IN {SETTLED} AND (OLD.manifest IS NOT NULL OR OLD.settled IS NOT NULL)"
    return [*versions, ("router_run", RUN, settled, "a settled run does not change")]


def _guard(using: str, table: str, columns: tuple[str, ...], when: str, said: str) -> str:
    if connections[using].vendor == "sqlite":
        changed = " OR ".join(f"NEW.{name} IS NOT OLD.{name}" for name in columns)
        return f"""
            CREATE TRIGGER {table}_frozen BEFORE UPDATE OF {", ".join(columns)} ON {table}
            WHEN {when} AND ({changed}) BEGIN SELECT RAISE(ABORT, '{said}'); END
        """
    # As text, whatever the type of a column.
    changed = " OR ".join(f"NEW.{name}::text IS DISTINCT FROM OLD.{name}::text" for name in columns)
    return f"""
        CREATE OR REPLACE FUNCTION {table}_frozen() RETURNS trigger AS $$
        BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'integrity_constraint_violation'; END $$ LANGUAGE plpgsql;
        CREATE OR REPLACE TRIGGER {table}_frozen BEFORE UPDATE ON {table} FOR EACH ROW
        WHEN ({when} AND ({changed})) EXECUTE FUNCTION {table}_frozen()
    """


def _run(using: str, statements: list[str]) -> None:
    connection = connections[using]
    if not {table for table, *_ in _guarded()} <= set(connection.introspection.table_names()):
        return
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
