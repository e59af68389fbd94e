"""What the database itself refuses of history: a version that changes, a run that does once it is settled, and one that
becomes somebody else's: its person may only go.

Triggers, as ``chat/integrity.py`` has them for messages, put in place after every migration. A row may still go with
the person or the collection it belongs to; that it is missing shows in ``verify_history``.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from workspace.router.pins import CONTENT

SETTLED = "('done', 'stopped', 'failed')"
# All but what is withheld of it, and what is the machine's own affair; whose it is never changes, settled or not.
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
    return [f"DROP TRIGGER IF EXISTS {name}{on.format(table)}" for name, table, *_ in _guarded()]


def _guarded() -> list[tuple[str, str, tuple[str, ...], str, str]]:
    """Each trigger, its table, the columns that stay, when they do, and what is said to who tries."""
    tables = [(row._meta.db_table, names) for row, names in CONTENT.items()]
    versions = [(f"{table}_frozen", table, names, "TRUE", "a version does not change") for table, names in tables]
    settled = f"OLD.state IN {SETTLED} AND (OLD.manifest IS NOT NULL OR OLD.settled IS NOT NULL)"
    given = ("person_id",), "NEW.person_id IS NOT NULL", "whose a run is does not change"
    return [
        *versions,
        ("router_run_frozen", "router_run", RUN, settled, "a settled run does not change"),
        ("router_run_whose", "router_run", *given),
    ]


def _guard(using: str, name: str, table: str, columns: tuple[str, ...], when: str, said: str) -> str:
    if connections[using].vendor == "sqlite":
        changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in columns)
        return f"""
            CREATE TRIGGER {name} BEFORE UPDATE OF {", ".join(columns)} ON {table}
            WHEN {when} AND ({changed}) BEGIN SELECT RAISE(ABORT, '{said}'); END
        """
    # As text, whatever the type of a column.
    changed = " OR ".join(f"NEW.{column}::text IS DISTINCT FROM OLD.{column}::text" for column in columns)
    return f"""
        CREATE OR REPLACE FUNCTION {name}() RETURNS trigger AS $$
        BEGIN RAISE EXCEPTION '{said}' USING ERRCODE = 'integrity_constraint_violation'; END $$ LANGUAGE plpgsql;
        CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON {table} FOR EACH ROW
        WHEN ({when} AND ({changed})) EXECUTE FUNCTION {name}()
    """


def _run(using: str, statements: list[str]) -> None:
    connection = connections[using]
    if not {table for _, table, *_ in _guarded()} <= set(connection.introspection.table_names()):
        return
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
