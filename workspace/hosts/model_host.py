"""The model host: a child process that owns torch. Chat of local models in OpenAI's protocol, embeddings, rerankers and
entailment.

Run as ``python -m workspace.hosts.model_host SOCKET FOLDER BYTES``: where its notes are kept, and how much memory
models may take. The socket answers while threads of their own embed, load and generate. It knows texts, vectors and
tokens, and no database, chat or person.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from workspace.hosts import weights
from workspace.hosts.at_work import KILLED_FOR_MEMORY, AtWork
from workspace.hosts.child import answering, serve
from workspace.hosts.jobs import End, Failed, Piece, Ran, Step, Text
from workspace.hosts.keeper import Keeper
from workspace.hosts.reading import Reading
from workspace.hosts.references import EMBEDDING, NotHere, Shelf
from workspace.hosts.tenants import Held, NotAModel, Tenants, Unloaded

BEAT = 10.0  # seconds between two signs of life while nothing else is told


class ModelHost:
    """The door. What it is asked goes to the thread that reads texts, to the one that writes answers, or to the one
    that looks at pictures first."""

    def __init__(self, place: Path, budget: int) -> None:
        at_work = AtWork(place / "models_at_work.json", killed=os.environ.get("HOST_ENDED") == KILLED_FOR_MEMORY)
        self._tenants = Tenants(Shelf(place), budget=budget, at_work=at_work)
        self._keeper = Keeper(self._tenants)
        self._reading = Reading(self._tenants)
        self._looking = ThreadPoolExecutor(1, thread_name_prefix="looking")

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        self._keeper.add_to(app.router)
        self._reading.add_to(app.router)
        app.router.add_post("/v1/chat/completions", answering(self._chat))
        app.on_startup.append(self._begin)
        return app

    async def _begin(self, app: web.Application) -> None:
        self._reading.begin()
        self._preparing = asyncio.create_task(self._prepare())
        self._keeper.load_pinned()

    async def _prepare(self) -> None:
        """Before the first model is asked for, so that the router knows what a GPU has room for."""
        await self._reading.settled.wait()  # torch is imported then
        await self._tenants.prepare()

    async def _health(self, request: web.Request) -> web.Response:
        """Answers at once; with ``?wait``, when the embedding model is loaded or can't be. ``busy_for`` are the seconds
        that the thread which writes has been at one thing: the supervisor ends a host where that never ends."""
        if "wait" in request.query:
            await self._reading.settled.wait()
        engine = self._tenants.engine
        return web.json_response({"state": self._reading.state, "busy_for": engine.busy_for if engine else 0.0})

    async def _models(self, request: web.Request) -> web.Response:
        """What can be asked for: models of the Hugging Face cache, those in memory, and MiniLM."""
        cached = await asyncio.to_thread(lambda: [name for name, _, _ in weights.cached()])
        loaded = [name for name, tenant in self._tenants.known.items() if tenant.state == "ready"]
        names = dict.fromkeys([*cached, *loaded, EMBEDDING])
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in names]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        """One answer, streamed; it ends when the reader goes away. A failure before a word has its own status."""
        body = orjson.loads(await request.read())
        response: web.StreamResponse | None = None
        async with contextlib.aclosing(self._answer(body)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Failed) and response is None:
                    return _refusal(piece)
                if response is None:
                    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
                    await response.prepare(request)
                with contextlib.suppress(ConnectionResetError):  # the reader left: we are told by a cancellation
                    await response.write(_frame(piece, body["model"]))
        assert response is not None
        with contextlib.suppress(ConnectionResetError):
            await response.write(b"data: [DONE]\n\n")
        return response

    async def _answer(self, body: dict[str, Any]) -> AsyncGenerator[Piece | None, None]:
        """What there is to tell; ``None`` is a sign of life."""
        told: asyncio.Queue[Piece] = asyncio.Queue()
        work = asyncio.create_task(self._work(body, told))
        try:
            while True:
                try:
                    async with asyncio.timeout(BEAT):
                        pieces = [await told.get()]
                except TimeoutError:
                    yield None
                    continue
                while not told.empty():
                    pieces.append(told.get_nowait())
                for piece in _joined(pieces):
                    yield piece
                if isinstance(pieces[-1], End | Failed):
                    return
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def _work(self, body: dict[str, Any], told: asyncio.Queue[Piece]) -> None:
        """Load the model, hand the answer to its batch, and stay until it is written or nobody wants it."""

        def say(words: str) -> None:
            told.put_nowait(Step(words))

        try:
            async with self._tenants.using(str(body["model"]), say, task="chat") as held:
                await self._written(held, body, told)
        except (NotHere, NotAModel) as error:
            told.put_nowait(Failed(404, str(error)))
        except Unloaded as error:
            told.put_nowait(Failed(503, str(error)))
        except MemoryError as error:
            told.put_nowait(Failed(507, str(error) if "out of memory" in str(error) else f"out of memory: {error}"))
        except (ValueError, KeyError, TypeError) as error:
            told.put_nowait(Failed(400, str(error)))
        except Exception as error:  # whatever a model's own code raises is the answer's error
            told.put_nowait(Failed(500, f"{type(error).__name__}: {error}"))

    async def _written(self, held: Held, body: dict[str, Any], told: asyncio.Queue[Piece]) -> None:
        over = asyncio.Event()

        def hear(piece: Piece) -> None:
            told.put_nowait(piece)
            if isinstance(piece, End | Failed):
                over.set()

        engine = self._tenants.engine
        job = await self._asked(held.loaded, body, hear)
        if held.lowered:
            hear(Step(f"{held.name.partition('@')[0]} runs in {held.loaded.precision} since memory was short"))
        engine.submit(held.batch, job)
        try:
            await over.wait()
        finally:
            job.gone.set()

    async def _asked(self, loaded: Any, body: dict[str, Any], hear: Callable[[Piece], None]) -> Any:
        """Between two tokens, where the one tokenizer is that words are made with. A model that sees has another for
        its prompts: pictures take long, and nobody's answer waits for them."""
        from workspace.hosts.prompting import job_of

        if loaded.processor is None:
            return await self._tenants.engine.do(lambda: job_of(body, loaded, hear))
        return await asyncio.get_running_loop().run_in_executor(self._looking, job_of, body, loaded, hear)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """What came together is told together."""
    joined: list[Piece] = []
    for piece in pieces:
        if isinstance(piece, Text) and joined and isinstance(joined[-1], Text):
            joined[-1] = Text(joined[-1].text + piece.text)
        else:
            joined.append(piece)
    return joined


