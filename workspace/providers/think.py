"""Splits a ``<think>`` off the very start of an answer, wherever its tags are cut. Later ones are text."""

from __future__ import annotations

from collections.abc import Iterator

from workspace.types import Delta, Reasoning

OPEN, CLOSE = "<think>", "</think>"


class Think:
    """The tags and the space around a thought belong to neither side, so space is held until words follow."""

    def __init__(self) -> None:
        self._held = ""
        self._read = self._start

    @property
    def done(self) -> bool:
        """Nothing is left to split: text may pass by."""
        return self._read == self._answer and not self._held

    def feed(self, text: str) -> Iterator[Delta | Reasoning]:
        self._held += text
        yield from self._read()

    def end(self) -> Iterator[Delta | Reasoning]:
        """What was held back when the answer ended; a cut-off thought ends in no half tag."""
        held, self._held = self._held, ""
        if self._read == self._start and held:
            yield Delta(held)
        elif self._read == self._inside and held.strip():
            yield Reasoning(held.rstrip())

    def _start(self) -> Iterator[Delta | Reasoning]:
        begun = self._held.lstrip()
        if begun.startswith(OPEN):
            self._held, self._read = begun[len(OPEN) :], self._first_thought
            yield from self._read()
        elif not OPEN.startswith(begun):
            yield Delta(self._held)
            self._held, self._read = "", self._answer

    def _first_thought(self) -> Iterator[Delta | Reasoning]:
        self._held = self._held.lstrip()
        if self._held:
            self._read = self._inside
            yield from self._read()

    def _inside(self) -> Iterator[Delta | Reasoning]:
        thought, tag, rest = self._held.partition(CLOSE)
        if tag:
            if thought.strip():
                yield Reasoning(thought.rstrip())
            self._held, self._read = rest, self._first_answer
            yield from self._read()
            return
        half = next((n for n in range(len(CLOSE) - 1, 0, -1) if thought.endswith(CLOSE[:n])), 0)
        shown = thought[: len(thought) - half].rstrip()
        if shown:
            yield Reasoning(shown)
        self._held = thought[len(shown) :]

    def _first_answer(self) -> Iterator[Delta | Reasoning]:
        self._held = self._held.lstrip()
        if self._held:
            self._read = self._answer
            yield from self._read()

    def _answer(self) -> Iterator[Delta | Reasoning]:
        held, self._held = self._held, ""
        if held:
            yield Delta(held)
