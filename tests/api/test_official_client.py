"""OpenAI's own Python client, unchanged, against a real server."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from tests.faults.talk import rows
from tests.serving import Served
from tests.upstream import WORDS, Upstream

pytestmark = pytest.mark.timeout(120)
HELLO: Any = [{"role": "user", "content": "Hello there."}]


@pytest.fixture
def client(served: Served, token: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=token, max_retries=0) as client:
        yield client


def test_a_completion_is_a_stored_run_with_its_manifest(served: Served, client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="echo", messages=HELLO)
    answer = raw.parse()
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", "Hello there.", "stop")
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (9, 1, 10)
    ours = (answer.model_extra or {})["onepane"]
    assert (answer.model, ours["model"], ours["reason"]) == ("echo", "echo", "your choice")
    assert (raw.headers["X-Onepane-Run"], raw.headers["X-Onepane-Model"]) == (ours["run"], "echo")
    ((state, text, tokens),) = rows(
        served,
        "SELECT state, text, tokens_output FROM router_run WHERE id = ? AND manifest IS NOT NULL",
        ours["run"].replace("-", "") if served.database is None else ours["run"],
    )
    assert (state, text, tokens) == ("done", "Hello there.", 1)


def test_a_stream_says_who_speaks_first_and_what_it_took_last(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model="md", messages=HELLO, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    first, *_, finish, usage = chunks
    assert first.choices[0].delta.role == "assistant"
    assert (first.model_extra or {})["onepane"]["model"] == "md"
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices).startswith("# How a kettle")
    assert finish.choices[0].finish_reason == "stop"
    assert usage.choices == [] and usage.usage and usage.usage.total_tokens > 10
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_without_being_asked_a_stream_tells_no_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="echo", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)


def test_the_first_words_come_before_the_last_are_written(client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.release(1)
    with client.chat.completions.create(model="gated", messages=HELLO, stream=True) as stream:
        said = [chunk.choices[0].delta.content for chunk in [next(stream), next(stream)]]
        assert said == ["", "word1 "]
        upstream.release(WORDS)
        assert list(stream)[-1].choices[0].finish_reason == "stop"


def test_a_conversation_goes_on_as_it_was_told(client: openai.OpenAI, upstream: Upstream) -> None:
    messages: Any = [
        {"role": "system", "content": "Be a pirate."},
        {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]},
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "Arr."},
        {"role": "user", "content": [{"type": "text", "text": "And"}, {"type": "text", "text": "where?"}]},
    ]
    before = len(upstream.arrived(0))
    client.chat.completions.create(
        model="echo", messages=messages, temperature=0.5, top_p=0.9, max_completion_tokens=64, stop=["X", "Y"],
        presence_penalty=1, frequency_penalty=-1, reasoning_effort="low", user="somebody", metadata={"a": "b"},
    )  # fmt: skip
    asked = upstream.arrived(before + 1)[-1]["asked"]
    assert asked["messages"] == [
        {"role": "system", "content": "Be a pirate.\n\nBe brief."},
        {"role": "user", "content": "Who are you?"},
        {"role": "assistant", "content": "Arr."},
        {"role": "user", "content": "And\n\nwhere?"},
    ]
    sent = {name: asked[name] for name in asked if name not in ("model", "messages", "stream", "stream_options")}
    assert sent == {
        "temperature": 0.5, "top_p": 0.9, "max_tokens": 64, "stop": ["X", "Y"], "presence_penalty": 1,
        "frequency_penalty": -1, "reasoning_effort": "low",
    }  # fmt: skip


def test_nothing_is_said_that_the_program_did_not_say(client: openai.OpenAI, upstream: Upstream) -> None:
    before = len(upstream.arrived(0))
    client.chat.completions.create(model="echo", messages=HELLO)
    assert upstream.arrived(before + 1)[-1]["asked"]["messages"] == HELLO


def test_an_image_in_a_data_url_reaches_the_model(client: openai.OpenAI) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (3, 2), "teal").save(picture, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(picture.getvalue()).decode()}"
    content: Any = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}]
    answer = client.chat.completions.create(model="vision", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "I was given 1 image."


@pytest.mark.parametrize("name", ["auto", "router"])
def test_the_router_decides_when_it_is_asked_to(client: openai.OpenAI, name: str) -> None:
    answer = client.chat.completions.create(model=name, messages=HELLO)
    ours = (answer.model_extra or {})["onepane"]
    assert ours["reason"].startswith("rule 1") and ours["model"] == answer.model != name


def test_models_are_listed_and_found(client: openai.OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert listed["echo"].owned_by == "upstream" and listed["echo"].created > 1_700_000_000
    assert client.models.retrieve("echo") == listed["echo"]
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("absent")


def refused(client: openai.OpenAI, model: str, **more: Any) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model=model, messages=HELLO, **more)
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("absent", openai.NotFoundError, "model_not_found"),
        ("err429", openai.RateLimitError, "rate_limit_exceeded"),
        ("err401", openai.InternalServerError, "auth"),
        ("err500", openai.InternalServerError, "server_error"),
        ("html502", openai.InternalServerError, "server_error"),
        ("cut0", openai.InternalServerError, "cut_off"),
        ("hang", openai.InternalServerError, "timeout"),
    ],
)
def test_a_failure_before_the_first_word_is_the_client_s_own_exception(
    client: openai.OpenAI, model: str, kind: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    error = refused(client, model, stream=stream)
    assert isinstance(error, kind) and error.code == code
    assert error.response.headers["content-type"] == "application/json"
    retry = error.response.headers["x-should-retry"]
    assert retry == ("false" if model in ("absent", "err401") else "true")
    if model == "err429":
        assert error.response.headers["Retry-After"] == "1"


@pytest.mark.parametrize("model", ["cut", "hang10", "garbage"])
def test_a_failure_half_way_ends_the_stream_with_an_error(client: openai.OpenAI, model: str) -> None:
    with client.chat.completions.create(model=model, messages=HELLO, stream=True) as stream:
        assert next(stream).choices[0].delta.role and next(stream).choices[0].delta.content
        with pytest.raises(openai.APIError) as caught:
            list(stream)
    assert caught.value.code in ("cut_off", "timeout", "garbage")


def test_a_wrong_token_and_none_are_the_client_s_own_exception(served: Served) -> None:
    for key in ("op_" + "x" * 43, "sk-of-somebody-else"):
        with openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=2) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                client.models.list()
            assert caught.value.code == "invalid_api_key"


def test_a_client_that_leaves_stops_its_run(served: Served, client: openai.OpenAI, upstream: Upstream) -> None:
    upstream.release(2)
    stream = client.chat.completions.create(model="gated", messages=HELLO, stream=True)
    run = (next(stream).model_extra or {})["onepane"]["run"]
    said = ""
    while "word2" not in said:
        said += next(stream).choices[0].delta.content or ""
    stream.close()
    wait_for(served, run, ("stopped", "word1 word2 ", 3))


def test_a_client_that_leaves_before_the_first_word_stops_its_run(
    served: Served, client: openai.OpenAI, upstream: Upstream
) -> None:
    before = len(upstream.arrived(0))
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(
            model="gated", messages=[{"role": "user", "content": "I shall not wait."}], timeout=0.5
        )
    upstream.arrived(before + 1)
    deadline = time.monotonic() + 10
    while (found := rows(served, "SELECT state, text FROM router_run ORDER BY id DESC LIMIT 1")) != [("stopped", "")]:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def wait_for(served: Served, run: str, wanted: tuple[Any, ...], *, within: float = 10) -> None:
    key = run if served.database else run.replace("-", "")
    deadline = time.monotonic() + within
    while (found := rows(served, "SELECT state, text, tokens_output FROM router_run WHERE id = ?", key)) != [wanted]:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
