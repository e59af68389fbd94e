"""``measure_latency`` and ``latency_benchmark``: figures that can be checked, and refusals in words."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from io import StringIO
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from tests.hosts.small import small_models
from workspace.http_latency import Asked, measure
from workspace.spread import line_of, spread


def called(*arguments: str) -> str:
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def test_a_spread_tells_the_middle_and_where_it_would_lie_again() -> None:
    found = spread([float(n) for n in range(1, 101)])
    assert (found["count"], found["median"], found["mean"], found["p95"]) == (100, 50.5, 50.5, 95.05)
    low, high = found["median_interval"]
    assert 35 < low < 50.5 < high < 66
    assert spread([2.0, 2.0])["p95_interval"] == [2.0, 2.0]
    assert spread([]) == {}
    assert line_of(found, "s").startswith("median 50.5 s (") and "p95 95.05 s (" in line_of(found, "s")
    assert line_of(spread([1.0, 2.0, 3.0])).endswith("p95 of no meaning in 3")


@pytest.mark.timeout(170)
def test_a_local_model_is_measured_beside_plain_generate() -> None:
    model = small_models("llama")["llama"]
    found = json.loads(called("measure_latency", "--model", model, "--tokens", "24", "--runs", "3", "--json"))
    for who in ("naive", "ours"):
        row = found[who]
        assert row["completion_s"]["count"] == 3
        assert row["between_tokens_s"]["count"] == 3 * 23
        assert row["tokens_per_s"]["median"] == pytest.approx(24 / row["completion_s"]["median"], rel=0.05)
        assert 0 < row["first_token_s"]["median"] < row["completion_s"]["median"]
    assert found["at_once"]["answers"] == 8
    assert found["ratios"]["at_once_over_one"]["median"] > 0
    assert found["memory_peak_mb"] > found["weights_mb"]
    assert {"torch", "transformers", "python", "device", "precision"} <= found.keys()


@pytest.mark.timeout(170)
def test_the_benchmark_for_a_gpu_runs_anywhere_on_a_tiny_shape() -> None:
    """No figure of it means anything here; each is there, and none beats what memory allows by far."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.gpu_local", "--device", "cpu"]
    done = subprocess.run(
        [*command, "--shape", "tiny", "--levels", "1,3", "--tokens", "6", "--json"],
        cwd=settings.BASE_DIR, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert [row["at_once"] for row in found["rows"]] == [1, 3]
    for row in found["rows"]:
        assert min(row["ours"], row["naive"], row["transformers_batching"]) > 0
        assert row["bound"] > row["ours"]
    assert found["precision"] == "bfloat16" and found["bandwidth_gb_s"] > 0


@pytest.mark.parametrize("arguments", [["--model", "nobody/has-this"], ["--model", "x", "--tokens", "0"]])
def test_what_can_not_be_measured_is_said(arguments: list[str]) -> None:
    with pytest.raises(CommandError, match=r"not on this machine|from 1 on"):
        called("measure_latency", *arguments)


class Paced(httpx.AsyncBaseTransport):
    """Answers in pieces; notes how many requests were open together."""

    def __init__(self, kind: str = "text/event-stream; charset=utf-8") -> None:
        self.kind = kind
        self.open = self.most = self.count = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        self.open += 1
        self.most = max(self.most, self.open)
        refuse = b"refuse" in request.content

        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"one", b"two"):
                await asyncio.sleep(0)
                yield piece
            self.open -= 1

        return httpx.Response(500 if refuse else 200, headers={"content-type": self.kind}, content=pieces())


async def test_an_endpoint_is_asked_so_often_and_so_many_at_once() -> None:
    server = Paced()
    rows: list[Any] = await measure(Asked(url="http://x/", payload=b"{}", requests=20), [1, 4], server)
    assert [(row["at_once"], row["requests"], row["failed"]) for row in rows] == [(1, 20, 0), (4, 20, 0)]
    assert server.count == 20 + 1 + 20 + 4  # each connection's first is not counted
    assert server.most == 4
    for row in rows:
        assert row["streamed"]
        assert 0 < row["first_byte_s"]["median"] <= row["whole_s"]["median"]
        assert row["whole_s"]["count"] == 20


async def test_a_plain_body_in_pieces_is_no_stream() -> None:
    [row] = await measure(Asked(url="http://x/", requests=2), [1], Paced("application/json"))
    assert (row["failed"], row["streamed"]) == (0, False)


async def test_failures_are_counted_and_never_timed() -> None:
    [row] = await measure(Asked(url="http://x/", payload=b'"refuse"', requests=3), [1], Paced())
    assert (row["failed"], row["failures"], row["whole_s"]) == (3, ["HTTP 500"], {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ftp://x"], "http://"),
        (["http://x", "--payload", "{"], "no JSON"),
        (["http://x", "--payload", "@/no/such/file"], "can't be read"),
        (["http://x", "--requests", "0"], "from 1 on"),
        (["http://x", "--concurrency", "1,none"], "1 to 1000"),
        (["http://x", "--header", "nonsense"], "NAME: VALUE"),
        (["http://127.0.0.1:9/", "--requests", "1"], "No request succeeded: ConnectError"),
    ],
)
def test_a_benchmark_that_can_not_be_run_says_why(arguments: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        called("latency_benchmark", *arguments)
