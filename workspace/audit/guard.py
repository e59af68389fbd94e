"""What the database itself refuses: to change or delete an entry, or to empty the table.

Triggers, put in place after every migration, as a table that SQLite rebuilds loses its triggers.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

NAME = "audit_entries_stay"
TABLE = "audit_auditentry"
SAID = "audit entries are never changed or deleted"
SQLITE = {
    "install": [
        f"CREATE TRIGGER IF NOT EXISTS {NAME}_{event.lower()} BEFORE {event} ON {TABLE} "
        f"BEGIN SELECT RAISE(ABORT, '{SAID}'); END"
        for event in ("UPDATE", "DELETE")
    ],
    "lift": [f"DROP TRIGGER IF EXISTS {NAME}_{event}" for event in ("update", "delete")],
}
POSTGRESQL = {
    "install": [
        f"""
        CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger AS $$
        BEGIN
          RAISE EXCEPTION '{SAID}' USING ERRCODE = 'integrity_constraint_violation';
        END $$ LANGUAGE plpgsql
        """,
        f"""
        CREATE OR REPLACE TRIGGER {NAME} BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE}
        FOR EACH STATEMENT EXECUTE FUNCTION {NAME}()
        """,
    ],
    "lift": [f"DROP TRIGGER IF EXISTS {NAME} ON {TABLE}"],
}


def install(*, using: str = "default", **kwargs: Any) -> None:
    """Put the triggers in place. Connected to ``post_migrate``."""
    _run("install", using)


def lift(*, using: str = "default") -> None:
    """Take them away: tests empty every table."""
    _run("lift", using)


def _run(what: str, using: str) -> None:
    connection = connections[using]
    if TABLE not in connection.introspection.table_names():
        return
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[connection.vendor][what]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
