"""A stronger judge of support than the lexical check: the language model that the configuration names.

After a grounded answer has settled it reads each sentence beside the passages and says whether they support it. What
it says is kept beside the run, whose manifest stays as it was; where it may not be asked, fails or talks past the
question, the lexical check stands.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from uuid import UUID

from channels.db import database_sync_to_async

from retrieval import support
from retrieval.support import Sentence
from workspace.router import aside
from workspace.router import catalog as catalogs
from workspace.router.models import Judgement, Run
from workspace.router.prompts import JUDGE, to_judge
from workspace.types import Evidence, PromptMessage, Request, text_part
from workspace.writes import writer

logger = logging.getLogger(__name__)

NAME = "judge"  # what its calls are called in the day's sums
MOST = 40  # sentences of one answer
WITHIN = 60.0  # seconds
_LINE = re.compile(r"^\W*(\d{1,2})\W+(supported|weak|unsupported)\b", re.I | re.M)


async def judge(run_id: UUID, question: str) -> bool:
    """Whether a judge was named, could be asked, and judged the run's answer to the question."""
    catalog = await catalogs.load()
    name = catalog.configuration.judge
    if not name:
        return False
    run = await database_sync_to_async(_run)(run_id)
    evidence = tuple(Evidence(**passage) for passage in run.evidence) if run else ()
    if run is None or run.person is None or not support.check(run.text, evidence, question):
        return False
    claims = support.sentences(run.text, support.grounds(evidence, question))[:MOST]
    asked = PromptMessage(role="person", parts=(text_part(to_judge(evidence, _texts(run.text, claims))),))
    groups = await database_sync_to_async(lambda: tuple(run.person.groups.values_list("name", flat=True)))()
    request = Request(
        messages=(asked,), person_id=str(run.person.pk), user=run.person.username, groups=groups, model=name,
        parameters={"temperature": 0, "max_tokens": 2_000}, system=JUDGE, alone=True,
    )  # fmt: skip
    said = await aside.ask(request, catalog, name=NAME, within=WITHIN)
    verdicts = read(said.text, len(claims)) if said else {}
    if not said or not verdicts:
        logger.info("%s gave no judgement that can be read of run %s.", name, run_id)
        return False
    marks = [[one.start, one.end, verdicts.get(n, one.verdict)] for n, one in enumerate(claims, start=1)]
    await writer.submit(
        lambda: Judgement.objects.update_or_create(
            run_id=run_id,
            defaults={
                "model": said.candidate.name, "model_version_id": said.candidate.version_id, "verdicts": marks,
                "cost": said.attempt.cost,
            },
        )
    )  # fmt: skip
    return True


def read(said: str, count: int) -> dict[int, str]:
    """The verdicts by the number of their sentence, of so many; what is no line of that form says nothing."""
    found = {int(number): verdict.lower() for number, verdict in _LINE.findall(said)}
    return {number: verdict for number, verdict in found.items() if 1 <= number <= count}


def _run(run_id: UUID) -> Run | None:
    return Run.objects.filter(pk=run_id).select_related("person").first()


def _texts(text: str, claims: Sequence[Sentence]) -> list[str]:
    return [text[one.start : one.end] for one in claims]
