"""A module of ours that is run once in a process of its own, under limits: bytes in, bytes out.

Files that people bring are read so, and papers laid out: whatever one does to the process, the server only sees it end.
Few run at once, each kind in places of its own; who comes later waits. The module that is run says ``confine`` before
it looks at a byte.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import BoundedSemaphore
from typing import IO

ROOT = Path(__file__).resolve().parent.parent.parent
BROKE = 1  # what Python ends with after such an error; a limit ends it by a signal
KEPT = ("PATH", "LANG", "LC_ALL")  # of the environment; no secret is in what is left


class Failed(Exception):
    """The process ended without an answer."""


class Slow(Failed):
    """It took longer than it may."""


class Broke(Failed):
    """An error ended it that nobody caught, and no limit; the end of what it said is told."""


class Busy(Failed):
    """No place came free in that time."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """``places`` is how many run at once in this process, ``patience`` the seconds each may take, and wait."""

    module: str
    patience: float
    places: int
    free: BoundedSemaphore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "free", BoundedSemaphore(self.places))

    @contextmanager
    def told(self, data: bytes, *words: str, env: Mapping[str, str] | None = None) -> Iterator[IO[bytes]]:
        """What the module wrote on its stdout, as a file. Raises Failed."""
        few = {key: os.environ[key] for key in KEPT if key in os.environ}
        command = [sys.executable, "-W", "ignore", "-m", self.module, *words]
        with tempfile.TemporaryFile() as told:
            if not self.free.acquire(timeout=self.patience):
                raise Busy
            try:
                subprocess.run(
                    command, input=data, stdout=told, stderr=subprocess.PIPE, check=True, timeout=self.patience,
                    cwd=ROOT, env={**few, **(env or {})},
                )  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Slow from None
            except subprocess.CalledProcessError as ended:
                if ended.returncode == BROKE:
                    raise Broke(ended.stderr.decode("utf-8", "replace")[-4_000:]) from None
                raise Failed from None
            finally:
                self.free.release()
            told.seek(0)
            yield told


def confine(*, memory: int, seconds: int) -> None:
    """For the process that is run: bytes of address space, and seconds of processor time."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
