"""The index host: a child process that owns Chroma. The only file that imports it.

Run as ``python -m workspace.hosts.index_host SOCKET PATH_OR_URL``. Each of our collections is one of
Chroma's (cosine), chosen and authorised by the caller. We compute embeddings ourselves and always pass
them: Chroma's own embedder would reach for the network. Texts stay in our database; Chroma holds vectors and ids.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import chromadb
import orjson
from aiohttp import web
from chromadb.api import ClientAPI
from chromadb.config import Settings
from chromadb.errors import NotFoundError

from workspace.hosts.child import answering, serve


class Index:
    """Chroma behind one thread: its client is not made for several."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="chroma")
        self._client: ClientAPI | None = None

    def app(self) -> web.Application:
        app = web.Application(client_max_size=256 * 2**20)
        app.router.add_get("/health", self._health)
        for name in ("upsert", "query", "delete", "count"):
            app.router.add_post(f"/collections/{{id}}/{name}", answering(self._handler(getattr(self, f"_{name}"))))
        return app

    def _handler(self, work: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(self._thread, work, request.match_info["id"], body)
            return web.Response(body=orjson.dumps(answer), content_type="application/json")

        return handle

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"state": "ready"})

    def _open(self) -> ClientAPI:
        if self._client is None:
            quiet = Settings(anonymized_telemetry=False)
            if self._place.startswith(("http://", "https://")):
                url = urlsplit(self._place)
                self._client = chromadb.HttpClient(
                    host=url.hostname or "localhost", port=url.port or 8000, ssl=url.scheme == "https", settings=quiet
                )
            else:
                self._client = chromadb.PersistentClient(self._place, settings=quiet)
        return self._client

    def _upsert(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        collection = self._open().get_or_create_collection(
            f"c-{id}", metadata={"hnsw:space": "cosine"}, embedding_function=None
        )
        metadatas = [{"document": body["document"]}] * len(body["ids"])
        collection.upsert(ids=body["ids"], embeddings=body["vectors"], metadatas=metadatas)
        return {"count": len(body["ids"])}

    def _query(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        collection = self._known(id)
        if collection is None or not (size := collection.count()):
            return {"ids": [], "scores": []}
        limit = min(body["limit"], size)
        found = collection.query(query_embeddings=[body["vector"]], n_results=limit, include=["distances"])
        return {"ids": found["ids"][0], "scores": [1 - distance for distance in found["distances"][0]]}

    def _delete(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        if collection := self._known(id):
            collection.delete(where={"document": body["document"]})
        return {}

    def _count(self, id: str, body: dict[str, Any]) -> dict[str, Any]:
        collection = self._known(id)
        return {"count": collection.count() if collection else 0}

    def _known(self, id: str) -> Any:
        try:
            return self._open().get_collection(f"c-{id}", embedding_function=None)
        except (NotFoundError, ValueError):
            return None


if __name__ == "__main__":
    serve(Index(sys.argv[2]).app(), Path(sys.argv[1]))
