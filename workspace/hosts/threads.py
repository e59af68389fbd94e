"""How many threads a step of generation takes: tried now and then, and the quicker kept.

Threads that share a core with somebody wait for each other, many times as long as they save; on a quiet machine they
nearly double the pace. Neither is known beforehand, so both are timed, on steps that had to be made anyway.
"""

from __future__ import annotations

import os
import statistics
import time

import torch

AGAIN = 30.0  # seconds until the other count is tried again
STEPS = 6  # steps of each count
TOO_SLOW = 1.5  # times the other's median: one such step ends a trial


class Threads:
    """Call ``began`` and ``ended`` around steps that are alike, in the thread that makes them."""

    def __init__(self, *, useful: bool) -> None:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.count, self._other = max(1, cores // 2), cores
        self._times: dict[int, list[float]] = {}
        self._size = 0
        self._due = 0.0 if useful and self.count != cores else float("inf")
        self._trying = self.count
        self._began = 0.0

    def began(self, size: int) -> None:
        """``size`` tells steps apart that are not alike: only those of one size are compared."""
        if self._times and size != self._size:
            self._times = {}
        if not self._times and time.monotonic() >= self._due:
            self._times, self._size = {self.count: [], self._other: []}, size
        trying = next((count for count, times in self._times.items() if len(times) < STEPS), self.count)
        if trying != torch.get_num_threads():
            torch.set_num_threads(trying)
        self._trying, self._began = trying, time.monotonic()

    def ended(self) -> None:
        if not self._times:
            return
        times = self._times[self._trying]
        times.append(time.monotonic() - self._began)
        if self._trying != self._other:
            return
        mine = statistics.median(self._times[self.count])
        # The first step of a count starts its threads.
        if len(times) == STEPS and statistics.median(times[1:]) < mine:
            self.count, self._other = self._other, self.count
        if len(times) == STEPS or (len(times) > 1 and times[-1] > TOO_SLOW * mine):
            self._times, self._due = {}, time.monotonic() + AGAIN
