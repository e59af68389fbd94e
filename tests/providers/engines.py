"""Engines of others for a test, with tiny models: ``transformers serve``, and llama.cpp's server by ``xllamacpp``.

Run as ``python -m tests.providers.engines MODEL.gguf`` it serves a GGUF file by llama.cpp and prints its address.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests.serving import ROOT, free_port

WITHIN = 90.0  # seconds until an engine answers


@contextlib.contextmanager
def transformers_serve(home: Path) -> Iterator[str]:
    """The base URL of ``transformers serve`` over the Hugging Face cache of this home."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "transformers.cli.transformers", "serve", "--device", "cpu"]
    environment = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    with _ended(subprocess.Popen([*command, "--host", "127.0.0.1", "--port", str(port)], cwd=ROOT, env=environment)):
        _wait_for(f"http://127.0.0.1:{port}/health")
        yield f"http://127.0.0.1:{port}/v1"


@contextlib.contextmanager
def llama_cpp(file: Path) -> Iterator[str]:
    """The base URL of llama.cpp's server for this GGUF file."""
    command = [sys.executable, "-m", "tests.providers.engines", str(file)]
    with _ended(subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)) as it:
        assert it.stdout is not None
        url = next((line for line in it.stdout if line.startswith("serving ")), "").removeprefix("serving ").strip()
        assert url, "llama.cpp did not start"
        yield f"{url}/v1"


def cached(home: Path, name: str, folder: Path) -> None:
    """Lay a model's folder into the Hugging Face cache of this home."""
    place = home / "hub" / f"models--{name.replace('/', '--')}"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("0" * 40)
    (place / "snapshots").mkdir()
    (place / "snapshots" / ("0" * 40)).symlink_to(folder)


def made_gguf(file: Path) -> Path:
    """A model shaped like Llama with random weights and a token for each byte."""
    import gguf
    import numpy as np

    hidden, layers, inner, heads, kv = 64, 2, 128, 4, 2
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{n:02X}>" for n in range(256))]
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_context_length(512)
    writer.add_embedding_length(hidden)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // heads)
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types([2, 3, 3, *[6] * 256])  # unknown, control, bytes
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    chance = np.random.default_rng(7)
    size = hidden // heads * kv
    shapes = {"token_embd": (len(tokens), hidden), "output": (len(tokens), hidden)}
    for n in range(layers):
        shapes |= {f"blk.{n}.{name}": shape for name, shape in {
            "attn_q": (hidden, hidden), "attn_k": (size, hidden), "attn_v": (size, hidden),
            "attn_output": (hidden, hidden), "ffn_gate": (inner, hidden), "ffn_up": (inner, hidden),
            "ffn_down": (hidden, inner)}.items()}  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", chance.normal(0, 0.2, shape).astype(np.float32))
    norms = ["output_norm", *(f"blk.{n}.{part}_norm" for n in range(layers) for part in ("attn", "ffn"))]
    for name in norms:
        writer.add_tensor(f"{name}.weight", np.ones(hidden, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process  # type: ignore[misc]
    finally:
        process.kill()
        process.communicate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + WITHIN
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.2)
        else:
            return


def _serve(file: str) -> None:
    from xllamacpp import CommonParams, Server, llama_pooling_type

    asked = CommonParams()
    asked.pooling_type = llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    asked.model.path = file
    asked.n_ctx, asked.n_parallel, asked.embedding, asked.port, asked.warmup = 512, 2, True, free_port(), False
    asked.cpuparams.n_threads = asked.cpuparams_batch.n_threads = 1  # two that share a core wait for each other
    asked.verbosity = 0
    server = Server(asked)
    print(f"serving {server.listening_address}", flush=True)
    sys.stdin.read()  # until whoever started us goes


if __name__ == "__main__":
    _serve(sys.argv[1])
