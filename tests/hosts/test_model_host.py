"""The model host with its real embedding model, and with small language models made for the test.

Each test is a story, because a host takes seconds to load.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.small import WINDOW, small_models
from workspace.hosts import link
from workspace.providers.base import Address, Call, Ended, ProviderError, Ran, Sent, Step
from workspace.providers.local import Local
from workspace.types import Delta, PromptMessage, Usage, text_part

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def models() -> dict[str, str]:
    """Folders with language models of random weights."""
    return small_models("llama", "gpt2", "mamba")


@dataclass
class Answer:
    text: str = ""
    pieces: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    ran: list[dict[str, Any]] = field(default_factory=list)
    usage: Usage | None = None
    ended: str = ""
    sent: dict[str, Any] = field(default_factory=dict)


def call_of(model: str, *words: str, seed: int | None = None, so_far: str = "", chat: str = "", **options: Any) -> Call:
    roles = ("person", "model")
    messages = tuple(
        PromptMessage(role=roles[n % 2], parts=(text_part(text),))  # type: ignore[arg-type]
        for n, text in enumerate(words)
    )
    return Call(
        address=Address(), model=model, messages=messages, seed=seed, so_far=so_far, chat=chat, parameters=options
    )


async def answer(call: Call) -> Answer:
    found = Answer()
    async for said in Local().stream(call):
        match said:
            case Delta(text):
                found.text += text
                found.pieces.append(text)
            case Step(text):
                found.steps.append(text)
            case Ran(how):
                found.ran.append(dict(how))
            case Usage():
                found.usage = said
            case Ended():
                found.ended = said.finish_reason
            case Sent():
                found.sent = dict(said.parameters)
    return found


def closeness(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.mark.usefixtures("model_host")
async def test_texts_become_vectors_by_their_meaning() -> None:
    assert await link.settled() == "ready"
    texts = ["The cat sleeps on the sofa.", "Interest rates rose again.", "A kitten naps on the couch.", "word " * 900]
    vectors = await link.aembed(texts)
    assert [len(vector) for vector in vectors] == [384] * 4
    assert all(math.isclose(closeness(v, v), 1.0, abs_tol=1e-4) for v in vectors)
    cat, rates, kitten, _ = vectors
    assert closeness(cat, kitten) > 0.5 > closeness(cat, rates)
    [alone] = await link.aembed([texts[2]])
    assert closeness(alone, kitten) == pytest.approx(1.0, abs=1e-4)  # the rows kept their order
    with pytest.raises(link.HostUnavailable, match="400"):
        await link._apost(link.MODEL_HOST, "/v1/embeddings", {"nothing": 1})


@pytest.mark.usefixtures("model_host")
async def test_a_local_model_streams_and_keeps_to_what_is_asked(models: dict[str, str]) -> None:
    model = models["llama"]
    first = await answer(call_of(model, "Hello", max_tokens=24, temperature=0))
    assert first.steps == [f"Loading {model}"]
    assert first.ended in ("length", "stop")
    assert first.usage is not None
    assert first.usage.input == len("<user>Hello<assistant>")  # the template was used, a byte a token
    assert 0 < first.usage.output <= 24
    assert first.sent == {"max_tokens": 24, "temperature": 0}

    again = await answer(call_of(model, "Hello", max_tokens=24, temperature=0))
    assert (again.text, again.steps) == (first.text, [])
    as_it_is = {"precision": "float32", "device": "cpu", "context": None, "short": False}
    assert first.ran == again.ran == [as_it_is]

    hot = call_of(model, "Hello", max_tokens=24, temperature=1.0, top_p=0.9, seed=5)
    sampled = [await answer(call) for call in (hot, hot, replace(hot, seed=6))]
    assert sampled[0].text == sampled[1].text != sampled[2].text
    assert sampled[0].sent["seed"] == 5

    stop = first.text[4:6]
    stopped = await answer(call_of(model, "Hello", max_tokens=24, temperature=0, stop=[stop]))
    assert stopped.text == first.text[: first.text.index(stop)]
    assert stopped.ended == "stop"

    half = first.text[: len(first.text) // 2]
    rest = await answer(call_of(model, "Hello", so_far=half, max_tokens=24, temperature=0))
    assert rest.usage is not None and rest.usage.input > first.usage.input  # it read what it had written


@pytest.mark.usefixtures("model_host")
async def test_answers_at_once_are_what_each_would_be_alone(models: dict[str, str]) -> None:
    for kind in ("llama", "gpt2", "mamba"):  # the last keeps its past in a way that rows can't share
        calls = [
            call_of(models[kind], f"{'Tell me more. ' * n}{n}?", max_tokens=20, temperature=0, chat=f"chat {n % 3}")
            for n in range(6)
        ]
        alone = [await answer(call) for call in calls]
        together = await asyncio.gather(*(answer(call) for call in calls))
        assert [each.text for each in together] == [each.text for each in alone], kind


@pytest.mark.usefixtures("model_host")
async def test_the_next_question_of_a_chat_is_read_from_where_the_last_ended(models: dict[str, str]) -> None:
    question = "What grows in an orchard, and when is it picked? " * 4
    first = await answer(call_of(models["llama"], question, max_tokens=30, temperature=0))
    followed = call_of(models["llama"], question, first.text, "And then?", max_tokens=30, temperature=0)
    second = await answer(followed)
    assert first.usage is not None and second.usage is not None
    assert first.usage.cached == 0
    assert second.usage.cached > len(question)
    assert (await answer(followed)).text == second.text


@pytest.mark.usefixtures("model_host")
async def test_whole_characters_only(models: dict[str, str]) -> None:
    """Random weights write bytes that are no characters, and halves of some."""
    hot = [call_of(models["llama"], "Hello", max_tokens=200, temperature=3.0, seed=seed) for seed in range(4)]
    for each in await asyncio.gather(*(answer(call) for call in hot)):
        assert all(piece.encode("utf-8", "strict").decode() == piece for piece in each.pieces)
        assert not each.text.endswith("\ufffd")


@pytest.mark.usefixtures("model_host")
async def test_what_is_wrong_is_said_and_touches_nobody_else(models: dict[str, str]) -> None:
    model = models["llama"]
    other = asyncio.create_task(answer(call_of(model, "Count.", max_tokens=300, temperature=0)))
    for call, code in (
        (call_of(f"{model}-absent", "Hello"), "not_found"),
        (call_of("nobody/has-this", "Hello"), "not_found"),
        (call_of(model, "x" * (WINDOW + 1)), "context_overflow"),
        (call_of(model, "Hello", temperature="hot"), "bad_request"),
        (call_of(model, "Hello", repetition_penalty=0), "bad_request"),
        (call_of(str(Path(model).parent), "Hello"), "not_found"),
        (call_of("../../etc", "Hello"), "bad_request"),
        (call_of(f"{model}@000000000000", "Hello"), "not_found"),
    ):
        with pytest.raises(ProviderError) as caught:
            await answer(call)
        assert caught.value.failure.code == code, caught.value.failure.cause
    assert (await other).ended in ("length", "stop")


@pytest.mark.usefixtures("model_host")
async def test_a_reader_who_leaves_ends_the_answer(models: dict[str, str]) -> None:
    stream = Local().stream(call_of(models["llama"], "Go on for ever.", max_tokens=1900, temperature=0))
    async for said in stream:
        if isinstance(said, Delta):
            break
    await stream.aclose()
    state = await link.models()
    async with asyncio.timeout(10):
        while state["models"][0]["answering"]:
            state = await link.models()
    assert state["models"][0]["state"] == "ready"
