"""The index host: a child process that owns Chroma. The only file that imports it.

Run as ``python -m workspace.hosts.index_host SOCKET PATH_OR_URL``. Each of our collections is one of
Chroma's (cosine), chosen and authorised by the caller. We compute embeddings ourselves and always pass
them: Chroma's own embedder would reach for the network. Texts stay in our database; Chroma holds vectors and ids.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import re
import subprocess
import sys
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
import numpy as np
import orjson
from aiohttp import web
from chromadb import Collection
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import InternalError, NotFoundError
from numpy.typing import NDArray

from workspace.hosts import leftovers
from workspace.hosts.child import answering, serve

READERS = 4  # threads that search: Chroma searches without Python's lock
COPIED = 500  # vectors at a time: what is written meanwhile waits for so many
# A collection, its copy while it is written anew, and what it was before; a Chroma server may hold others' as well.
_OURS = re.compile(r"(c|copy|old)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.\d+)?)")


class Index:
    """Chroma, written to by one thread and searched by several."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chroma")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="search")
        self._client: ClientAPI | None = None
        self._opening = threading.Lock()
        self._handles: dict[str, Collection] = {}  # looking one up costs as much as a small search
        self._copies: dict[str, Collection] = {}  # of collections that are being written anew
        self._renewing: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=256 * 2**20)
        app.router.add_get("/health", self._health)
        app.router.add_post("/collections", answering(self._list))
        app.router.add_post("/query", answering(self._query))
        app.router.add_post("/collections/{id}/renew", answering(self._renew))
        app.router.add_post("/collections/{id}/settle", answering(self._settle))
        for name in ("upsert", "delete", "count", "ids", "drop"):
            app.router.add_post(f"/collections/{{id}}/{name}", answering(self._handler(getattr(self, f"_{name}"))))
        return app

    def _handler(self, work: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._thread, work, request.match_info["id"], body)
            return web.Response(body=orjson.dumps(answer), content_type="application/json")

        return handle

    async def _list(self, request: web.Request) -> web.Response:
        """The ids of all collections that hold or held a vector, and of those whose renewal was broken off."""
        loop = asyncio.get_running_loop()
        busy = {id for id, lock in self._renewing.items() if lock.locked()}
        found = await loop.run_in_executor(self._thread, lambda: _ours(self._open()))
        half = {id for kind, id in found if kind != "c"} - busy
        return web.json_response({"ids": [id for kind, id in found if kind == "c"], "half_renewed": sorted(half)})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"state": "ready"})

    def _open(self) -> ClientAPI:
        with self._opening:
            self._client = self._client or self._connect()
        return self._client

    def _connect(self) -> ClientAPI:
        quiet = Settings(anonymized_telemetry=False)
        if not _is_remote(self._place):
            client = chromadb.PersistentClient(self._place, settings=quiet)
            for id in {id for kind, id in _ours(client) if kind != "c"}:
                _settle(client, id)
            return client
        url = urlsplit(self._place)
        return chromadb.HttpClient(
            host=url.hostname or "localhost", port=url.port or 8000, ssl=url.scheme == "https", settings=quiet
        )

    def _upsert(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        metadatas: Any = [{"document": body["document"]}] * len(body["ids"])
        for collection in (self._made(f"c-{id}"), self._copies.get(id)):
            if collection:
                collection.upsert(ids=body["ids"], embeddings=body["vectors"], metadatas=metadatas)
        return {"count": len(body["ids"])}

    def _made(self, name: str) -> Collection:
        return self._open().get_or_create_collection(name, metadata={"hnsw:space": "cosine"}, embedding_function=None)

    async def _query(self, request: web.Request) -> web.Response:
        """The nearest of all that several collections hold, which are searched side by side: a request for each costs
        more than its search."""
        body = orjson.loads(await request.read())
        loop = asyncio.get_running_loop()
        each = [
            loop.run_in_executor(self._readers, self._nearest, id, also, body)
            for id, also in body["collections"].items()
        ]
        found = {id: score for one in await asyncio.gather(*each) for id, score in one.items()}
        best = heapq.nlargest(body["limit"], found, key=found.__getitem__)
        named = (id for also in body["collections"].values() for id in also if id in found)
        scores = {id: found[id] for id in (*best, *named)}
        answer = {"ids": list(scores), "scores": list(scores.values())}
        return web.Response(body=orjson.dumps(answer), content_type="application/json")

    def _nearest(self, id: str, also: list[str], body: dict[str, Any]) -> dict[str, float]:
        ends = time.monotonic() + leftovers.BUSY
        while True:
            try:
                return self._searched(id, also, body)
            except NotFoundError:  # another process dropped it, and may have made it anew
                self._handles.pop(id, None)
                return self._searched(id, also, body)
            except InternalError:  # the database is being written anew, and Chroma did not wait that long
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)

    def _searched(self, id: str, also: list[str], body: dict[str, Any]) -> dict[str, float]:
        collection = self._known(id)
        if collection is None:
            return {}
        scores: dict[str, float] = {}
        if body["limit"]:
            where: Any = {"document": {"$in": body["documents"]}} if body["documents"] else None
            asked: Any = {"query_embeddings": [body["vector"]], "n_results": body["limit"], "include": ["distances"]}
            found: Any = collection.query(**asked, where=where)
            scores = dict(zip(found["ids"][0], (1 - distance for distance in found["distances"][0]), strict=True))
        if further := [one for one in also if one not in scores]:
            scores |= _cosines(collection.get(ids=further, include=["embeddings"]), np.array(body["vector"]))
        return scores

    def _delete(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        for collection in (self._fresh(id), self._copies.get(id)):
            if collection and (ids := body.get("ids")):
                collection.delete(ids=ids)
            elif collection:
                collection.delete(where={"document": body["document"]})
        return {}

    async def _renew(self, request: web.Request) -> web.Response:
        """Write a collection anew without what was deleted from it, and remove what is left of that in the files.
        Others search the old one meanwhile, and what they write goes into both. The files of a Chroma server are its
        own, and other hosts write to it, whom no copy here would follow: there nothing is done."""
        id, loop = request.match_info["id"], asyncio.get_running_loop()
        if _is_remote(self._place):
            return web.json_response({"count": 0})
        async with self._renewing[id]:  # a second renewal would take the first one's half copy for its own
            ids = await loop.run_in_executor(self._thread, self._begin_copy, id)
            for start in range(0, len(ids), COPIED):
                await loop.run_in_executor(self._thread, self._copy, id, ids[start : start + COPIED])
            await loop.run_in_executor(self._thread, self._exchange, id)
        return web.json_response({"count": len(ids)})

    async def _settle(self, request: web.Request) -> web.Response:
        """End what a renewal that was broken off left; one that goes on is waited for."""
        id, loop = request.match_info["id"], asyncio.get_running_loop()
        async with self._renewing[id]:
            await loop.run_in_executor(self._thread, lambda: _settle(self._open(), id))
        return web.json_response({})

    def _begin_copy(self, id: str) -> list[str]:
        """The ids to copy. A copy that was begun before and not ended is begun again."""
        self._drop_copy(id)
        old = self._fresh(id)
        if old is None:
            return []
        self._copies[id] = self._made(f"copy-{id}")
        return list(old.get(include=[])["ids"])

    def _drop_copy(self, id: str) -> None:
        self._copies.pop(id, None)
        self._delete_collection(f"copy-{id}")

    def _delete_collection(self, name: str) -> bool:
        """Whether there was one."""
        with contextlib.suppress(NotFoundError, ValueError):
            self._open().delete_collection(name)
            return True
        return False

    def _copy(self, id: str, ids: list[str]) -> None:
        if (old := self._fresh(id)) and (copy := self._copies.get(id)):
            found = old.get(ids=ids, include=["embeddings", "metadatas"])  # without what was deleted meanwhile
            if found["ids"]:
                copy.upsert(ids=found["ids"], embeddings=found["embeddings"], metadatas=found["metadatas"])

    def _exchange(self, id: str) -> None:
        """The copy takes the old one's place; whoever has a handle on the old one looks again."""
        old, copy = self._fresh(id), self._copies.pop(id, None)
        if old and copy:
            old.modify(name=f"old-{id}")
            try:
                copy.modify(name=f"c-{id}")
            except BaseException:
                old.modify(name=f"c-{id}")
                raise
            self._handles[id] = copy
            self._open().delete_collection(f"old-{id}")
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """The files of a Chroma server are its own. In another process: Chroma brings an SQLite of its own, and two of
        them in one would undo each other's locks (sqlite.org/howtocorrupt.html, 2.2.1)."""
        if not _is_remote(self._place):
            subprocess.run(
                [sys.executable, "-m", leftovers.__name__, self._place], check=True, stdin=subprocess.DEVNULL
            )

    def _ids(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        """Every vector's id with its document's."""
        collection = self._fresh(id)
        found = collection.get(include=["metadatas"]) if collection else {"ids": [], "metadatas": []}
        return {"documents": [(one or {}).get("document", "") for one in found["metadatas"]], "ids": found["ids"]}

    def _drop(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        self._drop_copy(id)
        self._handles.pop(id, None)
        gone = [name for name in (f"old-{id}", f"c-{id}") if self._delete_collection(name)]
        if gone:
            self._remove_leftovers()
        return {}

    def _count(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        collection = self._fresh(id)
        return {"count": collection.count() if collection else 0}

    def _fresh(self, id: str) -> Any:
        self._handles.pop(id, None)
        return self._known(id)

    def _known(self, id: str) -> Any:
        if id not in self._handles:
            try:
                self._handles[id] = self._open().get_collection(f"c-{id}", embedding_function=None)
            except (NotFoundError, ValueError):
                return None
        return self._handles.get(id)


def _ours(client: ClientAPI) -> list[tuple[str, str]]:
    """Kind and id of each collection that is ours."""
    found = (_OURS.fullmatch(one.name) for one in client.list_collections())
    return [(one[1], one[2]) for one in found if one]


def _settle(client: ClientAPI, id: str) -> None:
    """What a kill in the middle of a renewal left: an exchange that was begun is ended, for then the copy was whole; a
    copy is dropped else."""
    there = [kind for kind, of in _ours(client) if of == id]
    left = [kind for kind in ("copy", "old") if kind in there]
    if "old" in left and "c" not in there:
        client.get_collection(f"{left.pop(0)}-{id}", embedding_function=None).modify(name=f"c-{id}")
    for kind in left:
        client.delete_collection(f"{kind}-{id}")


def _is_remote(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _cosines(found: Any, vector: NDArray[np.float64]) -> dict[str, float]:
    if not found["ids"]:
        return {}
    rows = np.asarray(found["embeddings"], dtype=np.float64)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return dict(zip(found["ids"], (rows @ vector / lengths).tolist(), strict=True))


if __name__ == "__main__":
    serve(Index(sys.argv[2]).app(), Path(sys.argv[1]))
