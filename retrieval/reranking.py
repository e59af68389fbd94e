"""The optional second look: a model that reads question and passage together says which passages answer best.

One function, whoever does it: a reranker in the model host, or an address that speaks ``/v1/rerank`` as Cohere, Jina,
vLLM and TEI do (``query``, ``documents`` in; ``results`` of ``index`` and ``relevance_score`` out).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from workspace import tls
from workspace.hosts import link
from workspace.hosts.link import HostUnavailable
from workspace.sealing import seal, unseal

PURPOSE = b"onepane reranker keys"
LOCAL, REMOTE = "local", "remote"
KINDS = ((LOCAL, "A model of this machine"), (REMOTE, "An address that speaks /v1/rerank"))


@dataclass(frozen=True, slots=True)
class Reranker:
    """``depth`` passages are read; the others are left out."""

    kind: str
    model: str
    base_url: str = ""
    key: str = ""
    depth: int = 30


async def rerank(reranker: Reranker, question: str, texts: Sequence[str]) -> list[float]:
    """For each text how well it answers, in 0..1. Raises HostUnavailable."""
    if reranker.kind == LOCAL:
        scores = await link.rerank(reranker.model, question, texts)
    else:
        scores = await _asked(reranker, question, texts)
    if len(scores) != len(texts) or not all(map(math.isfinite, scores)):
        raise HostUnavailable(f"{reranker.model} gave no score for each passage")
    if all(0 <= score <= 1 for score in scores):
        return scores
    return [1 / (1 + math.exp(-max(-60.0, min(60.0, score)))) for score in scores]  # what it gave are logits


async def _asked(reranker: Reranker, question: str, texts: Sequence[str]) -> list[float]:
    headers = {"Authorization": f"Bearer {reranker.key}"} if reranker.key else {}
    body = {"model": reranker.model, "query": question, "documents": list(texts), "top_n": len(texts)}
    try:
        async with httpx.AsyncClient(timeout=30.0, verify=tls.context()) as client:
            response = await client.post(f"{reranker.base_url.rstrip('/')}/rerank", headers=headers, json=body)
        if response.status_code != 200:
            raise HostUnavailable(f"the reranker answered {response.status_code}: {response.text[:200]}")
        scores = {int(row["index"]): float(row["relevance_score"]) for row in response.json()["results"]}
        return [scores[number] for number in range(len(texts))]
    except httpx.HTTPError as error:
        raise HostUnavailable(f"the reranker does not answer: {error!r}") from None
    except (ValueError, KeyError, TypeError):
        raise HostUnavailable("the reranker answered in no known shape") from None


def sealed(key: str) -> bytes:
    return seal(key, purpose=PURPOSE)


def unsealed(key: bytes) -> str:
    return unseal(key, purpose=PURPOSE) if key else ""
