"""Joining what one model wrote to what the next one goes on with, without a sentence said twice.

A model that can't be made to go on in the middle of its own words often begins by repeating the last of them, or all
of them. The first characters of a continuation are held until it is plain whether they do.
"""

from __future__ import annotations

LEAST = 24  # characters; a shorter repetition may be meant
LETTERS = 8  # different ones: a line of dashes goes on with dashes, and repeats nothing


class Joiner:
    """What comes out is what went in, whole and in order, less one repetition of the end at its beginning."""

    def __init__(self, so_far: str) -> None:
        self._so_far = so_far
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
        start = self._so_far.find(held[:LEAST]) if len(held) >= LEAST else -1
        while start >= 0:
            said = self._so_far[start:]
            if held.startswith(said) and len(set(said)) >= LETTERS:
                return held[len(said) :]
            start = self._so_far.find(held[:LEAST], start + 1)
        return held

    def _may_repeat(self, held: str) -> bool:
        """Whether ``held`` is some part of what was said, the end of which is still to come."""
        start = self._so_far.find(held)
        return 0 <= start < len(self._so_far) - len(held)
