"""What a program is told when its request can't be taken: the field by its name, in OpenAI's shape, and no run."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from django.conf import LazySettings

from tests.scripted import Scripted, add_model, say
from workspace.router.models import Run

CHAT = "/v1/chat/completions"
HELLO: dict[str, Any] = {"model": "fast", "messages": [{"role": "user", "content": "Hello."}]}


@pytest.fixture(autouse=True)
def fast(db: None) -> None:
    add_model("fast")
    add_model("off", enabled=False)


@pytest.mark.parametrize(
    "more",
    [
        {}, {"n": 1, "logprobs": False, "tools": [], "tool_choice": "none", "response_format": {"type": "text"}},
        {"user": "x", "metadata": {}, "store": True, "service_tier": "auto", "parallel_tool_calls": True},
        {"temperature": None, "tools": None, "stop": None, "stream": None, "stream_options": None, "seed": None},
        {"temperature": 2, "top_p": 0, "max_tokens": 1, "stop": "END", "seed": -4, "logit_bias": {}},
    ],
)  # fmt: skip
async def test_what_changes_nothing_is_passed_over(door: httpx.AsyncClient, bobs: str, more: dict[str, Any]) -> None:
    say("Hi.")
    answer = await door.post(CHAT, json={**HELLO, **more})
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hi."


IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}]}]
NO_IMAGE = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}]}]
TOOL = [{"role": "user", "content": "Hi."}, {"role": "tool", "tool_call_id": "1", "content": "4"}]


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, "response_format"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"top_k": 40}, "top_k"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"seed": "7"}, "seed"),
        ({"stop": [""]}, "stop"),
        ({"stop": {"a": 1}}, "stop"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, None),
        ({"stream_options": "usage"}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"reasoning_effort": "heroic"}, "reasoning_effort"),
        ({"model": 7}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello."}, "messages"),
        ({"messages": ["Hello."]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hello."}]}, "messages"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, "messages"),
        ({"messages": [{"role": "king", "content": "Hello."}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0]"),
        ({"messages": TOOL}, "messages[1]"),
        ({"messages": IMAGE}, "messages[0].content[0].image_url"),
        ({"messages": NO_IMAGE}, "messages[0].content[0].image_url"),
    ],
)
async def test_what_would_change_the_answer_is_refused_by_name(
    door: httpx.AsyncClient, bobs: str, more: dict[str, Any], param: str | None
) -> None:
    say("Hi.")
    answer = await door.post(CHAT, json={**HELLO, **more})
    if param is None:
        assert answer.status_code == 200  # nothing in it is nothing asked for
        return
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert error["message"] and error["code"] != "internal"
    assert answer.headers["x-should-retry"] == "false"
    assert not Scripted.calls and not await Run.objects.aexists()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"'])
async def test_a_body_that_is_no_object_is_refused(door: httpx.AsyncClient, bobs: str, body: bytes) -> None:
    answer = await door.post(CHAT, content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_a_body_that_is_too_large_is_refused_unread(
    door: httpx.AsyncClient, bobs: str, settings: LazySettings
) -> None:
    settings.MAX_UPLOAD = settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 3_000
    assert (await door.post(CHAT, content=b"{" + b" " * 9_000)).status_code == 413
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5_000}}
    answer = await door.post(CHAT, json={**HELLO, "messages": [{"role": "user", "content": [image]}]})
    assert answer.json()["error"]["message"].startswith("The image is over")


async def test_a_model_that_is_off_and_one_that_never_was_look_alike(door: httpx.AsyncClient, bobs: str) -> None:
    told = []
    for name in ("off", "absent"):
        answer = await door.post(CHAT, json={**HELLO, "model": name})
        one = await door.get(f"/v1/models/{name}")
        assert answer.status_code == one.status_code == 404
        assert answer.json() == one.json()
        told.append(answer.text.replace(name, "?"))
    assert told[0] == told[1]
    assert [row["id"] for row in (await door.get("/v1/models")).json()["data"]] == ["fast"]
    assert not await Run.objects.aexists()


async def test_an_image_for_a_model_that_takes_none_is_a_bad_request(door: httpx.AsyncClient, bobs: str) -> None:
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
    content = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{pixel}"}}]
    answer = await door.post(CHAT, json={**HELLO, "messages": [{"role": "user", "content": content}]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unfit_model")
    assert "takes no images" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", CHAT), ("PUT", CHAT), ("POST", "/v1/models"), ("GET", "/api/generate")]
)
async def test_a_wrong_method_is_told_as_one(door: httpx.AsyncClient, bobs: str, method: str, path: str) -> None:
    answer = await door.request(method, path)
    assert answer.status_code == 405 and answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v1/", "/api/tags", "/api/"])
async def test_an_address_that_is_not_there_is_told_as_json(door: httpx.AsyncClient, bobs: str, path: str) -> None:
    answer = await door.get(path)
    assert answer.status_code == 404 and path in answer.json()["error"]["message"]
