"""What somebody says by asking another model for an answer that the router had from one: a label of both.

It is kept once the other has answered. The words are embedded and forgotten, as of every label; where nothing can
embed them, there is no label.
"""

from __future__ import annotations

import asyncio
import logging

from workspace.hosts import link
from workspace.providers.models import LanguageModel
from workspace.router import score
from workspace.router.models import RouterLabel
from workspace.writes import writer

logger = logging.getLogger(__name__)

WITHIN = 5.0  # seconds for the embedding: nobody waits for it


async def note(prompt: str, *, left: str, taken: str) -> None:
    """``left`` answered by the router's choice, ``taken`` was asked in its place; both are names of models."""
    try:
        async with asyncio.timeout(WITHIN):
            (embedding,) = await link.aembed([prompt])
    except (link.HostUnavailable, TimeoutError) as error:
        logger.info("An override is not kept as a label: %s", error)
        return
    await writer.submit(lambda: _keep(prompt, embedding, {left: 0.0, taken: 1.0}))


def _keep(prompt: str, embedding: list[float], outcomes: dict[str, float]) -> None:
    for name, model_id in LanguageModel.objects.filter(name__in=outcomes).values_list("name", "pk"):
        score.remember(
            prompt=prompt,
            embedding=embedding,
            model_id=model_id,
            outcome=outcomes[name],
            source=RouterLabel.Source.OVERRIDE,
        )
