"""Emptying the database after a transactional test, quickly.

Django's own way truncates every table and then makes content types and permissions anew: on PostgreSQL a second for
each test. Here only tables that hold rows are emptied, and those two are left as they are.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.management.color import no_style
from django.db import OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

from chat import integrity
from workspace.router import frozen

STAYS = {"django_content_type", "auth_permission", "django_migrations"}
lifted: set[str] = set()  # databases whose guard of versions a test took away


def empty(case: TransactionTestCase) -> None:
    """In place of ``TransactionTestCase._fixture_teardown``."""
    for name in case._databases_names(include_mirrors=False):
        connection = connections[name]
        if name in lifted:
            frozen.install(using=name)
            lifted.discard(name)
        tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - STAYS)
        if connection.vendor == "postgresql":
            _delete(connection, [connection.ops.quote_name(table) for table in tables])
        else:
            _lift_ledger(connection)
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))
            integrity.install(using=name)


def lift(using: str = "default", *, really: Callable[[str], None] = frozen.lift) -> None:
    """In place of ``frozen.lift``: the guard is back for the next test."""
    really(using)
    lifted.add(using)


def _lift_ledger(connection: BaseDatabaseWrapper) -> None:
    """SQLite knows no way past a trigger."""
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER IF EXISTS ledger_delete")


def _delete(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    """Past triggers and foreign keys: nothing is left that they could speak of. A thread that still ends may hold a row
    for a moment."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables))
        held = [table for table, has_rows in zip(tables, cursor.fetchone(), strict=True) if has_rows]
        for last in (False, False, True):
            try:
                with transaction.atomic(using=connection.alias):
                    cursor.execute("SET LOCAL session_replication_role = 'replica'")
                    for table in held:
                        cursor.execute(f"DELETE FROM {table}")
                return
            except OperationalError:
                if last:
                    raise
