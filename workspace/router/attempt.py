"""One call of one model: its pieces, and the record of it that is billed.

However a call ends (answered, failed, stopped, outrun), it leaves one ``Attempt`` with its tokens and its cost. What
a provider did not count is estimated and says so; a call that was refused before a word costs nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from decimal import Decimal
from typing import Any

from retrieval.citations import Citations
from workspace.providers.base import Call, Cited, Ended, ProviderError, Ran, Sent, Step
from workspace.providers.registry import provider
from workspace.router import catalog as catalogs
from workspace.router.catalog import Candidate
from workspace.router.prompts import Prompt, estimate_tokens
from workspace.types import Attempt, Delta, Failure, Reasoning, Request, StepTaken, Usage

MAY_BE_BILLED = {"timeout", "cut_off", "garbage", "outrun"}  # the provider had begun, though no word came
UNBILLED = Usage(estimated=True)


def single(candidate: Candidate, request: Request, *, system: str, within: float) -> Calling:
    """The one call of a request that has no next candidate: autocomplete, a judge. ``within`` seconds for all of it."""
    prompt = Prompt(system, request.messages)
    now = time.monotonic()
    call = Call(
        address=candidate.address,
        model=candidate.upstream,
        messages=prompt.messages,
        system=prompt.system,
        abilities=candidate.abilities,
        parameters={**candidate.parameters, **request.parameters},
        first_token_deadline=within,
        idle_deadline=within,
        deadline=now + within,
    )
    return Calling(candidate, call, prompt, began=now)


class Calling:
    """``offset`` is how many characters of the answer there were before; ``began`` the moment that times count from,
    on ``time.monotonic``."""

    def __init__(self, candidate: Candidate, call: Call, prompt: Prompt, *, began: float, offset: int = 0) -> None:
        self.candidate = candidate
        self.prompt = prompt
        self.parameters: dict[str, Any] = {}
        self.usage: Usage | None = None
        self.ended: Ended | None = None
        self.first_token: float | None = None
        self.first_answer_token: float | None = None
        self.last_token: float | None = None
        self.steps: list[str] = []
        self.ran: list[Mapping[str, Any]] = []
        self.citations = Citations(prompt.passages, active=call.grounded, so_far=call.so_far)
        self._call = call
        self._began = began
        self._offset = offset
        self._started = time.monotonic() - began
        self._said = 0

    async def pieces(self) -> AsyncGenerator[Delta | Reasoning | StepTaken, None]:
        """What the model says, with citations of what it was given alone. Raises ProviderError."""
        try:
            async with contextlib.aclosing(self._said_by_provider()) as pieces:
                async for piece in pieces:
                    if type(piece) is Delta:
                        text = self.citations.take(piece.text)
                    elif isinstance(piece, Cited):
                        text = self.citations.cite(number=piece.number, url=piece.url, title=piece.title)
                    else:
                        yield piece
                        continue
                    if text:
                        yield piece if type(piece) is Delta and text == piece.text else Delta(text)
        except ProviderError:
            if text := self.citations.rest():  # no word is lost with the call
                yield Delta(text)
            raise
        if text := self.citations.rest():
            yield Delta(text)

    async def _said_by_provider(self) -> AsyncGenerator[Delta | Reasoning | StepTaken | Cited, None]:
        stream = provider(self.candidate.kind).stream(self._call)
        async with contextlib.aclosing(stream) as said:  # type: ignore[type-var]
            async for piece in said:
                if type(piece) is Delta or type(piece) is Reasoning:
                    self.last_token = time.monotonic() - self._began
                    if self.first_token is None:
                        self.first_token = self.last_token
                    if self.first_answer_token is None and type(piece) is Delta:
                        self.first_answer_token = self.last_token
                    self._said += len(piece.text)
                    yield piece
                elif isinstance(piece, Step):
                    self.steps.append(piece.text)
                    yield StepTaken(piece.text)
                elif isinstance(piece, Ran):
                    self.ran.append(piece.how)
                elif isinstance(piece, Cited):
                    yield piece
                elif isinstance(piece, Usage):
                    self.usage = piece
                elif isinstance(piece, Sent):
                    self.parameters = dict(piece.parameters)
                elif isinstance(piece, Ended):
                    self.ended = piece

    def attempt(self, failure: Failure | None = None) -> Attempt:
        """The record of the call, which is over."""
        usage = self.usage or self._estimate(failure)
        return Attempt(
            model=self.candidate.name,
            model_version=self.candidate.version_id,
            started=self._started,
            ended=time.monotonic() - self._began,
            first_token=self.first_token,
            first_answer_token=self.first_answer_token,
            last_token=self.last_token,
            offset=self._offset,
            failure=failure,
            usage=usage,
            steps=tuple(self.steps),
            ran=tuple(self.ran),
            cost=catalogs.cost(self.candidate, usage) if usage != UNBILLED else Decimal(0),
        )

    def _estimate(self, failure: Failure | None) -> Usage:
        if failure and not self._said and failure.code not in MAY_BE_BILLED:
            return UNBILLED
        sent = sum(estimate_tokens(part.text) for message in self.prompt.messages for part in message.parts)
        sent += estimate_tokens(self.prompt.system) + estimate_tokens(self._call.so_far)
        return Usage(input=sent, output=-(-self._said // 4), estimated=True)
