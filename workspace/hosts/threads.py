"""How many threads a step of generation takes: tried now and then, and the quicker kept.

Threads that share a core with somebody wait for each other, many times as long as they save; on a quiet machine they
nearly double the pace. Neither is known beforehand, so both are timed, on steps that had to be made anyway.
"""

from __future__ import annotations

import os
import statistics
import time

import torch

AGAIN = 15.0  # seconds until the other count is tried again
STEPS = 6  # steps of each count


class Threads:
    """Call ``began`` and ``ended`` around steps that are alike, in the thread that makes them."""

    def __init__(self, *, useful: bool) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._counts = sorted({max(1, cores // 2), cores})
        self.count = self._counts[0]
        self._times: dict[int, list[float]] = {}
        self._size = 0
        self._due = 0.0 if useful and len(self._counts) > 1 else float("inf")
        self._began = 0.0

    def began(self, size: int) -> None:
        """``size`` tells steps apart that are not alike: only those of one size are compared."""
        now = time.monotonic()
        if now >= self._due and (not self._times or size != self._size):
            self._times = {count: [] for count in self._counts}
            self._size = size
        trying = next((count for count, times in self._times.items() if len(times) < STEPS), self.count)
        torch.set_num_threads(trying)
        self._began = time.monotonic()

    def ended(self) -> None:
        open_ = next((times for times in self._times.values() if len(times) < STEPS), None)
        if open_ is None:
            return
        open_.append(time.monotonic() - self._began)
        if all(len(times) == STEPS for times in self._times.values()):
            # The first step of a count starts its threads.
            self.count = min(self._times, key=lambda count: statistics.median(self._times[count][1:]))
            self._times, self._due = {}, time.monotonic() + AGAIN
