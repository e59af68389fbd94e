"""Which models were loaded or wrote, and in which precision, in a file that outlives the process.

A host that was killed because memory had run out begins each of them lower, instead of dying of it again.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

KILLED_FOR_MEMORY = "killed for want of memory"  # how the last process ended, as the supervisor tells the next


class AtWork:
    """``died`` are those a host was killed with; empty after any other end."""

    def __init__(self, file: Path, *, killed: bool) -> None:
        self._file = file
        self._noted: dict[str, str] = {}
        self.died: dict[str, str] = {}
        if killed:
            with contextlib.suppress(OSError, ValueError):
                self.died = dict(json.loads(file.read_text()))
        self._write()

    def note(self, precisions: dict[str, str]) -> None:
        if precisions != self._noted:
            self._noted = precisions
            self._write()

    def _write(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(json.dumps(self._noted))
        draft.replace(self._file)
