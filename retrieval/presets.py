"""How a search goes: what an admin set, and what a collection was tuned to. One value crosses the module borders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from retrieval.chunks import OVERLAP, TOKENS, Size
from retrieval.models import Collection, SearchSettings
from retrieval.reranking import Reranker, unsealed
from retrieval.spaces import Space

ALPHA = 0.6  # the share of meaning against words
BUDGET = 1_024  # tokens of evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """``alphas`` are those of collections that have one of their own."""

    alpha: float = ALPHA
    tokens: int = BUDGET
    neighbours: bool = True
    follow_up: bool = True
    reranker: Reranker | None = None
    alphas: Mapping[str, float] = field(default_factory=dict)


def current(collections: Sequence[str] = ()) -> Preset:
    """As it is set now, for a search of these collections."""
    row = SearchSettings.objects.first() or SearchSettings()
    tuned = Collection.objects.filter(pk__in=collections, alpha__isnull=False).values_list("pk", "alpha")
    return Preset(
        alpha=row.alpha,
        tokens=row.tokens,
        neighbours=row.neighbours,
        follow_up=row.follow_up,
        reranker=_reranker(row),
        alphas={str(pk): alpha for pk, alpha in tuned if alpha is not None},
    )


def size(*spaces: Space) -> Size:
    """How documents are cut: as it is set, for models that read at least so much."""
    row = SearchSettings.objects.first()
    window = min(space.window for space in spaces)
    tokens, overlap = (row.chunk_tokens, row.chunk_overlap) if row else (TOKENS, OVERLAP)
    return Size(tokens, overlap, window)


def _reranker(row: SearchSettings) -> Reranker | None:
    if not row.reranker:
        return None
    key = unsealed(bytes(row.encrypted_reranker_key))
    return Reranker(row.reranker, row.reranker_model, row.reranker_url, key, row.rerank_depth)
