"""Engines of others, run for real: found by themselves, asked through the router like any model, several at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from asgiref.sync import sync_to_async

from retrieval import spaces
from retrieval.models import EmbeddingModel
from retrieval.spaces import Space
from tests.hosts.small import small_models
from tests.providers.engines import cached, llama_cpp, made_gguf, transformers_serve
from workspace.providers import http
from workspace.providers.discovery import discover, store
from workspace.providers.models import LanguageModel
from workspace.router import catalog
from workspace.router.execute import Execution
from workspace.types import Delta, Finished, Manifest, PromptMessage, Request, text_part

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(180)]

PARAMETERS = {"max_tokens": 12, "temperature": 0.0}


@pytest_asyncio.fixture(autouse=True)
async def connections() -> AsyncIterator[None]:
    yield
    await http.close()


async def found_at(url: str) -> str:
    """The name of the model that was found there, as the server finds engines when it starts."""
    found = await discover([url])
    assert await sync_to_async(store)(found)
    catalog.forget()
    return await sync_to_async(lambda: LanguageModel.objects.get().name)()


async def asked(model: str, *words: str, **parameters: Any) -> tuple[str, Manifest]:
    messages = tuple(
        PromptMessage(role="model" if n % 2 else "person", parts=(text_part(text),)) for n, text in enumerate(words)
    )
    request = Request(messages=messages, model=model, alone=True, parameters={**PARAMETERS, **parameters})
    events = [event async for event in Execution(request).events()]
    last = events[-1]
    assert isinstance(last, Finished) and last.failure is None, last
    return "".join(event.text for event in events if type(event) is Delta), last.manifest


async def keeps_to_what_is_asked(model: str) -> None:
    text, manifest = await asked(model, "Tell me something.")
    assert text and manifest.finish_reason == "length"
    assert manifest.usage and 0 < manifest.usage.output <= 12 < manifest.usage.input
    assert (await asked(model, "Tell me something."))[0] == text  # greedy
    assert (await asked(model, "Tell me something.", text, "And then?"))[0]
    questions = [f"{n} {'and so on ' * n}?" for n in range(4)]
    alone = [(await asked(model, question))[0] for question in questions]
    together = await asyncio.gather(*(asked(model, question) for question in questions))
    assert [len(text) > 0 for text in alone] == [len(text) > 0 for text, _ in together]


async def test_transformers_serve_answers_like_any_provider(tmp_path: Path) -> None:
    folder = await asyncio.to_thread(small_models, "llama")
    cached(tmp_path / "home", "club/tiny", Path(folder["llama"]))
    with transformers_serve(tmp_path / "home") as url:
        model = await found_at(url)
        assert model == "tiny"
        await keeps_to_what_is_asked(model)


async def test_llama_cpp_answers_like_any_provider_and_makes_vectors(tmp_path: Path) -> None:
    file = await asyncio.to_thread(made_gguf, tmp_path / "small.gguf")
    with llama_cpp(file) as url:
        await keeps_to_what_is_asked(await found_at(url))
        texts = ["one", "two and more", "three"]
        space = Space(id=1, kind=EmbeddingModel.Kind.REMOTE, model="small", base_url=url)
        vectors = await spaces.aembed(space, texts)
        assert [len(vector) for vector in vectors] == [64] * 3
        assert all(math.isclose(sum(x * x for x in vector), 1.0, abs_tol=1e-3) for vector in vectors)
        assert len({vector[0] for vector in vectors}) == 3
