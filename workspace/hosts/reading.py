"""The model host's doors for texts that are read: ``/v1/embeddings`` as OpenAI has it, ``/v1/rerank`` as Cohere and
Jina have it, and ``/v1/entailment``.

MiniLM is always there, under the name ``minilm``; any other local model is loaded when it is first asked. All of them
work in one thread, beside the one that writes answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
from aiohttp import web

from workspace.hosts.child import answering
from workspace.hosts.making import LOADING
from workspace.hosts.references import EMBEDDING, NotHere
from workspace.hosts.tenants import Held, NotAModel, Tenants

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class Reading:
    """``state`` is of MiniLM: ``loading``, ``ready``, or why it failed."""

    def __init__(self, tenants: Tenants) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reader")
        self._tenants = tenants
        self._minilm: Any = None
        self.state = "loading"
        self.settled = asyncio.Event()

    def add_to(self, router: web.UrlDispatcher) -> None:
        for path, work in (("embeddings", self._embed), ("rerank", self._rerank), ("entailment", self._entail)):
            router.add_post(f"/v1/{path}", answering(_door(work)))
        router.add_post("/embeddings/about", answering(_door(self._about)))
        router.add_post("/embeddings/lengths", answering(_door(self._lengths)))

    def begin(self) -> None:
        loaded = asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        loaded.add_done_callback(lambda _: self.settled.set())

    def _load(self) -> None:
        try:
            with LOADING:
                from workspace.hosts.embedder import minilm
            self._minilm = minilm()
            self.state = "ready"
        except Exception as error:  # chat still works, and the state says why embeddings do not
            self.state = f"failed: {error}"

    async def _embed(self, body: dict[str, Any]) -> Any:
        texts = [body["input"]] if isinstance(body["input"], str) else [str(text) for text in body["input"]]
        model, of = str(body.get("model") or EMBEDDING), str(body.get("input_type") or "")
        if model == EMBEDDING:
            if self._minilm is None:  # whoever asks has words to search meanwhile, and asks again
                return _refusal(503, self.state)
            vectors = await self._run(lambda: self._minilm.embed(texts))
        else:
            vectors = await self._by(model, "embedding", lambda held: held.loaded.embed(texts, of=of))
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        return {"object": "list", "model": model, "data": data}

    async def _about(self, body: dict[str, Any]) -> Any:
        """How much an embedding model reads at once, and how long its vectors are."""
        model = str(body["model"])
        if model == EMBEDDING:
            await self.settled.wait()
            return _refusal(503, self.state) if self._minilm is None else _about(self._minilm)
        return await self._by(model, "embedding", lambda held: _about(held.loaded))

    async def _lengths(self, body: dict[str, Any]) -> Any:
        """Tokens of each text, as the model that embeds it counts them."""
        model, texts = str(body["model"]), [str(text) for text in body["input"]]
        if model != EMBEDDING:
            found = await self._by(model, "embedding", lambda tenant: tenant.loaded.lengths(texts))
        elif self._minilm is None:
            return _refusal(503, self.state)
        else:
            found = await self._run(lambda: self._minilm.lengths(texts))
        return {"lengths": found}

    async def _rerank(self, body: dict[str, Any]) -> Any:
        """Documents by how well they answer the query, the best first."""
        query, texts = str(body["query"]), [str(text) for text in body["documents"]]
        found = await self._by(str(body["model"]), "pairs", _scoring([(query, text) for text in texts]))
        if found and "score" not in found[0]:
            raise ValueError(f"{body['model']} tells labels apart ({', '.join(found[0])}) and ranks nothing")
        order = sorted(range(len(texts)), key=lambda n: -found[n]["score"])[: body.get("top_n")]
        return {
            "model": body["model"],
            "results": [{"index": n, "relevance_score": found[n]["score"]} for n in order],
        }

    async def _entail(self, body: dict[str, Any]) -> Any:
        """For each pair of a premise and a hypothesis the chance of every label of the model."""
        pairs = [(str(premise), str(hypothesis)) for premise, hypothesis in body["pairs"]]
        return {"model": body["model"], "results": await self._by(str(body["model"]), "pairs", _scoring(pairs))}

    async def _by(self, model: str, task: str, work: Callable[[Held], Any]) -> Any:
        async with self._tenants.using(model, lambda words: None, task=task) as held:
            return await self._run(lambda: work(held))

    async def _run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _about(encoder: Any) -> dict[str, int]:
    return {"window": encoder.window, "dimensions": encoder.dimensions}


def _scoring(pairs: list[tuple[str, str]]) -> Callable[[Held], Any]:
    return lambda held: held.loaded.scores(pairs)


def _door(work: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            found = await work(orjson.loads(await request.read()))
        except NotHere as error:
            return _refusal(404, str(error))
        except (NotAModel, ValueError, KeyError, TypeError):
            raise
        except Exception as error:
            from workspace.hosts.shortage import is_out_of_memory

            short = is_out_of_memory(error)
            return _refusal(507 if short else 500, f"out of memory: {error}" if short else str(error))
        if isinstance(found, web.StreamResponse):
            return found
        return web.Response(
            body=orjson.dumps(found, option=orjson.OPT_SERIALIZE_NUMPY), content_type="application/json"
        )

    return handle


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "server_error"}}, status=status)
