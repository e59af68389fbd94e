"""What the database itself refuses: a parent in another chat, a message that moves, a settled message that changes, one
that becomes somebody else's: a person or a persona may only go; and an entry of the ledger that changes or goes.

Triggers, because no constraint of Django's spans rows. They are put in place after every migration, as a
table that SQLite rebuilds loses its triggers. A cycle can't be made: a parent must exist before its child,
stands one step higher, and nobody moves.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

SQLITE = [
    """
    CREATE TRIGGER IF NOT EXISTS message_parent BEFORE INSERT ON chat_message
    WHEN NEW.parent_id IS NOT NULL AND NOT EXISTS (
      SELECT 1 FROM chat_message WHERE id = NEW.parent_id AND chat_id = NEW.chat_id AND depth = NEW.depth - 1)
    BEGIN SELECT RAISE(ABORT, 'a message follows one of its own chat'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_root BEFORE INSERT ON chat_message
    WHEN NEW.parent_id IS NULL AND NEW.depth <> 0
    BEGIN SELECT RAISE(ABORT, 'a root has depth 0'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_stays
    BEFORE UPDATE OF id, chat_id, parent_id, role, depth, run_id ON chat_message
    BEGIN SELECT RAISE(ABORT, 'a message does not move'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_settled
    BEFORE UPDATE OF parts, digest, settled ON chat_message WHEN OLD.settled
    BEGIN SELECT RAISE(ABORT, 'a settled message does not change'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_whose
    BEFORE UPDATE OF author_id, author_name, persona_id, persona_name ON chat_message
    WHEN NEW.author_name <> OLD.author_name OR NEW.persona_name <> OLD.persona_name
      OR (NEW.author_id IS NOT NULL AND NEW.author_id IS NOT OLD.author_id)
      OR (NEW.persona_id IS NOT NULL AND NEW.persona_id IS NOT OLD.persona_id)
    BEGIN SELECT RAISE(ABORT, 'whose a message is does not change'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_linked BEFORE UPDATE OF chain ON chat_message WHEN OLD.chain <> ''
    BEGIN SELECT RAISE(ABORT, 'a link does not change'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_told BEFORE UPDATE OF whose ON chat_message WHEN OLD.chain <> ''
    BEGIN SELECT RAISE(ABORT, 'a link does not change'); END
    """,
    """
    CREATE TRIGGER IF NOT EXISTS message_origin BEFORE UPDATE OF origin_id ON chat_message
    WHEN NEW.origin_id IS NOT NULL AND NEW.origin_id IS NOT OLD.origin_id
    BEGIN SELECT RAISE(ABORT, 'an origin does not change'); END
    """,
    *(
        f"""
        CREATE TRIGGER IF NOT EXISTS ledger_{event.lower()} BEFORE {event} ON chat_ledgerentry
        BEGIN SELECT RAISE(ABORT, 'an entry of the ledger stays as it is'); END
        """
        for event in ("UPDATE", "DELETE")
    ),
]

POSTGRESQL = [
    """
    CREATE OR REPLACE FUNCTION chat_message_guard() RETURNS trigger AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        IF NEW.parent_id IS NULL THEN
          IF NEW.depth <> 0 THEN
            RAISE EXCEPTION 'a root has depth 0' USING ERRCODE = 'integrity_constraint_violation';
          END IF;
        ELSIF NOT EXISTS (SELECT 1 FROM chat_message
                          WHERE id = NEW.parent_id AND chat_id = NEW.chat_id AND depth = NEW.depth - 1) THEN
          RAISE EXCEPTION 'a message follows one of its own chat' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
      ELSE
        IF (NEW.id, NEW.chat_id, NEW.role, NEW.depth) IS DISTINCT FROM (OLD.id, OLD.chat_id, OLD.role, OLD.depth)
           OR NEW.parent_id IS DISTINCT FROM OLD.parent_id OR NEW.run_id IS DISTINCT FROM OLD.run_id THEN
          RAISE EXCEPTION 'a message does not move' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF OLD.settled AND (NEW.parts::text, NEW.digest, NEW.settled)
           IS DISTINCT FROM (OLD.parts::text, OLD.digest, OLD.settled) THEN
          RAISE EXCEPTION 'a settled message does not change' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF (NEW.author_name, NEW.persona_name) IS DISTINCT FROM (OLD.author_name, OLD.persona_name)
           OR (NEW.author_id IS NOT NULL AND NEW.author_id IS DISTINCT FROM OLD.author_id)
           OR (NEW.persona_id IS NOT NULL AND NEW.persona_id IS DISTINCT FROM OLD.persona_id) THEN
          RAISE EXCEPTION 'whose a message is does not change' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NEW.origin_id IS NOT NULL AND NEW.origin_id IS DISTINCT FROM OLD.origin_id THEN
          RAISE EXCEPTION 'an origin does not change' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF OLD.chain <> '' AND (NEW.chain, NEW.whose::text) IS DISTINCT FROM (OLD.chain, OLD.whose::text) THEN
          RAISE EXCEPTION 'a link does not change' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
      END IF;
      RETURN NEW;
    END $$ LANGUAGE plpgsql
    """,
    """
    CREATE OR REPLACE TRIGGER message_guard BEFORE INSERT OR UPDATE ON chat_message
    FOR EACH ROW EXECUTE FUNCTION chat_message_guard()
    """,
    """
    CREATE OR REPLACE FUNCTION chat_ledger_guard() RETURNS trigger AS $$
    BEGIN
      RAISE EXCEPTION 'an entry of the ledger stays as it is' USING ERRCODE = 'integrity_constraint_violation';
    END $$ LANGUAGE plpgsql
    """,
    """
    CREATE OR REPLACE TRIGGER ledger_guard BEFORE UPDATE OR DELETE OR TRUNCATE ON chat_ledgerentry
    FOR EACH STATEMENT EXECUTE FUNCTION chat_ledger_guard()
    """,
]


def install(*, using: str, **kwargs: Any) -> None:
    """Put the triggers in place. Connected to ``post_migrate``."""
    connection = connections[using]
    if not {"chat_message", "chat_ledgerentry"} <= set(connection.introspection.table_names()):
        return
    statements = {"sqlite": SQLITE, "postgresql": POSTGRESQL}[connection.vendor]
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