def _frame(piece: Piece | None, model: str) -> bytes:
    match piece:
        case None:
            return b": still here\n\n"
        case Text(text):
            chunk = _chunk(model, {"role": "assistant", "content": text}, None)
        case Step(text):
            chunk = {"object": "onepane.step", "step": text}
        case Ran():
            chunk = {"object": "onepane.ran", "ran": asdict(piece)}
        case Failed(status, message):
            chunk = {"error": {"message": message, "code": status, "type": "server_error"}}
        case End():
            chunk = _chunk(model, {}, piece.reason) | {
                "usage": {
                    "prompt_tokens": piece.prompt_tokens,
                    "completion_tokens": piece.completion_tokens,
                    "total_tokens": piece.prompt_tokens + piece.completion_tokens,
                    "prompt_tokens_details": {"cached_tokens": piece.cached_tokens},
                },
            }
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _chunk(model: str, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "model": model, "choices": [choice]}


def _refusal(failed: Failed) -> web.Response:
    kind = "invalid_request_error" if failed.status < 500 else "server_error"
    return web.json_response({"error": {"message": failed.message, "type": kind}}, status=failed.status)


def main(socket: str, place: str, budget: str) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # what is loaded lies on this machine; downloads have a process of their own
    serve(ModelHost(Path(place), int(budget)).app(), Path(socket))


if __name__ == "__main__":
    main(*sys.argv[1:])
