"""One owner per ``DATA_DIR``: a lock file says who, and the kernel takes it back when that process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO

import psutil


class OwnedElsewhere(Exception):
    """Another process owns the data. ``owner`` is what it wrote about itself: its process id and address."""

    def __init__(self, owner: str) -> None:
        super().__init__(owner)
        self.owner = owner


_held: IO[str] | None = None


def take(directory: Path, *, about: str) -> None:
    """Become the owner for as long as this process lives. Raises OwnedElsewhere."""
    global _held
    file = open(directory / "owner.lock", "a+", encoding="utf-8")  # noqa: SIM115 held open until the process ends
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise OwnedElsewhere(file.read().strip()) from None
    file.truncate(0)
    file.write(f"process {os.getpid()}, {about}\n")
    file.flush()
    _held = file


def address(directory: Path) -> str:
    """Where the server that owns the data is reached; empty where none does."""
    try:
        process, _, about = (directory / "owner.lock").read_text(encoding="utf-8").strip().partition(", ")
    except FileNotFoundError:
        return ""
    alive = psutil.pid_exists(int(process.removeprefix("process ") or 0))
    return about if alive and about.startswith("http") else ""


def release() -> None:
    global _held
    if _held is not None:
        _held.close()
        _held = None
