"""Emptying the database after a transactional test, quickly.

Django's own way truncates every table and then makes content types and permissions anew: on PostgreSQL a second for
each test. Here only tables that hold rows are emptied, and those two are left as they are.
"""

from __future__ import annotations

from django.core.management.color import no_style
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import TransactionTestCase

STAYS = {"django_content_type", "auth_permission", "django_migrations"}


def empty(case: TransactionTestCase) -> None:
    """In place of ``TransactionTestCase._fixture_teardown``."""
    for name in case._databases_names(include_mirrors=False):
        connection = connections[name]
        tables = sorted(set(connection.introspection.django_table_names(include_views=False)) - STAYS)
        if connection.vendor == "postgresql":
            _delete(connection, [connection.ops.quote_name(table) for table in tables])
        else:
            connection.ops.execute_sql_flush(connection.ops.sql_flush(no_style(), tables))


def _delete(connection: BaseDatabaseWrapper, tables: list[str]) -> None:
    """Past triggers and foreign keys: nothing is left that they could speak of."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT " + ", ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables))
        held = [table for table, has_rows in zip(tables, cursor.fetchone(), strict=True) if has_rows]
        if held:
            deletes = "; ".join(f"DELETE FROM {table}" for table in held)
            cursor.execute(f"BEGIN; SET LOCAL session_replication_role = 'replica'; {deletes}; COMMIT", None)
