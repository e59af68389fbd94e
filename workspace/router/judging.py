"""A stronger judge of support than the lexical check: the language model that the configuration names.

After a grounded answer has settled it reads each sentence beside the passages and says whether they support it. It goes
through the same decision as every question, so permission, health and budgets hold. What it says is kept beside the
run, whose manifest stays as it was; where it fails or talks past the question, the lexical check stands.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Sequence
from uuid import UUID

from channels.db import database_sync_to_async

from retrieval import support
from retrieval.support import Sentence
from workspace.providers.base import ProviderError
from workspace.router import catalog as catalogs
from workspace.router import money, situation
from workspace.router.attempt import single
from workspace.router.catalog import Candidate
from workspace.router.decide import QUOTES, NoModel, decide
from workspace.router.health import health
from workspace.router.models import Judgement, Run
from workspace.router.money import Spent
from workspace.router.prompts import JUDGE, to_judge
from workspace.types import Attempt, Delta, Evidence, PromptMessage, Request, text_part
from workspace.writes import writer

logger = logging.getLogger(__name__)

ROUTE = "judge"  # what its calls are called in the day's sums
MOST = 40  # sentences of one answer
WITHIN = 60.0  # seconds
_LINE = re.compile(r"^\W*(\d{1,2})\W+(supported|weak|unsupported)\b", re.I | re.M)


async def judge(run_id: UUID) -> bool:
    """Whether a judge was named, could be asked, and judged the run's answer."""
    catalog = await catalogs.load()
    name = catalog.configuration.judge
    if not name:
        return False
    run = await database_sync_to_async(_run)(run_id)
    evidence = tuple(Evidence(**passage) for passage in run.evidence) if run else ()
    if run is None or run.person is None or not support.check(run.text, evidence):
        return False
    claims = support.sentences(run.text, support.grounds(evidence))[:MOST]
    asked = PromptMessage(role="person", parts=(text_part(to_judge(evidence, _texts(run.text, claims))),))
    groups = await database_sync_to_async(lambda: tuple(run.person.groups.values_list("name", flat=True)))()
    request = Request(
        messages=(asked,), person_id=str(run.person.pk), user=run.person.username, groups=groups, model=name,
        parameters={"temperature": 0, "max_tokens": 2_000}, system=JUDGE, alone=True,
    )  # fmt: skip
    known = await situation.look(request, catalog)
    try:
        decision = decide(
            request, catalog, facts=known.facts, unhealthy=known.unhealthy, unaffordable=known.unaffordable
        )
    except NoModel:
        return False
    candidate = catalog.candidates[decision.model]
    if candidate.kind == QUOTES or candidate.name in known.unhealthy:
        return False
    said, attempt = await _ask(candidate, request)
    await writer.submit(lambda: money.settle(_spent(request.person_id, attempt)))
    verdicts = read(said, len(claims))
    if not verdicts:
        logger.info("%s gave no judgement that can be read of run %s.", candidate.name, run_id)
        return False
    marks = [[one.start, one.end, verdicts.get(n, one.verdict)] for n, one in enumerate(claims, start=1)]
    await writer.submit(
        lambda: Judgement.objects.update_or_create(
            run_id=run_id,
            defaults={
                "model": candidate.name, "model_version_id": candidate.version_id, "verdicts": marks,
                "cost": attempt.cost,
            },
        )
    )  # fmt: skip
    return True


def read(said: str, count: int) -> dict[int, str]:
    """The verdicts by the number of their sentence, of so many; what is no line of that form says nothing."""
    found = {int(number): verdict.lower() for number, verdict in _LINE.findall(said)}
    return {number: verdict for number, verdict in found.items() if 1 <= number <= count}


async def _ask(candidate: Candidate, request: Request) -> tuple[str, Attempt]:
    calling = single(candidate, request, system=JUDGE, within=WITHIN)
    text = ""
    try:
        async with contextlib.aclosing(calling.pieces()) as pieces:
            async for piece in pieces:
                if type(piece) is Delta:
                    text += piece.text
    except ProviderError as error:
        health.note(candidate, error.failure)
        return "", calling.attempt(error.failure)
    return text, calling.attempt()


def _run(run_id: UUID) -> Run | None:
    return Run.objects.filter(pk=run_id).select_related("person").first()


def _texts(text: str, claims: Sequence[Sentence]) -> list[str]:
    return [text[one.start : one.end] for one in claims]


def _spent(person_id: str, attempt: Attempt) -> Spent:
    usage = attempt.usage
    return Spent(
        person_id=person_id,
        model=attempt.model,
        route=ROUTE,
        tokens_input=usage.input if usage else 0,
        tokens_output=usage.output if usage else 0,
        cost=attempt.cost,
        runs=1,
        failed=int(attempt.failure is not None),
    )
