"""What an answer says of itself: its reasoning apart, its tokens as counted, the model that wrote it, why it ended."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import httpx
import orjson
import pytest
from asgiref.sync import sync_to_async

from tests.scripted import Scripted, add_model, broken, say
from workspace.accounts.models import Person
from workspace.api.shapes import finish_of
from workspace.router.models import RouterConfiguration, RouterVersion, Run
from workspace.router.runs import registry
from workspace.types import Manifest, Reasoning, Usage, sha256

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "Hello."}]}
STREAM = {**HELLO, "stream": True, "stream_options": {"include_usage": True}}
COUNTED = Usage(input=100, output=30, cached=80, reasoning=20)


@pytest.fixture(autouse=True)
def fast(db: None) -> None:
    add_model("fast", abilities=("seed",))


def events(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [orjson.loads(line) for line in lines[:-1]]


async def test_reasoning_is_told_apart(door: httpx.AsyncClient, bobs: str) -> None:
    say(Reasoning("Let me think."), "Hi", " there.")
    message = (await door.post(CHAT, json=HELLO)).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Let me think.", "Hi there.")
    say(Reasoning("Let me think."), "Hi", " there.")
    deltas = [chunk["choices"][0]["delta"] for chunk in events((await door.post(CHAT, json=STREAM)).text)[:-1]]
    assert deltas[0] == {"role": "assistant", "content": ""} and deltas[1] == {"reasoning_content": "Let me think."}
    assert "".join(delta.get("content", "") for delta in deltas) == "Hi there."


async def test_tokens_are_told_as_the_provider_counted_them(door: httpx.AsyncClient, bobs: str) -> None:
    say("Hi.", COUNTED)
    usage = (await door.post(CHAT, json=HELLO)).json()["usage"]
    assert usage == {
        "prompt_tokens": 100, "completion_tokens": 30, "total_tokens": 130,
        "prompt_tokens_details": {"cached_tokens": 80}, "completion_tokens_details": {"reasoning_tokens": 20},
    }  # fmt: skip
    say("Hi.", COUNTED)
    assert events((await door.post(CHAT, json=STREAM)).text)[-1]["usage"] == usage


async def test_tokens_that_nobody_counted_are_said_to_be_estimated(door: httpx.AsyncClient, bobs: str) -> None:
    say("Hi.")
    assert (await door.post(CHAT, json=HELLO)).json()["usage"]["estimated"] is True


async def test_the_model_that_took_over_is_the_one_that_is_named(door: httpx.AsyncClient, bobs: str) -> None:
    await _route("slow", fallback="fast")
    say(broken("timeout"))
    say("Hi.")
    answer = await door.post(CHAT, json={**STREAM, "model": "auto"})
    first = events(answer.text)[0]
    assert (first["model"], first["onepane"]["reason"]) == ("fast", "fallback: slow failed")
    assert answer.headers["X-Onepane-Model"] == "fast"


async def test_a_run_is_its_person_s_and_the_parameters_are_in_its_manifest(
    door: httpx.AsyncClient, bobs: str, bob: Person
) -> None:
    say("Hi.")
    answer = await door.post(CHAT, json={**HELLO, "temperature": 0.5, "seed": 7, "reasoning_effort": "high"})
    run = await Run.objects.aget(pk=answer.headers["X-Onepane-Run"])
    assert run.person_id == bob.pk and run.manifest
    assert run.manifest["parameters"] == {"temperature": 0.5, "reasoning_effort": "high"}
    assert (run.manifest["seed"], run.manifest["prompt_template"]) == (7, "")
    facts = run.manifest["decision"]["facts"]
    assert (facts["user"], facts["requires_reasoning"]) == ("bob", True)
    (call,) = Scripted.calls
    assert (call.system, call.seed) == ("", 7)


async def test_an_answer_that_breaks_off_is_an_error_and_its_text_is_kept(door: httpx.AsyncClient, bobs: str) -> None:
    say("Half of", broken("cut_off"))
    say(broken("cut_off"))
    answer = await door.post(CHAT, json=HELLO)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "cut_off")
    run = await Run.objects.aget(pk=answer.headers["X-Onepane-Run"])
    assert (run.state, run.text) == ("failed", "Half of")


@pytest.mark.parametrize(("body", "status"), [(HELLO, 503), (STREAM, 200)])
async def test_a_server_that_stops_tells_who_waits(
    door: httpx.AsyncClient, bobs: str, body: dict[str, Any], status: int
) -> None:
    say("Half of", silence := Silence())
    asking = asyncio.create_task(door.post(CHAT, json=body))
    await silence.begun.wait()
    await registry().close()
    answer = await asking
    assert answer.status_code == status
    assert '"code":"interrupted"' in answer.text and "[DONE]" not in answer.text
    run = await Run.objects.aget(pk=answer.headers["X-Onepane-Run"])
    assert (run.state, run.text) == ("interrupted", "Half of")


async def test_an_answer_without_a_word_is_an_answer(door: httpx.AsyncClient, bobs: str) -> None:
    say()
    assert (await door.post(CHAT, json=HELLO)).json()["choices"][0]["message"]["content"] == ""
    say()
    chunks = events((await door.post(CHAT, json=STREAM)).text)
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]] == [None, "stop"]


@pytest.mark.parametrize(
    ("finish", "told"),
    [
        ("stop", "stop"), ("end_turn", "stop"), ("STOP", "stop"), ("stopped", "stop"), ("", "stop"),
        ("length", "length"), ("max_tokens", "length"), ("MAX_TOKENS", "length"), ("max_output_tokens", "length"),
        ("content_filter", "content_filter"), ("refusal", "content_filter"), ("SAFETY", "content_filter"),
    ],
)  # fmt: skip
def test_every_provider_s_word_for_the_end_becomes_one_of_openai_s(finish: str, told: str) -> None:
    assert finish_of(Manifest(finish_reason=finish)) == told


class Silence(asyncio.Event):
    """A provider that says no more, and tells the test that it has come so far."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = asyncio.Event()

    async def wait(self) -> Literal[True]:
        self.begun.set()
        return await super().wait()


async def _route(model: str, *, fallback: str) -> None:
    await sync_to_async(add_model)(model)
    source = orjson.dumps({"routes": [{"condition": "default", "model": model}], "fallback": fallback}).decode()
    line, _ = await RouterConfiguration.objects.aget_or_create(name="default")
    line.current = await RouterVersion.objects.acreate(
        configuration=line, number=9, source=source, digest=sha256(source)
    )
    await line.asave()
