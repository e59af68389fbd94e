"""From tokens to text as it comes: whole characters only, and nothing of a stop string.

A token may end inside a character, and a stop string may be spread over tokens; what could still become either is
held back until it is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

UNFINISHED = "\ufffd"  # what decoders put where bytes of a character are missing


class Wording:
    """One answer's text. ``stopped`` once a stop string has come."""

    def __init__(self, tokenizer: Any, stops: Sequence[str] = (), *, before: Sequence[int] = ()) -> None:
        """``before`` are the prompt's last tokens: some tokenizers write a space only between words."""
        self._tokenizer = tokenizer
        self._stops = tuple(stop for stop in stops if stop)
        self._tokens = list(before)[-6:]
        self._from = 0  # where the window begins that is decoded again
        self._told = len(self._tokens)  # tokens whose text has been told
        self._held = ""
        self.stopped = False

    def take(self, token: int) -> str:
        """The text that is certain now; often none."""
        self._tokens.append(token)
        known = self._decoded(self._tokens[self._from : self._told])
        text = self._decoded(self._tokens[self._from :])
        if len(text) <= len(known) or text.endswith(UNFINISHED):
            return ""
        self._from, self._told = self._told, len(self._tokens)
        return self._without_stops(text[len(known) :])

    def rest(self) -> str:
        """What was held back, once nothing more comes. Half a character is left out."""
        known = self._decoded(self._tokens[self._from : self._told])
        text = self._decoded(self._tokens[self._from :])[len(known) :].rstrip(UNFINISHED)
        certain = self._without_stops(text)
        held, self._held = self._held, ""
        return certain + held

    def _without_stops(self, text: str) -> str:
        text = self._held + text
        self._held = ""
        places = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if places:
            self.stopped = True
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        if keep:
            self._held = text[-keep:]
            text = text[:-keep]
        return text

    def _decoded(self, tokens: list[int]) -> str:
        decoded: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return decoded


def _overlap(text: str, stop: str) -> int:
    """How much of the end of the text could be the beginning of the stop string."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
