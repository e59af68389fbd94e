"""Joining what one model wrote to what the next one goes on with, without a sentence said twice.

A model that can't be made to go on in the middle of its own words often begins by repeating the last of them. The
first characters of a continuation are held until it is plain whether they do.
"""

from __future__ import annotations

SEEN = 240  # characters of the end that a continuation may repeat
LEAST = 24  # a shorter repetition may be meant


class Joiner:
    def __init__(self, so_far: str) -> None:
        self._end = so_far[-SEEN:]
        self._held: str | None = "" if len(so_far) >= LEAST else None

    def take(self, text: str) -> str:
        """What to append now."""
        if self._held is None:
            return text
        self._held += text
        return "" if self._may_repeat(self._held) else self.rest()

    def rest(self) -> str:
        """What is held back, less what was said before; nothing is held afterwards."""
        held, self._held = self._held or "", None
        for length in range(min(len(held), len(self._end)), LEAST - 1, -1):
            if self._end.endswith(held[:length]):
                return held[length:]
        return held

    def _may_repeat(self, held: str) -> bool:
        """Whether ``held`` is the beginning of some repetition of the end that is not over yet."""
        return any(self._end.startswith(held, start) for start in range(len(self._end) - len(held)))
