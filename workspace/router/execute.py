"""The one way from a request to an answer: decision, evidence, calls, and the manifest of it all.

First byte is the commit point: before it the next model is tried silently; after it the text is kept, and whoever
comes next goes on from it. It stores nothing but a reservation in a budget, and knows no chat and no socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.utils import timezone

from retrieval import support
from retrieval.search import Found
from workspace.blobs import read_blob
from workspace.providers.base import Call, ProviderError
from workspace.router import catalog as catalogs
from workspace.router import money, rollout, situation
from workspace.router.attempt import Calling
from workspace.router.catalog import Candidate, Catalog, Template
from workspace.router.chain import Chain, Next
from workspace.router.configuration import Route
from workspace.router.decide import QUOTES, NoModel, decide, still_fit
from workspace.router.grounding import look_up, on_route
from workspace.router.health import health
from workspace.router.joining import Joiner
from workspace.router.prompts import Prompt, build, digest_of, variables_of
from workspace.router.race import allowance, race
from workspace.router.rollout import Shadow
from workspace.router.situation import Situation
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
from workspace.writes import writer

HEDGE_AFTER = 2.0  # seconds
HEDGES = 5.0  # of a hundred calls, at most
EFFORT = "medium"  # of a model that is asked to reason, by no more than a switch


class Execution:
    """One request on its way to an answer. ``manifest`` can be asked at any moment: a stopped run has one too."""

    def __init__(
        self,
        request: Request,
        *,
        run_id: str = "",
        decided: Decision | None = None,
        looking: asyncio.Future[Found] | None = None,
    ) -> None:
        """``looking`` is a search that others wait for too: whoever stops, it goes on."""
        self._request = request
        self._looking = looking
        self._decided = decided
        self._run_id = run_id
        self._began = time.monotonic()
        self._timings = Timings()
        self._decision: Decision | None = None
        self._route: Route | None = None
        self._situation = Situation(facts={})
        self._catalog: Catalog | None = None
        self._evidence: tuple[Evidence, ...] = ()
        self._searched: tuple[Mapping[str, object], ...] = ()
        self._collections: tuple[Mapping[str, object], ...] = ()
        self._seed = request.seed
        self._grounding = request.grounding
        self._calling: Calling | None = None
        self._wrote: Calling | None = None  # the call whose words came last
        self._open: list[Calling] = []  # calls that have begun and are not recorded yet
        self._attempts: list[Attempt] = []
        self._text: list[str] = [request.so_far] if request.so_far else []
        self._uncited = 0

    @property
    def model(self) -> str:
        """The name of the model that is called now."""
        return self._calling.candidate.name if self._calling else ""

    def routed(self) -> str:
        """The model that the routes would have called, where the person chose one: the label of an override."""
        if not self._request.model or self._catalog is None:
            return ""
        try:
            return decide(
                replace(self._request, model=""),
                self._catalog,
                facts=self._situation.facts,
                unhealthy=self._situation.unhealthy,
                unaffordable=self._situation.unaffordable,
            ).model
        except NoModel:
            return ""

    def shadowed(self) -> Shadow | None:
        """What the version that is tried says of this request, where the routes chose."""
        if self._catalog is None or self._catalog.trial is None or self._request.model:
            return None
        return rollout.shadow(self._request, self._catalog, self._situation)

    async def events(self) -> AsyncGenerator[Event, None]:
        """The story, in order; the last event is ``Finished`` unless the caller closes or cancels."""
        failure: Failure | None = None
        try:
            decision = await self._decide()
            if self._decided is None:
                yield Decided(decision)
            for part in (self._gather(), self._answer()):
                async with contextlib.aclosing(part) as events:  # a stop must find every call recorded
                    async for event in events:
                        yield event
        except NoModel as refused:
            failure = refused.failure
        except ProviderError as error:
            failure = error.failure
        if self._attempts:
            yield UsageReported(_sum_of(self._attempts))
        yield Finished(self.manifest("".join(self._text)), failure)

    def manifest(self, text: str, *, stopped: bool = False) -> Manifest:
        """What made the answer so far; ``text`` is the whole of it, for its digest and its support."""
        calling = self._wrote if self._wrote and not (self._calling and self._calling.ended) else self._calling
        prompt = calling.prompt if calling else None
        candidate = calling.candidate if calling else None
        template = self._catalog.template if self._catalog and prompt and self._request.system is None else None
        attempts = tuple(self._attempts)
        costs = [attempt.cost for attempt in attempts]
        return Manifest(
            model=candidate.name if candidate else "",
            model_version=candidate.version_id if candidate else None,
            provider=candidate.provider_name if candidate else "",
            provider_version=candidate.provider_version_id if candidate else None,
            upstream_model=candidate.upstream if candidate else "",
            resolved_model=calling.ended.model if calling and calling.ended else "",
            parameters=calling.parameters if calling else {},
            asked=self._asked(candidate) if candidate and self._decision else {},
            prompt_template=template.name if template else "",
            prompt_template_version=template.version_id if template else None,
            variables=self._request.variables if template else {},
            system=self._request.system,
            system_digest=sha256(prompt.system) if prompt else "",
            versions=self._versions(candidate, template),
            conversation=_told(prompt) if prompt else {},
            collections=self._collections,
            decision=self._decision,
            evidence=self._evidence,
            searched=self._searched,
            seed=self._seed,
            finish_reason="stopped" if stopped else calling.ended.finish_reason if calling and calling.ended else "",
            usage=_sum_of(attempts) if attempts else None,
            cost=sum((c for c in costs if c is not None), money.NOTHING) if attempts and None not in costs else None,
            timings=replace(self._timings, total=self._elapsed()),
            attempts=attempts,
            support=support.check(text, self._evidence, self._request.question) if self._evidence and text else None,
            uncited=self._uncited,
            text_digest=sha256(text),
        )

    def _versions(self, candidate: Candidate | None, template: Template | None) -> dict[str, str]:
        """Digests of the rows that the manifest names, by their names there."""
        told = {"model": candidate.digest, "provider": candidate.provider_digest} if candidate else {}
        told["prompt template"] = template.digest if template else ""
        told["router"] = self._catalog.router_digest if self._catalog and self._decision else ""
        return {name: digest for name, digest in told.items() if digest}

    async def _decide(self) -> Decision:
        await health.listen()
        request = self._request
        catalog = rollout.arm(await catalogs.load(), request)
        self._catalog = await catalogs.pinned(catalog, request)
        self._request = self._with_variables(request, self._catalog.template)
        self._situation = await situation.look(self._request, self._catalog)
        if self._decided:
            decision = still_fit(self._decided, self._request, self._catalog)
        else:
            decision = decide(
                self._request,
                self._catalog,
                facts=self._situation.facts,
                unhealthy=self._situation.unhealthy,
                unaffordable=self._situation.unaffordable,
            )
        self._decision = decision
        self._route = self._catalog.configuration.route(decision.route)
        self._timings = replace(self._timings, decided=self._elapsed())
        if self._route and not self._request.alone:
            self._grounding = await on_route(self._request, self._route.grounding)
        return decision

    @property
    def _grounded(self) -> bool:
        given = self._looking is not None or self._request.evidence is not None
        asked = self._grounding
        return given or bool(asked.collections or asked.attached or asked.web)

    async def _gather(self) -> AsyncGenerator[Event, None]:
        if not self._grounded:
            return
        yield StepTaken("Searching the web" if self._grounding.web else "Reading the documents")
        search = self._looking or look_up(replace(self._request, grounding=self._grounding))
        found = await (asyncio.shield(search) if isinstance(search, asyncio.Future) else search)
        self._evidence, self._searched, self._collections = found.evidence, found.searched, found.collections
        self._timings = replace(self._timings, evidence=self._elapsed())
        yield EvidenceFound(found.evidence)
        count = len(found.evidence)
        said = f"Reading {count} passage{'' if count == 1 else 's'}" if count else "No passage fits the question"
        yield StepTaken(f"{said}. {found.note}" if found.note else said)

    async def _answer(self) -> AsyncGenerator[Event, None]:
        """The one loop over calls."""
        assert self._catalog is not None and self._decision is not None
        fallbacks = () if self._request.alone else self._decision.fallbacks
        chain = Chain([self._decision.model, *fallbacks], self._catalog.candidates)
        step: Next | None = Next(chain.first)
        while step:
            candidate = step.candidate
            if step.wait:
                yield StepTaken(f"Waiting {step.wait:.0f} s for {candidate.name}" if step.wait >= 1 else "Trying again")
                await asyncio.sleep(step.wait)
            failure = await self._reserve(candidate)
            if failure is None and not health.begin(candidate) and (other := chain.passed_by()):
                step = other
                continue
            if failure is None:
                async with contextlib.aclosing(self._call(candidate, chain)) as said:
                    async for event in said:
                        if isinstance(event, Failure):
                            failure = event
                        else:
                            yield event
                assert self._calling is not None
                candidate = self._calling.candidate  # the spare, when it had outrun the other
            if failure is None:
                return
            step = chain.after(failure, by=candidate, spoke=bool(self._text), left=self._left())
            if step is None:
                raise ProviderError(failure)
            yield AttemptFailed(candidate.name, failure)
            if self._text:
                who = "it" if step.candidate is candidate else step.candidate.name
                yield StepTaken(f"{candidate.name} broke off; {who} goes on")

    def _thinking(self, candidate: Candidate) -> dict[str, str]:
        """Who asks for reasoning gets it from a model that can, unless somebody set how much."""
        wanted = self._request.requires_reasoning and "reasoning" in candidate.abilities
        return {"reasoning_effort": EFFORT} if wanted else {}

    async def _call(self, candidate: Candidate, chain: Chain) -> AsyncGenerator[Event | Failure, None]:
        """One call's words; a failure comes last. However it ends, it is recorded, and so is one it was raced by."""
        self._calling = self._begin(candidate)
        joiner = Joiner("".join(self._text)) if self._text else None
        failure: Failure | None = None
        over = False
        try:
            async with contextlib.aclosing(self._pieces(self._calling, chain)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, StepTaken):
                        yield piece
                        continue
                    self._note_first(piece)
                    text = joiner.take(piece.text) if joiner and type(piece) is Delta else piece.text
                    if type(piece) is not Delta:
                        yield piece
                    elif text:
                        self._wrote = self._calling
                        self._text.append(text)
                        yield Delta(text)
            over = True
        except ProviderError as error:
            failure, over = error.failure, True
        finally:
            for calling in list(self._open):
                self._record(calling, failure)
            if over:
                health.note(self._calling.candidate, failure)
        if joiner and failure is None and (rest := joiner.rest()):  # half a repetition is nothing to go on from
            self._text.append(rest)
            yield Delta(rest)
        if failure:
            yield failure

    async def _pieces(self, calling: Calling, chain: Chain) -> AsyncGenerator[Delta | Reasoning | StepTaken, None]:
        """What the model says; where a slow one is raced, what the first to speak says."""
        assert self._catalog is not None
        spare = chain.spare
        hedge = self._catalog.configuration.hedge
        allowance.called()
        if not hedge or spare is None or spare.kind == QUOTES or self._text:
            async with contextlib.aclosing(calling.pieces()) as pieces:
                async for piece in pieces:
                    yield piece
            return

        async def second() -> Calling | None:
            if not allowance.take(hedge.get("percent", HEDGES)) or await self._reserve(spare):
                return None
            return self._begin(spare) if health.begin(spare) else None

        def lost(other: Calling, failure: Failure) -> None:
            self._record(other, failure)
            self._calling = self._open[0]
            chain.without(other.candidate)
            health.note(other.candidate, failure)

        race_ = race(calling, second, after=hedge.get("after_s", HEDGE_AFTER), lost=lost)
        async with contextlib.aclosing(race_) as said:
            async for self._calling, words in said:
                yield words

    def _begin(self, candidate: Candidate) -> Calling:
        assert self._catalog is not None and self._decision is not None
        so_far = "".join(self._text)
        prompt = build(self._request, candidate, self._evidence, self._catalog.template)
        call = Call(
            address=candidate.address,
            model=candidate.upstream,
            messages=prompt.messages,
            system=prompt.system,
            unquoted=prompt.unquoted,
            evidence=prompt.passages,
            grounded=self._grounded,
            abilities=candidate.abilities,
            parameters=self._asked(candidate),
            seed=self._seed_of(candidate),
            so_far=so_far,
            chat=self._request.chat_id,
            first_token_deadline=(self._route.first_token_s if self._route else None) or settings.FIRST_TOKEN_DEADLINE,
            idle_deadline=settings.IDLE_DEADLINE,
            deadline=time.monotonic() + self._left(),
            read_blob=read_blob,
        )
        calling = Calling(candidate, call, prompt, began=self._began, offset=len(so_far))
        self._open.append(calling)
        return calling

    def _asked(self, candidate: Candidate) -> dict[str, Any]:
        """Parameters by our names: the request's go before the route's, and those before the model's own."""
        assert self._decision is not None
        given = (candidate.parameters, self._decision.parameters, self._request.parameters)
        return {name: value for one in (self._thinking(candidate), *given) for name, value in one.items()}

    def _seed_of(self, candidate: Candidate) -> int | None:
        """A model that takes a seed always gets one, its own or a new one, so that its answer can be made again."""
        if self._seed is None and candidate.takes_seed:
            own = candidate.parameters.get("seed")
            self._seed = own if isinstance(own, int) else secrets.randbelow(2**31)
        return self._seed

    @staticmethod
    def _with_variables(request: Request, template: Template) -> Request:
        if request.system is not None:
            return replace(request, variables={})
        now = timezone.localtime()
        given = variables_of(template.system, template.variables, request.variables, person=request.user, now=now)
        return replace(request, variables=given)

    def _record(self, calling: Calling, failure: Failure | None) -> None:
        self._open.remove(calling)
        self._attempts.append(calling.attempt(failure))
        self._uncited += calling.citations.dropped

    async def _reserve(self, candidate: Candidate) -> Failure | None:
        """Hold what the call will cost, in the person's budgets and the route's own; a failure says what forbids it."""
        of_route = self._route.budget.get("usd") if self._route else None
        limits = self._situation.limits
        if of_route is None and not limits:
            return None
        amount = situation.estimate(candidate, self._request, self._situation.past)
        if amount is None:
            return money.unpriced(candidate.name)
        spent = [attempt.cost or money.NOTHING for attempt in self._attempts]
        running = [situation.estimate(each.candidate, self._request, self._situation.past) for each in self._open]
        spent += [cost or money.NOTHING for cost in running]
        if of_route is not None and sum(spent, amount) > Decimal(str(of_route)):
            return money.over_route(candidate.name, of_route)
        if not limits:
            return None
        run_id = self._run_id
        return await writer.submit(lambda: money.reserve(run_id, sum(spent, amount), limits))

    def _note_first(self, piece: Delta | Reasoning) -> None:
        timings = self._timings
        if timings.first_answer_token is not None or (timings.first_token is not None and type(piece) is Reasoning):
            return
        now = self._elapsed()
        first = now if timings.first_token is None else timings.first_token
        self._timings = replace(timings, first_token=first, first_answer_token=now if type(piece) is Delta else None)

    def _left(self) -> float:
        total = (self._route.total_s if self._route else None) or settings.TOTAL_DEADLINE
        return total - self._elapsed()

    def _elapsed(self) -> float:
        return time.monotonic() - self._began


def _told(prompt: Prompt) -> dict[str, Any]:
    """The messages that were sent, by digest, and what the window left out."""
    return {
        "messages": len(prompt.messages),
        "digest": digest_of(prompt.messages),
        "dropped_messages": prompt.dropped_messages,
        "dropped_passages": prompt.dropped_passages,
    }


def _sum_of(attempts: Sequence[Attempt]) -> Usage:
    """What all calls of a run took together; a cost that some provider told stays with its call."""
    told = [attempt.usage for attempt in attempts if attempt.usage]
    return Usage(
        input=sum(usage.input for usage in told),
        output=sum(usage.output for usage in told),
        cached=sum(usage.cached for usage in told),
        cache_write=sum(usage.cache_write for usage in told),
        reasoning=sum(usage.reasoning for usage in told),
        estimated=any(usage.estimated and (usage.input or usage.output) for usage in told),
    )
