"""The memory of this machine, or of the container it is seen through."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def total() -> int:
    found = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # "max" is no limit
        found = min(found, int((CGROUP / "memory.max").read_text()))
    return found


def killed_for_memory() -> int:
    """How many processes the kernel has killed so far because memory had run out."""
    found = 0
    for file in (Path("/proc/vmstat"), CGROUP / "memory.events"):
        with contextlib.suppress(OSError):
            rows = (line.split() for line in file.read_text().splitlines())
            found += sum(int(row[1]) for row in rows if row[0] == "oom_kill")
    return found


def available() -> int:
    """What could be taken now without anything being killed; files that the container only reads count as free."""
    found = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError):
        most, now = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        rows = (line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        cached = sum(int(size) for name, size in rows if name in ("active_file", "inactive_file"))
        found = min(found, most - now + cached)
    return max(0, found)
