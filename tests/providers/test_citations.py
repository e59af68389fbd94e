"""Passages as providers take them, and what they tell of them: blocks and ``citations_delta``, and annotations."""

from __future__ import annotations

from typing import Any

import httpx
import orjson
import pytest

from tests.providers.sdk import PROTOCOLS
from tests.providers.upstream import call, events, upstream
from workspace.providers.base import Call, Cited, Source
from workspace.providers.registry import provider
from workspace.types import Delta, Evidence, PromptMessage, sha256, text_part

HOME = "https://api.anthropic.com/v1"


def passage(number: int, text: str, url: str = "") -> Evidence:
    return Evidence(
        number=number, chunk_id=str(number), document_id="d", title="Boats", where="Ferries", text=text,
        digest=sha256(text), score=1.0, url=url,
    )  # fmt: skip


GIVEN = (passage(3, "It leaves at dawn.", "https://boats.example/"), passage(4, "Bicycles are free."))


def grounded(**options: Any) -> Call:
    return call(
        "When does it leave?", base_url=HOME, evidence=GIVEN, grounded=True, system="Quoted.", unquoted="Apart.",
        **options,
    )  # fmt: skip


def block(index: int, text: str, *citations: dict[str, Any]) -> list[dict[str, Any]]:
    told = [{"type": "citations_delta", "citation": one} for one in citations]
    return [
        {"type": "content_block_start", "index": index, "content_block": {"type": "text", "text": ""}},
        *(
            {"type": "content_block_delta", "index": index, "delta": delta}
            for delta in [{"type": "text_delta", "text": text}, *told]
        ),
        {"type": "content_block_stop", "index": index},
    ]


def location(place: int) -> dict[str, Any]:
    return {"type": "search_result_location", "search_result_index": place, "source": "x", "title": "Boats"}


def anthropic(*said: dict[str, Any]) -> httpx.Response:
    whole = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 1}}},
        *said,
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]
    return events(*(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in whole))


async def heard(kind: str, asked: Call, *answers: httpx.Response) -> tuple[list[Any], list[dict[str, Any]]]:
    with upstream(*answers) as server:
        said = [piece async for piece in provider(kind).stream(asked)]
    return [piece for piece in said if isinstance(piece, Delta | Cited | Source)], server.bodies


async def test_anthropic_is_given_passages_as_blocks_and_tells_which_it_cites() -> None:
    said = [*block(0, "It leaves at dawn", location(0), location(1), location(0)), *block(1, ".", location(9))]
    pieces, [body] = await heard("anthropic", grounded(), anthropic(*said))
    assert pieces == [
        Delta("It leaves at dawn"), Cited(number=3, title="Boats"), Cited(number=4, title="Boats"), Delta("."),
        Cited(title="Boats"),
    ]  # fmt: skip
    first, second, asked = body["messages"][-1]["content"]
    assert body["system"] == "Apart." and asked == {"type": "text", "text": "When does it leave?"}
    assert (first["source"], first["title"]) == ("https://boats.example/", "Boats, Ferries")
    assert second == {
        "type": "search_result", "source": "passage 4", "title": "Boats, Ferries", "citations": {"enabled": True},
        "content": [{"type": "text", "text": "Bicycles are free."}],
    }  # fmt: skip
    assert PROTOCOLS["anthropic"].strangers(body) == []


async def test_the_question_carries_the_passages_when_an_answer_is_gone_on_with() -> None:
    talk = (PromptMessage(role="person", parts=(text_part("When?"),)),)
    _, [body] = await heard("anthropic", grounded(messages=talk, so_far="It leaves"), anthropic(*block(0, " at dawn")))
    assert [len(message["content"]) for message in body["messages"]] == [3, len("It leaves")]


@pytest.mark.parametrize("options", [{"unquoted": None}, {"evidence": ()}])
async def test_otherwise_the_passages_stand_in_the_prompt(options: dict[str, Any]) -> None:
    asked = call(base_url=HOME, **{"evidence": GIVEN, "system": "Quoted.", "unquoted": "Apart.", **options})
    _, [body] = await heard("anthropic", asked, anthropic(*block(0, "Yes")))
    assert body["system"] == "Quoted." and "search_result" not in str(body)
    elsewhere = call(evidence=GIVEN, system="Quoted.", unquoted="Apart.")
    _, [body] = await heard("anthropic", elsewhere, anthropic(*block(0, "Yes")))
    assert body["system"] == "Quoted.", "who only speaks the protocol need not know the blocks"


async def test_a_model_that_takes_no_such_blocks_reads_them_in_the_prompt() -> None:
    message = "messages.0.content.0: Input tag 'search_result' found using 'type' does not match"
    refused = httpx.Response(
        400, json={"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    )
    pieces, [_, body] = await heard("anthropic", grounded(), refused, anthropic(*block(0, "It leaves [3]")))
    assert pieces == [Delta("It leaves [3]")]
    assert body["system"] == "Quoted." and "search_result" not in str(body)


async def test_annotations_of_chat_completions_are_told_each_time_and_sources_once() -> None:
    note = {"type": "url_citation", "url_citation": {"url": "https://boats.example/", "title": "Boats"}}
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "Dawn."}}]},
        {"choices": [{"index": 0, "delta": {"annotations": [note]}}]},
        {"choices": [{"index": 0, "delta": {"annotations": [note]}, "finish_reason": "stop"}]},
    ]
    answer = events(*(b"data: %s\n\n" % orjson.dumps(one) for one in chunks), b"data: [DONE]\n\n")
    pieces, _ = await heard("openai", call(), answer)
    cited = Cited(url="https://boats.example/", title="Boats")
    assert pieces == [Delta("Dawn."), Source(url="https://boats.example/", title="Boats"), cited, cited]


async def test_annotations_of_responses_are_told_while_it_streams_and_not_again_with_the_whole() -> None:
    page = {"type": "url_citation", "url": "https://boats.example/", "title": "Boats"}
    file = {"type": "file_citation", "file_id": "f", "filename": "boats.pdf", "index": 3}
    part = {"type": "output_text", "text": "Dawn.", "annotations": [page, file]}
    told = [
        {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Dawn."},
        *(
            {"type": "response.output_text.annotation.added", "output_index": 0, "content_index": 0, "annotation": one}
            for one in (page, file)
        ),
        {"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "content": [part]}},
        {"type": "response.completed", "response": {"status": "completed", "model": "m"}},
    ]
    answer = events(*(b"event: %s\ndata: %s\n\n" % (one["type"].encode(), orjson.dumps(one)) for one in told))
    pieces, _ = await heard("openai-responses", call(), answer)
    assert [piece for piece in pieces if isinstance(piece, Cited)] == [
        Cited(url="https://boats.example/", title="Boats"), Cited(title="boats.pdf"),
    ]  # fmt: skip
