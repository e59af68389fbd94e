"""``/api/generate``, as Ollama's programs and the article's own script speak it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.scripted import Scripted, add_model, broken, say
from tests.serving import Served
from workspace.types import Reasoning, Usage

GENERATE = "/api/generate"

# As it was published, and one line that calls it.
LATENCY_BENCHMARK = """\
import requests, statistics, time
def measure(url, payload):
    times = []
    for _ in range(100):
        start = time.time()
        requests.post(url, json=payload, timeout=10)
        times.append((time.time() - start) * 1000)
    return statistics.median(times), statistics.mean(times)
import sys; print(*measure(sys.argv[1], {"prompt":"Hello"}))
"""


def test_the_article_s_script_measures_us_as_it_is(served: Served, token: str, tmp_path: Path) -> None:
    """It knows no header; ``requests`` makes one of the token in the address."""
    script = tmp_path / "latency_benchmark.py"
    script.write_text(LATENCY_BENCHMARK)
    address = served.url.replace("http://", f"http://me:{token}@") + GENERATE
    done = subprocess.run(
        [sys.executable, str(script), address], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    median, mean = map(float, done.stdout.split())
    assert 0 < median < 10_000 and 0 < mean < 10_000
    answer = httpx.post(address, json={"prompt": "Hello"})
    assert answer.status_code == 200 and answer.json()["response"] and answer.json()["onepane"]["run"]


@pytest.fixture
def fast(db: None) -> None:
    add_model("fast")


async def test_an_answer_is_one_object_with_its_figures(door: httpx.AsyncClient, bobs: str, fast: None) -> None:
    say(Reasoning("Hm."), "Hi", " there.", Usage(input=5, output=3))
    answer = (await door.post(GENERATE, json={"prompt": "Hello"})).json()
    assert (answer["model"], answer["response"], answer["done"], answer["done_reason"]) == (
        "fast", "Hi there.", True, "stop",
    )  # fmt: skip
    assert (answer["prompt_eval_count"], answer["eval_count"]) == (5, 3)
    assert answer["total_duration"] >= answer["eval_duration"] >= 0


async def test_a_stream_is_an_object_a_line(door: httpx.AsyncClient, bobs: str, fast: None) -> None:
    say(Reasoning("Hm."), "Hi", " there.")
    answer = await door.post(GENERATE, json={"prompt": "Hello", "model": "fast", "stream": True})
    assert answer.headers["content-type"] == "application/x-ndjson"
    *pieces, end = [orjson.loads(line) for line in answer.text.splitlines()]
    assert "".join(piece["response"] for piece in pieces) == "Hi there."
    assert not any(piece["done"] for piece in pieces) and (end["done"], end["response"]) == (True, "")


async def test_options_are_the_router_s_parameters(door: httpx.AsyncClient, bobs: str, fast: None) -> None:
    say("Hi.")
    options = {"temperature": 0.1, "num_predict": 20, "stop": ["X"], "num_ctx": 4096, "seed": 3}
    body = {"prompt": "Hello", "model": "fast", "system": "Be brief.", "options": options, "keep_alive": "5m"}
    assert (await door.post(GENERATE, json=body)).status_code == 200
    (call,) = Scripted.calls
    assert call.parameters == {"temperature": 0.1, "max_tokens": 20, "stop": ["X"]}
    assert (call.system, call.seed) == ("Be brief.", 3)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"prompt": 7}, {"prompt": ""}, {"prompt": "Hello", "format": "json"}, {"prompt": "Hello", "raw": True},
        {"prompt": "Hello", "options": {"mirostat": 1}}, {"prompt": "Hello", "options": "hot"},
        {"prompt": "Hello", "images": ["aGk="]}, {"prompt": "Hello", "context": [1, 2]},
    ],
)  # fmt: skip
async def test_what_can_t_be_done_is_refused_in_ollama_s_shape(
    door: httpx.AsyncClient, bobs: str, fast: None, body: dict[str, Any]
) -> None:
    answer = await door.post(GENERATE, json=body)
    assert answer.status_code == 400 and isinstance(answer.json()["error"], str)


async def test_a_failure_half_way_is_the_last_line(door: httpx.AsyncClient, bobs: str, fast: None) -> None:
    say("Half of", broken("cut_off"))
    lines = (await door.post(GENERATE, json={"prompt": "Hello", "stream": True})).text.splitlines()
    assert [next(iter(orjson.loads(line))) for line in lines] == ["model", "error"]


async def test_without_a_token_nothing_is_generated(door: httpx.AsyncClient, fast: None) -> None:
    answer = await door.post(GENERATE, json={"prompt": "Hello"})
    assert answer.status_code == 401 and isinstance(answer.json()["error"], str)
    assert not Scripted.calls
