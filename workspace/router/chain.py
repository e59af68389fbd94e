"""What comes after a failed call: the same model once more, another one, or nobody. The one owner of retries.

Pure: failures in, the next step out. A failure that a second call can't change (a wrong key, a bad request) is never
retried; what is too long for a window goes only to a longer one; a wait that a provider asks for is kept, unless
another model can answer sooner.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workspace.router.catalog import Candidate
from workspace.types import Failure

RETRIES = 1  # of one model, besides its first call
LONGEST_WAIT = 20.0  # seconds that a person is made to wait for a provider that asks for it
SHORT_WAIT = 1.0  # seconds under which the same model is waited for although another could answer

REQUESTS_OWN_FAULT = {"bad_request", "refused_content"}  # another model is not asked to make up for it
PROVIDERS_OWN_FAULT = {"auth", "quota"}  # every model of that provider would say the same
WORTH_RETRYING = {"rate_limited", "overloaded", "server_error", "unreachable", "cut_off"}


@dataclass(frozen=True, slots=True)
class Next:
    """Who is called next, after how many seconds."""

    candidate: Candidate
    wait: float = 0.0


class Chain:
    def __init__(self, names: Sequence[str], candidates: Mapping[str, Candidate]) -> None:
        self._waiting = [candidates[name] for name in names]
        self._current = self._waiting.pop(0)
        self._tries = 1

    @property
    def first(self) -> Candidate:
        return self._current

    @property
    def spare(self) -> Candidate | None:
        """Who would be called next."""
        return self._waiting[0] if self._waiting else None

    def after(self, failure: Failure, *, by: Candidate, spoke: bool, left: float) -> Next | None:
        """``by`` is who failed: the current one, or the spare that had outrun it. ``spoke`` says whether there is text
        to go on from, ``left`` the seconds of the whole deadline."""
        if by is not self._current:
            self.without(by)
            self._current, self._tries = by, 1
        if failure.code in REQUESTS_OWN_FAULT or left <= 0:
            return None
        others = self._others(failure, spoke)
        wait = self._wait(failure, left)
        if wait is not None and (not others or wait <= SHORT_WAIT):
            self._tries += 1
            return Next(self._current, wait)
        if not others:
            return None
        self._current, *self._waiting = others  # who was left out now would fail later in the same way
        self._tries = 1
        return Next(self._current)

    def passed_by(self) -> Next | None:
        """The current one is not to be called just now; the next in line."""
        if not self._waiting:
            return None
        self._current, self._tries = self._waiting.pop(0), 1
        return Next(self._current)

    def without(self, candidate: Candidate) -> None:
        """It had its call, in a race."""
        self._waiting = [each for each in self._waiting if each is not candidate]

    def _others(self, failure: Failure, spoke: bool) -> list[Candidate]:
        others = [c for c in self._waiting if not (spoke and c.kind == "quotes")]  # it can't finish a sentence
        if failure.code in PROVIDERS_OWN_FAULT:
            return [c for c in others if c.provider_name != self._current.provider_name]
        if failure.code == "context_overflow":
            known = self._current.window or 0
            return [c for c in others if c.window and c.window > known]
        return others

    def _wait(self, failure: Failure, left: float) -> float | None:
        """Seconds until the same model is called again; ``None`` when it is not."""
        if failure.code not in WORTH_RETRYING or self._tries > RETRIES:
            return None
        wait = failure.retry_after or random.uniform(0.1, 0.4)  # apart, so that a crowd does not come back at once
        return wait if wait <= min(LONGEST_WAIT, left) else None
