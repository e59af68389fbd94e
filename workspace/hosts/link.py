"""Talking to the hosts: embeddings from one, vectors kept and found by the other, over their Unix sockets.

Synchronous for background work, asynchronous for the path of a question. A host that is starting or gone is
``HostUnavailable``, whatever the transport says.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
from django.conf import settings
from httpx_aiohttp import AiohttpTransport

from workspace.hosts.references import EMBEDDING as EMBEDDING

MODEL_HOST = "model_host"
INDEX_HOST = "index_host"
LOADING = 120.0  # seconds: a model may have to be loaded first
RENEWING = 3600.0  # seconds: a hundred thousand vectors take minutes
PLAIN = False  # no TLS on a socket of our own: to read the system's certificates takes 20 ms, for each client


class HostUnavailable(Exception):
    """The host does not answer yet, or not any more."""


class Declined(HostUnavailable):
    """It answers, and would not do this: asking the same again is in vain."""


class Refused(Exception):
    """The host would not do it; why, in words."""


Clients = dict[str, httpx.AsyncClient]
_clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Clients] = weakref.WeakKeyDictionary()


def socket_of(host: str) -> Path:
    return Path(settings.SOCKET_DIR) / f"{host}.sock"


async def settled() -> str:
    """Wait until the model host has loaded or given up: ``ready``, or why not."""
    try:
        response = await _aclient(MODEL_HOST).get("/health?wait", timeout=120.0)
    except httpx.HTTPError as error:
        raise _unavailable(MODEL_HOST, error) from None
    return str(_read(MODEL_HOST, response)["state"])


async def busy_for() -> float:
    """Seconds that the model host's thread which writes has been at one thing."""
    try:
        response = await _aclient(MODEL_HOST).get("/health", timeout=30.0)
    except httpx.HTTPError as error:
        raise _unavailable(MODEL_HOST, error) from None
    return float(_read(MODEL_HOST, response)["busy_for"])


def embed(texts: Sequence[str], *, model: str = EMBEDDING, of: str = "") -> list[list[float]]:
    """Unit vectors of the texts, in order. ``model`` is any local one for embeddings, by id or folder; ``of`` says what
    the texts are (``query``, ``document``) to models that tell them apart."""
    return _vectors(_post(MODEL_HOST, "/v1/embeddings", {"model": model, "input": list(texts), "input_type": of}))


async def aembed(texts: Sequence[str], *, model: str = EMBEDDING, of: str = "") -> list[list[float]]:
    asked = {"model": model, "input": list(texts), "input_type": of}
    within = 30.0 if model == EMBEDDING else LOADING
    return _vectors(await _apost(MODEL_HOST, "/v1/embeddings", asked, within=within))


def lengths(texts: Sequence[str], *, model: str = EMBEDDING) -> list[int]:
    """How many tokens each text has to a local embedding model, which reads no more of one than its window."""
    return list(_post(MODEL_HOST, "/embeddings/lengths", {"model": model, "input": list(texts)})["lengths"])


def embedding_model(model: str) -> dict[str, int]:
    """What an embedding model of this machine is: its ``window`` and ``dimensions``. It is loaded for that."""
    answer = _post(MODEL_HOST, "/embeddings/about", {"model": model})
    return {"window": int(answer["window"]), "dimensions": int(answer["dimensions"])}


async def rerank(model: str, question: str, texts: Sequence[str]) -> list[float]:
    """How well each text answers a question, from 0 to 1, by a local cross-encoder."""
    asked = {"model": model, "query": question, "documents": list(texts)}
    answer = await _apost(MODEL_HOST, "/v1/rerank", asked, within=LOADING)
    scores = {row["index"]: float(row["relevance_score"]) for row in answer["results"]}
    return [scores[number] for number in range(len(texts))]


