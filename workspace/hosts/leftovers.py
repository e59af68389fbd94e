"""What Chroma leaves in its files of vectors that were deleted, and how it goes: known to the index host alone.

A graph (HNSW) marks a deleted vector and keeps it; of a collection that was deleted the folder stays, and what was
queued for it; SQLite keeps what a freed page held. So a collection is written anew without what was deleted, what no
collection owns is removed, and the database is written anew too. Run as ``python -m workspace.hosts.leftovers PLACE``.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path
from uuid import UUID

# The last row of the queue stays: the numbers go on from it, and what came with a lower one would be passed over.
_OF_NOBODY = "NOT EXISTS (SELECT 1 FROM collections WHERE topic LIKE '%/' || collections.id)"
BUSY = 20.0  # seconds to wait for whoever reads or writes the database


def remove(place: Path) -> None:
    """Folders and pages in Chroma's own folder that belong to nothing any more."""
    file = place / "chroma.sqlite3"
    if not file.exists():
        return
    with contextlib.closing(sqlite3.connect(file, timeout=BUSY, isolation_level=None)) as database:
        owned = {str(id) for (id,) in database.execute("SELECT id FROM segments")}
        for folder in place.iterdir():
            if folder.is_dir() and _is_segment(folder.name) and folder.name not in owned:
                shutil.rmtree(folder)
        database.execute(
            f"DELETE FROM embeddings_queue WHERE {_OF_NOBODY} AND seq_id < (SELECT max(seq_id) FROM embeddings_queue)"
        )
        database.execute(f"UPDATE embeddings_queue SET vector = NULL, metadata = NULL WHERE {_OF_NOBODY}")
        database.execute("VACUUM")


def _is_segment(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return str(UUID(name)) == name
    return False


if __name__ == "__main__":
    remove(Path(sys.argv[1]))
