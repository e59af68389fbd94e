"""The one loop over attempts: evidence, decision, prompt, provider, and the manifest of it all.

First byte is the commit point: before it the next candidate is tried, after it the text is kept. It stores
nothing and knows no chat and no socket.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from django.conf import settings

from retrieval import support
from retrieval.search import search
from workspace.blobs import read_blob
from workspace.providers.base import Call, Ended, ProviderError, Sent
from workspace.providers.registry import provider
from workspace.router import catalog as catalogs
from workspace.router.catalog import Candidate, Catalog
from workspace.router.decide import NoModel, decide
from workspace.router.facts import facts_of
from workspace.router.prompts import Prompt, build, estimate_tokens
from workspace.types import (
    Attempt,
    AttemptFailed,
    Decided,
    Decision,
    Delta,
    Event,
    Evidence,
    EvidenceFound,
    Failure,
    Finished,
    Manifest,
    Reasoning,
    Request,
    StepTaken,
    Timings,
    Usage,
    UsageReported,
    sha256,
)


class Execution:
    """One request on its way to an answer. ``manifest`` can be asked at any moment: a stopped run has one too."""

    def __init__(self, request: Request, *, run_id: str = "") -> None:
        self._request = request
        self._run_id = run_id
        self._began = time.monotonic()
        self._timings = Timings()
        self._decision: Decision | None = None
        self._candidate: Candidate | None = None
        self._catalog: Catalog | None = None
        self._evidence: tuple[Evidence, ...] = ()
        self._prompt: Prompt | None = None
        self._attempts: list[Attempt] = []
        self._parameters: dict[str, Any] = {}
        self._usage: Usage | None = None
        self._ended: Ended | None = None

    async def events(self) -> AsyncGenerator[Event, None]:
        """The story, in order; the last event is ``Finished`` unless the caller closes or cancels."""
        self._catalog = await catalogs.load()
        failure: Failure | None = None
        try:
            async for event in self._gather():
                yield event
            self._decision = decide(self._request, self._catalog, facts=self._facts())
            self._timings = replace(self._timings, decided=self._elapsed())
            yield Decided(self._decision)
            async for event in self._attempt_each(self._decision):
                yield event
        except NoModel as refused:
            failure = refused.failure
        except ProviderError as error:
            failure = error.failure
        if self._usage is not None:
            yield UsageReported(self._usage)
        yield Finished(self.manifest(""), failure)

    def manifest(self, text: str, *, stopped: bool = False) -> Manifest:
        """What made the answer so far; ``text`` is the whole of it, for its digest, its support and an estimate."""
        candidate, decision, prompt = self._candidate, self._decision, self._prompt
        usage = self._usage or (self._estimate(text) if candidate else None)
        return Manifest(
            model=candidate.name if candidate else "",
            model_version=candidate.version_id if candidate else None,
            provider=candidate.provider_name if candidate else "",
            provider_version=candidate.provider_version_id if candidate else None,
            upstream_model=candidate.upstream if candidate else "",
            resolved_model=self._ended.model if self._ended else "",
            parameters=self._parameters,
            prompt_template=self._catalog.template.name if self._catalog and prompt else "",
            prompt_template_version=self._catalog.template.version_id if self._catalog and prompt else None,
            system_digest=sha256(prompt.system) if prompt else "",
            decision=decision,
            evidence=self._evidence,
            seed=self._request.seed,
            finish_reason="stopped" if stopped else self._ended.finish_reason if self._ended else "",
            usage=usage,
            cost=catalogs.cost(candidate, usage) if candidate and usage else None,
            timings=replace(self._timings, total=self._elapsed()),
            attempts=tuple(self._attempts),
            support=support.check(text, self._evidence) if self._evidence and text else None,
            text_digest=sha256(text),
        )

    async def _gather(self) -> AsyncGenerator[Event, None]:
        grounding = self._request.grounding
        if not grounding.collections:
            return
        yield StepTaken("Reading the documents")
        found = await search(self._request.prompt, collections=grounding.collections)
        self._evidence = found.evidence
        self._timings = replace(self._timings, evidence=self._elapsed())
        yield EvidenceFound(found.evidence)
        count = len(found.evidence)
        said = f"Reading {count} passage{'' if count == 1 else 's'}" if count else "No passage fits the question"
        yield StepTaken(f"{said}. {found.note}" if found.note else said)

    async def _attempt_each(self, decision: Decision) -> AsyncGenerator[Event, None]:
        assert self._catalog is not None
        names = [decision.model, *decision.fallbacks]
        for name in names:
            self._candidate = self._catalog.candidates[name]
            started = self._elapsed()
            spoke = False
            try:
                async with contextlib.aclosing(self._call(self._candidate)) as pieces:
                    async for event in pieces:
                        if not spoke and isinstance(event, Delta | Reasoning):
                            spoke = True
                        yield event
                self._note_attempt(started, failure=None)
                return
            except ProviderError as error:
                self._note_attempt(started, failure=error.failure)
                if spoke or name == names[-1]:
                    raise
                yield AttemptFailed(name, error.failure)

    async def _call(self, candidate: Candidate) -> AsyncGenerator[Event, None]:
        assert self._catalog is not None and self._decision is not None
        self._prompt = prompt = build(self._request, candidate, self._evidence, self._catalog.template)
        call = Call(
            address=candidate.address,
            model=candidate.upstream,
            messages=prompt.messages,
            system=prompt.system,
            evidence=self._evidence,
            grounded=bool(self._request.grounding.collections),
            abilities=candidate.abilities,
            parameters={**candidate.parameters, **self._decision.parameters, **self._request.parameters},
            seed=self._request.seed,
            so_far=self._request.so_far,
            first_token_deadline=self._first_token_deadline(self._decision),
            idle_deadline=settings.IDLE_DEADLINE,
            read_blob=read_blob,
        )
        async with contextlib.aclosing(provider(candidate.kind).stream(call)) as pieces:  # type: ignore[type-var]
            async for piece in pieces:
                if type(piece) is Delta or type(piece) is Reasoning:
                    if self._timings.first_token is None or (
                        self._timings.first_answer_token is None and type(piece) is Delta
                    ):
                        self._note_first(piece)
                    yield piece
                elif isinstance(piece, Usage):
                    self._usage = piece
                elif isinstance(piece, Sent):
                    self._parameters = dict(piece.parameters)
                elif isinstance(piece, Ended):
                    self._ended = piece

    def _facts(self) -> dict[str, Any]:
        request = self._request
        return facts_of(request, user=request.user or None, groups=request.groups if request.user else None)

    def _first_token_deadline(self, decision: Decision) -> float:
        assert self._catalog is not None
        route = self._catalog.configuration.route(decision.route)
        return (route.first_token_s if route else None) or settings.FIRST_TOKEN_DEADLINE

    def _note_first(self, piece: Delta | Reasoning) -> None:
        now = self._elapsed()
        timings = self._timings
        first = now if timings.first_token is None else timings.first_token
        answer = now if timings.first_answer_token is None and type(piece) is Delta else timings.first_answer_token
        self._timings = replace(timings, first_token=first, first_answer_token=answer)

    def _note_attempt(self, started: float, *, failure: Failure | None) -> None:
        assert self._candidate is not None
        self._attempts.append(
            Attempt(
                model=self._candidate.name,
                model_version=self._candidate.version_id,
                started=started,
                ended=self._elapsed(),
                first_token=self._timings.first_token,
                failure=failure,
                usage=self._usage,
            )
        )

    def _estimate(self, text: str) -> Usage:
        sent = self._prompt
        said = sum(estimate_tokens(part.text) for m in sent.messages for part in m.parts) if sent else 0
        system = estimate_tokens(sent.system) if sent else 0
        return Usage(input=said + system, output=estimate_tokens(text), estimated=True)

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


async def run(request: Request) -> AsyncGenerator[Event, None]:
    """The one door to every model: what a request becomes, as events."""
    async with contextlib.aclosing(Execution(request).events()) as events:
        async for event in events:
            yield event
