"""A folder of files as documents, from the command line: the same way in as the page, file by file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from retrieval import adding, tasks
from retrieval.models import Document
from workspace.accounts.models import Person, Role


class OnDisk:
    """A file where it lies; ``name`` is its place under the folder, so that two of one name are two documents."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path = path
        self.name = path.relative_to(folder).as_posix()
        self.size = path.stat().st_size

    def read(self) -> bytes:
        return self._path.read_bytes()


def add_folder(folder: str, *, person: str = "", collection: str = "", here: bool = False) -> dict[str, Any]:
    """Add every file of a folder for a person (a user name; the owner by default), to the ``collection`` of theirs that
    is named, the first by default. What was added before is left.

    ``here`` makes them searchable by words in this process; their vectors come when a server runs. ``taken`` counts
    what was new, ``refused`` are sentences; {"error": ...} when nothing could begin.
    """
    root = Path(folder)
    wanted = Person.objects.filter(username=person) if person else Person.objects.filter(role=Role.OWNER)
    whose = wanted.first()
    if whose is None:
        return {"error": f"There is no person named {person or 'owner'}. Start the server once: make run."}
    if not root.is_dir():
        return {"error": f"{root} is no folder. Name one that holds the files."}
    name = " ".join(collection.split())[:120]
    into = adding.named(whose, name) if name else None
    before = set(Document.objects.filter(collection__owner=whose).values_list("pk", flat=True))
    found: list[Document] = []
    refused: list[str] = []
    for path in _files(root):
        try:
            found.append(adding.add(whose, OnDisk(path, root), collection=into, queued=not here))
        except (adding.NotTaken, OSError) as error:
            refused.append(str(error))
    fresh = [document for document in found if document.pk not in before or document.coming]
    for document in fresh if here else ():
        tasks.ingest_words(document)
        if document.failure:
            refused.append(f"{document.name}: {document.failure['cause']} {document.failure['action']}")
    return {"taken": len(fresh), "known": len(found) - len(fresh), "refused": refused}


def _files(root: Path) -> Iterator[Path]:
    """Files in order; hidden ones, and what links elsewhere, are not followed."""
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root).parts
        if path.is_file() and not path.is_symlink() and not any(part.startswith(".") for part in inner):
            yield path
