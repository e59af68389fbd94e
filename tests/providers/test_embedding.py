"""``/v1/embeddings`` of whoever speaks OpenAI's protocol: order by index, many texts in several requests, refusals."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from workspace.providers import http
from workspace.providers.base import Address, ProviderError
from workspace.providers.embedding import embed

ADDRESS = Address(base_url="http://engine/v1", key="sk-1234567890abcdef")


def engine(answer: Any, asked: list[Any], status: int = 200) -> httpx.MockTransport:
    def handle(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        asked.append((request.url.path, request.headers["authorization"], body))
        return httpx.Response(status, json=answer(body["input"]) if callable(answer) else answer)

    return httpx.MockTransport(handle)


def reversed_rows(texts: list[str]) -> Any:
    rows = [{"index": n, "embedding": [float(len(text)), 1.0]} for n, text in enumerate(texts)]
    return {"object": "list", "data": rows[::-1]}


async def test_vectors_come_in_the_order_of_the_texts() -> None:
    asked: list[Any] = []
    with http.answered_by(engine(reversed_rows, asked)):
        found = await embed("openai", ADDRESS, "bge", ["a", "bb", "ccc"], at_once=2)
    assert found == [[1.0, 1.0], [2.0, 1.0], [3.0, 1.0]]
    assert [body["input"] for _, _, body in asked] == [["a", "bb"], ["ccc"]]
    assert asked[0][:2] == ("/v1/embeddings", "Bearer sk-1234567890abcdef")
    assert asked[0][2] == {"model": "bge", "input": ["a", "bb"], "encoding_format": "float"}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ({"data": [{"index": 0, "embedding": [1.0]}]}, 200, "garbage"),  # one of two
        ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0, 2.0]}]}, 200, "garbage"),
        ({"data": [{"index": 0, "embedding": "AAAA"}, {"index": 1, "embedding": "AAAA"}]}, 200, "garbage"),
        ({"data": "none"}, 200, "garbage"),
        ([], 200, "garbage"),
        ({"error": {"message": "no such model"}}, 404, "not_found"),
        ({"error": {"message": "wrong key"}}, 401, "auth"),
    ],
)
async def test_what_is_no_vector_for_each_text_is_an_error_in_words(answer: Any, status: int, code: str) -> None:
    with http.answered_by(engine(answer, [], status)), pytest.raises(ProviderError) as caught:
        await embed("openai", ADDRESS, "bge", ["a", "b"])
    assert caught.value.failure.code == code
