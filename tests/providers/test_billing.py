"""What counts mean for the bill, where their sum is not plain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.providers.upstream import call, events, upstream
from workspace.providers.registry import provider
from workspace.providers.replay import cases_in, hear
from workspace.types import Usage

FOLDER = Path(__file__).parents[1] / "conformance" / "provider_streams" / "anthropic"
LAST = {"input_tokens": 300, "output_tokens": 40, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 0}
EARLIER = {"input_tokens": 9_000, "output_tokens": 700, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 60}


async def heard_of(usage: dict[str, Any]) -> Usage:
    end = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}
    with upstream(events(b"data: " + orjson.dumps(end) + b"\n\n")):
        said = [piece async for piece in provider("anthropic").stream(call())]
    return next(piece for piece in said if isinstance(piece, Usage))


@pytest.mark.parametrize("kind", ["compaction", "fallback_message"])
async def test_the_rounds_of_a_compaction_or_a_fallback_are_added(kind: str) -> None:
    rounds = [{"type": kind, **EARLIER}, {"type": "message", **LAST}]
    usage = await heard_of({**LAST, "iterations": rounds})
    assert usage == Usage(input=9_000 + 60 + 300 + 5, output=740, cached=5, cache_write=60)


@pytest.mark.parametrize("rounds", [[], None, [{"type": "message", **LAST}], ["?"]])
async def test_other_counts_are_taken_as_they_are(rounds: Any) -> None:
    usage = await heard_of({**LAST, "iterations": rounds})
    assert usage == Usage(input=305, output=40, cached=5)


async def test_a_recorded_fallback_pays_for_both_models() -> None:
    case = next(case for case in cases_in(FOLDER) if case.name.endswith("claude-fable-5-fallback-to-opus"))
    usage = (await hear(case)).usage
    assert usage is not None
    assert (usage.input, usage.output) == (408 + 412, 264)


@pytest.mark.parametrize(("total", "output"), [(323, 291), (33, 1), (None, 1)])
async def test_reasoning_that_is_counted_apart_is_paid_for_too(total: int | None, output: int) -> None:
    counts = {"prompt_tokens": 32, "completion_tokens": 1, "total_tokens": total}
    details = {"completion_tokens_details": {"reasoning_tokens": 290}}
    chunk = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": counts | details}
    with upstream(events(b"data: " + orjson.dumps(chunk) + b"\n\n")):
        said = [piece async for piece in provider("openai").stream(call())]
    assert [piece.output for piece in said if isinstance(piece, Usage)] == [output]
