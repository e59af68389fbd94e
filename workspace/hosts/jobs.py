"""One answer on its way through the model host, and what it tells."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workspace.hosts.sampling import Sampling
from workspace.hosts.wording import Wording


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something the answer had to wait for or to do without, in words."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What writes the answer from here on. ``context`` are the tokens that its conversation was cut to; ``short`` says
    that for want of memory it is not what would else have written it."""

    precision: str
    device: str
    context: int | None = None
    short: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Why it ended, and what it took."""

    reason: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """``status`` as HTTP would say it."""

    status: int
    message: str


Piece = Text | Step | Ran | End | Failed


@dataclass(eq=False, slots=True, kw_only=True)
class Job:
    """``prompt`` are tokens, ``limit`` is how many may be written; ``chat`` is whose turn it is among others.
    ``pictures`` are what the model is given of pictures beside the prompt's first ``looking`` tokens; ``sight`` is a
    number below 0 for exactly these pictures."""

    prompt: list[int]
    sampling: Sampling
    wording: Wording
    limit: int
    ends: frozenset[int]
    hear: Callable[[Piece], None]
    chat: str = ""
    pictures: Mapping[str, Any] | None = None
    looking: int = 0
    sight: int = 0
    generator: Any = None
    written: list[int] = field(default_factory=list)
    cached: int = 0
    waits: bool = False  # it was told why nothing comes yet
    context: int | None = None  # tokens it was cut to, when memory was short
    came: float = field(default_factory=time.monotonic)
    ran: Ran | None = None  # as it was told last
    gone: threading.Event = field(default_factory=threading.Event)

    @property
    def tokens(self) -> list[int]:
        """All that the model must have read before the next token."""
        return self.prompt + self.written

    @property
    def known_as(self) -> list[int]:
        """The same for comparing: places where pictures stand look alike whatever the picture."""
        return [self.sight, *self.tokens[1:]] if self.pictures else self.tokens

    @property
    def claim(self) -> int:
        """Tokens that it may grow to."""
        return len(self.prompt) + self.limit

    def take(self, token: int) -> list[Piece]:
        """A token was chosen; what there is to tell of it."""
        if token in self.ends:
            return self._ended("stop")
        self.written.append(token)
        text = self.wording.take(token)
        pieces: list[Piece] = [Text(text)] if text else []
        if self.wording.stopped:
            return [*pieces, self._end("stop")]
        if len(self.written) >= self.limit:
            return [*pieces, *self._ended("length")]
        return pieces

    def shorten(self, tokens: int) -> None:
        """Forget the oldest of the prompt but its first few tokens, so that so many are left."""
        first: Sequence[int] = self.prompt[:4]
        self.prompt = [*first, *self.prompt[len(self.prompt) - max(1, tokens - len(first)) :]]
        self.context = tokens
        self.limit = min(self.limit, max(tokens, len(self.written) + 16))

    def _ended(self, reason: str) -> list[Piece]:
        rest = self.wording.rest()
        return [*([Text(rest)] if rest else []), self._end(reason)]

    def _end(self, reason: str) -> End:
        return End(
            reason=reason,
            prompt_tokens=len(self.prompt),
            completion_tokens=len(self.written),
            cached_tokens=self.cached,
        )
