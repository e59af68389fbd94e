"""What a local model is called: ``org/name`` of a hub or ``/a/folder``, with ``@commit`` or ``@digest`` behind it.

Keeps, in one file of the host's own, which models are pinned, what room was asked for them, and the digests of folders
that did not change since.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspace.hosts import weights
from workspace.hosts.sizes import Size

HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
EMBEDDING = "minilm"  # the embedding model that is installed
SHORT = 12  # signs of a folder's digest that a reference carries


class NotHere(LookupError):
    """The model is not on this machine, or is not the one that was meant; what to do, in words."""


@dataclass(frozen=True, slots=True)
class Reference:
    name: str
    pin: str = ""

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Raises ValueError."""
        name, _, pin = text.strip().rpartition("@") if "@" in text else (text.strip(), "", "")
        if name.startswith(("~", "/")):
            return cls(str(Path(name).expanduser()), pin)
        if not HUB_ID.fullmatch(name) or ".." in name or (pin and not re.fullmatch(r"[\w.-]+", pin)):
            raise ValueError(f"{text!r} is neither the id of a model, such as org/name, nor the path of a folder")
        return cls(name, pin)

    @property
    def is_folder(self) -> bool:
        return self.name.startswith("/")

    def __str__(self) -> str:
        return f"{self.name}@{self.pin}" if self.pin else self.name


class Shelf:
    """The host's own notes."""

    def __init__(self, place: Path) -> None:
        self._file = place / "local_models.json"
        self._lock = threading.Lock()  # folders are read in threads
        self._notes: dict[str, Any] = {"pinned": [], "digests": {}, "sizes": {}}
        try:
            self._notes |= json.loads(self._file.read_text())
        except (OSError, ValueError):
            pass  # the first start, or a file nobody can read: it is written anew

    @property
    def pinned(self) -> list[str]:
        return list(self._notes["pinned"])

    def pin(self, reference: str, on: bool) -> None:
        with self._lock:
            pinned = [other for other in self.pinned if other != reference]
            self._notes["pinned"] = [*pinned, reference] if on else pinned
            self._write()

    def size(self, reference: str) -> Size | None:
        """What somebody asked room for, whenever it is loaded."""
        asked = self._notes["sizes"].get(reference)
        return Size(*asked) if asked else None

    def ask(self, reference: str, size: Size | None) -> None:
        with self._lock:
            self._notes["sizes"].pop(reference, None)
            if size:
                self._notes["sizes"][reference] = [size.context, size.answers]
            self._write()

    def folder(self, reference: Reference) -> Path:
        """Where it lies. Raises NotHere."""
        if not reference.is_folder:
            found = weights.snapshot(reference.name, reference.pin)
            if found is None:
                raise NotHere(f"{reference} is not on this machine. Download it under Admin, Local models.")
            return found
        folder = Path(reference.name)
        if not folder.is_dir():
            raise NotHere(f"The folder {folder} does not exist")
        if reference.pin and not self.digest(folder).startswith(reference.pin):
            raise NotHere(f"The files in {folder} have changed since this version of the model was made. Add it again.")
        return folder

    def exact(self, reference: Reference) -> Reference:
        """The same with its commit or digest. Raises NotHere."""
        folder = self.folder(reference)
        pin = self.digest(folder)[:SHORT] if reference.is_folder else folder.name
        return Reference(reference.name, pin)

    def digest(self, folder: Path) -> str:
        stamp = weights.stamp(folder)
        known = self._notes["digests"].get(str(folder))
        if not known or known[0] != stamp:
            known = [stamp, weights.digest(folder)]
            with self._lock:
                self._notes["digests"][str(folder)] = known
                self._write()
        return str(known[1])

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(self._notes, indent=1))
        draft.replace(self._file)
