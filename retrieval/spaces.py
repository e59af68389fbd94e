"""Which model makes vectors, and in which index they lie: the one place that embeds for search.

A question is embedded once, whoever asks for it in the same turn: search, the web's ranking, the learned score. A model
that does not answer is ``HostUnavailable``, whether it lives on this machine or behind an address.
"""

from __future__ import annotations

import asyncio
import math
import weakref
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from retrieval.chunks import estimate
from retrieval.models import EmbeddingModel
from workspace import tls
from workspace.hosts import link
from workspace.hosts.link import HostUnavailable
from workspace.sealing import seal, unseal

PURPOSE = b"onepane embedding keys"
KEPT = 256  # questions whose vectors are kept
COUNTED = 64  # passages whose tokens are counted at once: a question waits for so many
PATIENCE = 60.0  # seconds that an address has for a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Space:
    """An embedding model with what it has to be told. ``id`` is 0 of MiniLM, which is there without a row."""

    id: int = 0
    name: str = "MiniLM"
    kind: str = EmbeddingModel.Kind.BUILT_IN
    model: str = link.EMBEDDING
    base_url: str = ""
    key: str = ""
    question_prefix: str = ""
    passage_prefix: str = ""
    window: int = 256

    def index(self, collection: object) -> str:
        """The name of a collection's index in this space."""
        return f"{collection}.{self.id}" if self.id else str(collection)


BUILT_IN = Space()
_Asked = OrderedDict[tuple[int, str], "asyncio.Future[list[float]]"]
_asked: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Asked] = weakref.WeakKeyDictionary()


def current() -> Space:
    """The space that is searched."""
    return _space_in(EmbeddingModel.State.CURRENT) or BUILT_IN


def building() -> Space | None:
    """The space whose index is being built, beside the one that is searched."""
    return _space_in(EmbeddingModel.State.BUILDING)


def space_of(row: EmbeddingModel) -> Space:
    is_built_in = row.kind == EmbeddingModel.Kind.BUILT_IN
    return Space(
        id=row.pk or 0,
        name=row.name,
        kind=row.kind,
        model=link.EMBEDDING if is_built_in else row.model,
        base_url=row.base_url,
        key=unseal(bytes(row.encrypted_key), purpose=PURPOSE) if row.encrypted_key else "",
        question_prefix=row.question_prefix,
        passage_prefix=row.passage_prefix,
        window=row.window,
    )


def sealed(key: str) -> bytes:
    return seal(key, purpose=PURPOSE)


def embed(space: Space, passages: Sequence[str]) -> list[list[float]]:
    """Vectors of passages, for background work. Raises HostUnavailable."""
    texts = [space.passage_prefix + text for text in passages]
    if space.kind != EmbeddingModel.Kind.REMOTE:
        return link.embed(texts) if space.model == link.EMBEDDING else link.embed(texts, model=space.model)
    try:
        with httpx.Client(timeout=PATIENCE, verify=tls.context()) as client:
            return _read(client.post(**_request(space, texts)), len(texts))
    except httpx.HTTPError as error:
        raise HostUnavailable(f"{space.name} does not answer: {error!r}") from None


def too_long(space: Space, passages: Sequence[str]) -> list[int]:
    """The places of those that the model would not read to their end. On this machine it counts itself; of one behind
    an address the length is estimated. Raises HostUnavailable."""
    texts = [space.passage_prefix + text for text in passages]
    lengths: list[int] = []
    for start in range(0, len(texts), COUNTED):
        some = texts[start : start + COUNTED]
        if space.kind == EmbeddingModel.Kind.REMOTE:
            lengths += [estimate(text) + 2 for text in some]
        else:
            lengths += link.lengths(some, model=space.model)
    return [place for place, length in enumerate(lengths) if length > space.window]


async def aembed(space: Space, texts: Sequence[str]) -> list[list[float]]:
    """Vectors of texts as they are, on the path of a question. Raises HostUnavailable."""
    if space.kind != EmbeddingModel.Kind.REMOTE:
        wanted = {} if space.model == link.EMBEDDING else {"model": space.model}
        return await link.aembed(texts, **wanted)
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, verify=tls.context()) as client:
            return _read(await client.post(**_request(space, texts)), len(texts))
    except httpx.HTTPError as error:
        raise HostUnavailable(f"{space.name} does not answer: {error!r}") from None


async def question(space: Space, text: str) -> list[float]:
    """The vector of a question, made once. Whoever stops waiting stops nobody else. Raises HostUnavailable."""
    known = _asked.setdefault(asyncio.get_running_loop(), OrderedDict())
    key = (space.id, text)
    made = known.get(key)
    if made is None or (made.done() and (made.cancelled() or made.exception())):
        made = known[key] = asyncio.ensure_future(_one(space, text))
        made.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting any more
    known.move_to_end(key)
    while len(known) > KEPT:
        known.popitem(last=False)
    return await asyncio.shield(made)


async def _one(space: Space, text: str) -> list[float]:
    [vector] = await aembed(space, [space.question_prefix + text])
    return vector


def _space_in(state: EmbeddingModel.State) -> Space | None:
    row = EmbeddingModel.objects.filter(state=state).first()
    return space_of(row) if row else None


def _request(space: Space, texts: Sequence[str]) -> dict[str, Any]:
    headers: Mapping[str, str] = {"Authorization": f"Bearer {space.key}"} if space.key else {}
    body = {"model": space.model, "input": list(texts), "encoding_format": "float"}
    return {"url": f"{space.base_url.rstrip('/')}/embeddings", "headers": headers, "json": body}


def _read(response: httpx.Response, count: int) -> list[list[float]]:
    """The vectors in the order of the texts: a server may answer in its own."""
    if response.status_code != 200:
        raise link.unavailable("the embedding model", response)
    try:
        rows = sorted(response.json()["data"], key=lambda row: row["index"])
        vectors = [row["embedding"] for row in rows]
    except (ValueError, KeyError, TypeError):
        raise HostUnavailable("the embedding model answered in no known shape") from None
    if len(vectors) != count:
        raise HostUnavailable(f"the embedding model gave {len(vectors)} vectors for {count} texts")
    return [_unit(vector) for vector in vectors]


def _unit(vector: Sequence[float]) -> list[float]:
    """Of length 1, as those of this machine are: neighbours lean on each other by sums (``leaning.py``)."""
    length = math.hypot(*vector)
    return [value / length for value in vector] if length else list(vector)