async def entailment(model: str, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
    """For each premise and hypothesis the chance of every label of a local cross-encoder, such as ``entailment``."""
    asked = {"model": model, "pairs": list(pairs)}
    return list((await _apost(MODEL_HOST, "/v1/entailment", asked, within=LOADING))["results"])


async def models(also: Sequence[str] = ()) -> dict[str, Any]:
    """Local models: those in memory, of ``also``, and of the Hugging Face cache; and what each device has left."""
    return await _apost(MODEL_HOST, "/models", {"models": list(also)})


async def free_memory() -> int:
    """Bytes that one more local model could take."""
    return int((await _apost(MODEL_HOST, "/memory", {}))["free"])


async def ask(action: str, model: str, **size: int) -> dict[str, Any]:
    """Have a local model looked at, estimated, sized, loaded, unloaded, (un)pinned, downloaded, stopped or deleted;
    ``size`` are the tokens of a ``context`` and the ``answers`` at once. Raises Refused."""
    try:
        response = await _aclient(MODEL_HOST).post(
            f"/models/{action}", content=orjson.dumps({"model": model, **size}), timeout=120.0
        )
    except httpx.HTTPError as error:
        raise _unavailable(MODEL_HOST, error) from None
    answer: dict[str, Any] = orjson.loads(response.content)
    if response.status_code != 200:
        raise Refused(answer["error"]["message"])
    return answer


def upsert(collection: str, *, document: str, ids: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
    _post(INDEX_HOST, f"/collections/{collection}/upsert", {"document": document, "ids": list(ids), "vectors": vectors})


def delete(collection: str, *, document: str) -> None:
    """Remove a document's vectors."""
    _post(INDEX_HOST, f"/collections/{collection}/delete", {"document": document})


def delete_ids(collection: str, ids: Sequence[str]) -> None:
    """Remove single vectors."""
    _post(INDEX_HOST, f"/collections/{collection}/delete", {"ids": list(ids)})


def renew(collection: str) -> None:
    """Write a collection anew, so that no file holds what was deleted from it. It takes as long as it did to fill."""
    _post(INDEX_HOST, f"/collections/{collection}/renew", {}, within=RENEWING)


def ids_of(collection: str) -> dict[str, str]:
    """Every vector of a collection with its document's id."""
    answer = _post(INDEX_HOST, f"/collections/{collection}/ids", {})
    return dict(zip(answer["ids"], answer["documents"], strict=True))


def collections() -> list[str]:
    """The collections that the index has, whether or not anybody knows them still."""
    return list(_post(INDEX_HOST, "/collections", {})["ids"])


def half_renewed() -> list[str]:
    """Those of which something is left of a renewal that was broken off."""
    return list(_post(INDEX_HOST, "/collections", {})["half_renewed"])


def settle(collection: str) -> None:
    """End what a renewal that was broken off left: no vector is lost by it."""
    _post(INDEX_HOST, f"/collections/{collection}/settle", {}, within=RENEWING)


def drop(collection: str) -> None:
    """Remove a collection with all its vectors."""
    _post(INDEX_HOST, f"/collections/{collection}/drop", {})


def count(collection: str) -> int:
    return int(_post(INDEX_HOST, f"/collections/{collection}/count", {})["count"])


async def aquery(
    collections: Mapping[str, Sequence[str]], vector: Sequence[float], limit: int, *, documents: Sequence[str] = ()
) -> dict[str, float]:
    """Ids of the ``limit`` chunks of all the collections that lie nearest, and of those named beside each, with their
    cosine similarity; the nearest of ``documents`` alone, where some are named."""
    asked = {"collections": collections, "vector": vector, "limit": limit, "documents": list(documents)}
    answer = await _apost(INDEX_HOST, "/query", asked)
    return dict(zip(answer["ids"], answer["scores"], strict=True))


def _vectors(answer: dict[str, Any]) -> list[list[float]]:
    return [row["embedding"] for row in answer["data"]]


def _post(host: str, path: str, body: Any, *, within: float = LOADING) -> dict[str, Any]:
    transport = httpx.HTTPTransport(uds=str(_open(host)), verify=PLAIN)
    try:
        with httpx.Client(transport=transport, base_url="http://host", timeout=within, trust_env=False) as client:
            return _read(host, client.post(path, content=orjson.dumps(body)))
    except httpx.HTTPError as error:
        raise _unavailable(host, error) from None


async def _apost(host: str, path: str, body: Any, *, within: float = 30.0) -> dict[str, Any]:
    try:
        return _read(host, await _aclient(host).post(path, content=orjson.dumps(body), timeout=within))
    except httpx.HTTPError as error:
        raise _unavailable(host, error) from None


def _aclient(host: str) -> httpx.AsyncClient:
    """One client for each loop and socket: a question does not wait for a new connection."""
    clients = _clients.setdefault(asyncio.get_running_loop(), {})
    key = str(_open(host))
    if key not in clients:
        transport = AiohttpTransport(uds=key, verify=PLAIN)  # half the processor time of httpx's own
        clients[key] = httpx.AsyncClient(transport=transport, base_url="http://host", timeout=LOADING, trust_env=False)
    return clients[key]


def _open(host: str) -> Path:
    """The socket, when there is one: a connection tried without would leave an open file behind."""
    socket = socket_of(host)
    if not socket.exists():
        raise HostUnavailable(f"the {host.replace('_', ' ')} is not there yet")
    return socket


def _unavailable(host: str, error: httpx.HTTPError) -> HostUnavailable:
    return HostUnavailable(f"the {host.replace('_', ' ')} does not answer: {error!r}")


def unavailable(who: str, response: httpx.Response) -> HostUnavailable:
    """What an answer without what was asked for means: that it never comes, or not yet."""
    status = response.status_code
    kind = Declined if 400 <= status < 500 and status not in (408, 429) else HostUnavailable
    return kind(f"{who} answered {status}: {response.text[:200]}")


def _read(host: str, response: httpx.Response) -> dict[str, Any]:
    if response.status_code != 200:
        raise unavailable(f"the {host.replace('_', ' ')}", response)
    answer: dict[str, Any] = orjson.loads(response.content)
    return answer


async def close() -> None:
    """Close this loop's connections."""
    for client in _clients.pop(asyncio.get_running_loop(), {}).values():
        await client.aclose()
