"""The model host with its real embedding model, and with a small language model made for the test."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import httpx
import orjson
import pytest

from workspace.hosts import link
from workspace.hosts.supervisor import Supervisor

MAKE = """
import sys, string
from tokenizers import Tokenizer, models, pre_tokenizers, decoders
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
signs = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
made = Tokenizer(models.BPE(vocab={s: n for n, s in enumerate(signs)}, merges=[]))
made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
made.decoder = decoders.ByteLevel()
PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>").save_pretrained(sys.argv[1])
size = {"n_positions": 128, "n_embd": 16, "n_layer": 1, "n_head": 2}
config = GPT2Config(vocab_size=len(signs), eos_token_id=0, bos_token_id=0, **size)
GPT2LMHeadModel(config).save_pretrained(sys.argv[1])
"""


def closeness(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


@pytest.fixture
def model(tmp_path: Path) -> str:
    """A folder with a language model of random weights that speaks in single signs."""
    folder = str(tmp_path / "model")
    subprocess.run([sys.executable, "-W", "ignore", "-c", MAKE, folder], check=True, capture_output=True)
    return folder


async def test_texts_become_vectors_by_their_meaning_and_a_local_model_streams(model: str) -> None:
    """One test, because a host takes seconds to load."""
    kept = Supervisor((link.MODEL_HOST,))
    await kept.start()
    try:
        await kept.serving()
        assert await link.settled() == "ready"
        await embeds()
        await streams(model)
        await tells_what_is_wrong(f"{model}-absent")
    finally:
        await kept.stop()


async def embeds() -> None:
    texts = ["The cat sleeps on the sofa.", "Interest rates rose again.", "A kitten naps on the couch.", "word " * 900]
    vectors = await link.aembed(texts)
    assert [len(vector) for vector in vectors] == [384] * 4
    assert all(math.isclose(closeness(v, v), 1.0, abs_tol=1e-4) for v in vectors)
    cat, rates, kitten, _ = vectors
    assert closeness(cat, kitten) > 0.5 > closeness(cat, rates)
    [alone] = await link.aembed([texts[2]])
    assert closeness(alone, kitten) == pytest.approx(1.0, abs=1e-4)  # the rows kept their order


async def streams(model: str) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 12, "stream": True}
    transport = httpx.AsyncHTTPTransport(uds=str(link.socket_of(link.MODEL_HOST)))
    async with (
        httpx.AsyncClient(transport=transport, base_url="http://host", timeout=30.0) as client,
        client.stream("POST", "/v1/chat/completions", json=body) as response,
    ):
        lines = [line.removeprefix("data: ") async for line in response.aiter_lines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [orjson.loads(line) for line in lines[:-1]]
    assert chunks[-1]["choices"][0]["finish_reason"] in {"length", "stop"}
    assert chunks[-1]["usage"]["prompt_tokens"] == 5
    assert 0 < chunks[-1]["usage"]["completion_tokens"] <= 12
    assert all("content" in chunk["choices"][0]["delta"] for chunk in chunks[:-1])


async def tells_what_is_wrong(absent: str) -> None:
    messages = [{"role": "user", "content": "Hello"}]
    with pytest.raises(link.HostUnavailable, match="500.*absent"):
        await link._apost(link.MODEL_HOST, "/v1/chat/completions", {"model": absent, "messages": messages})
    with pytest.raises(link.HostUnavailable, match="400"):
        await link._apost(link.MODEL_HOST, "/v1/embeddings", {"nothing": 1})
    assert await link.settled() == "ready"
