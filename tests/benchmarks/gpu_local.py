"""Local models on a GPU: ``python -m tests.benchmarks.gpu_local [--tokens N] [--levels 1,8,32,128] [--json]``.

A model shaped like Llama-3.1-8B with random bfloat16 weights (the speed is that of the real one), made on the device.
For 1, 8, 32 and 128 chats at once: our tokens a second, those of transformers' continuous batching, of plain
``generate`` on one prompt after the other, and the bound that the memory's bandwidth sets: every step reads all
weights once, and every chat's keys and values. The bandwidth is measured by copying. With ``--device cpu --shape tiny``
it runs anywhere, which shows that it runs and nothing about a GPU.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.hosts.small import made_tokenizer
from workspace.hosts import latency
from workspace.hosts.batch import Batch
from workspace.hosts.loading import Loaded, shares_well

SHAPES = {
    "8b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
           "num_key_value_heads": 8, "vocab_size": 128_256, "max_position_embeddings": 8192, "rope_theta": 500_000.0},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 512, "max_position_embeddings": 2048},
}  # fmt: skip
TURNS = 3  # of each way; the middle one counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--levels", default="1,8,32,128", help="chats at once")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    loaded = made(SHAPES[asked.shape], asked.device)
    found = measure(loaded, asked.tokens, [int(count) for count in asked.levels.split(",")])
    print(json.dumps(found) if asked.json else table(found))


def made(shape: dict[str, Any], device: str) -> Loaded:
    torch.manual_seed(7)
    config = LlamaConfig(**shape, eos_token_id=0, bos_token_id=0, pad_token_id=0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    window = shape["max_position_embeddings"]
    loaded = Loaded(model, made_tokenizer(512), "bfloat16", shape["num_hidden_layers"], window)
    loaded.serial = not shares_well(loaded)
    return loaded


def measure(loaded: Loaded, tokens: int, levels: Sequence[int]) -> dict[str, Any]:
    speed = bandwidth(loaded.model.device)
    config = loaded.model.config
    kv = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    rows = []
    with torch.inference_mode():
        prompt = len(latency.job(loaded, 0, tokens).prompt)
        latency.naive(loaded, loaded.model, 0, latency.WARM)
        plain = sorted(tokens / latency.naive(loaded, loaded.model, 0, tokens)[-1] for _ in range(TURNS))[TURNS // 2]
        for count in levels:
            batch = Batch(loaded, lambda job, piece: None, tokens=10**9)
            latency.ours(batch, [latency.job(loaded, n, latency.WARM) for n in range(count)])
            rates = []
            for _ in range(TURNS):
                batch.forget_prefixes()
                times = latency.ours(batch, [latency.job(loaded, n, tokens) for n in range(count)])
                rates.append(count * tokens / max(each[-1] for each in times))
            read = loaded.bytes + count * kv * (prompt + tokens // 2)
            rows.append({
                "at_once": count,
                "ours": round(sorted(rates)[TURNS // 2], 1),
                "transformers_batching": round(latency.theirs(loaded, tokens=tokens, at_once=count), 1),
                "naive": round(plain, 1),
                "bound": round(count * speed / read, 1),
            })  # fmt: skip
    return {"bandwidth_gb_s": round(speed / 1e9), "tokens": tokens, "rows": rows, **latency.machine(loaded)}


def bandwidth(device: Any) -> float:
    """Bytes a second that are read while a large array is copied: half of what moves is read."""
    size = 2**31 if device.type == "cuda" else 2**27
    source, target = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        target.copy_(source)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * size / best


def table(found: dict[str, Any]) -> str:
    lines = [
        f"{found['device']}, {found['precision']}, weights {found['weights_mb']:,.0f} MB, "
        f"bandwidth {found['bandwidth_gb_s']:,} GB/s, torch {found['torch']}, transformers {found['transformers']}",
        "",
        "| Chats at once | Ours, tokens/s | of the bound | transformers batching | plain generate | bound |",
        "|---|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        share = row["ours"] / row["bound"]
        lines.append(
            f"| {row['at_once']} | {row['ours']:,} | {share:.0%} | {row['transformers_batching']:,} | "
            f"{row['naive']:,} | {row['bound']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
