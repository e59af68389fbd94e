"""Local models on a GPU: ``python -m tests.benchmarks.gpu_local [--layers N] [--tokens N] [--json]``.

A model shaped like Llama-3.1-8B with random bfloat16 weights (the speed is that of the real one), made on the device.
For 1, 8, 32 and 128 chats at once: our tokens a second, those of transformers' continuous batching, of plain
``generate`` on one prompt after the other, and the bound that the memory's bandwidth sets: every step reads all
weights once, and every chat's keys and values. The bandwidth is measured by copying.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from tests.hosts.small import made_tokenizer
from workspace.hosts import latency
from workspace.hosts.batch import Batch
from workspace.hosts.loading import Loaded, shares_well

LEVELS = (1, 8, 32, 128)
SHAPE = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128_256, "max_position_embeddings": 8192, "rope_theta": 500_000.0,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    loaded = made(asked.layers, asked.device)
    found = measure(loaded, asked.tokens)
    print(json.dumps(found) if asked.json else table(found))


def made(layers: int, device: str) -> Loaded:
    torch.manual_seed(7)
    config = LlamaConfig(**SHAPE, num_hidden_layers=layers, eos_token_id=0, bos_token_id=0, pad_token_id=0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    loaded = Loaded(model, made_tokenizer(512), "bfloat16", layers, SHAPE["max_position_embeddings"])  # type: ignore[arg-type]
    loaded.serial = not shares_well(loaded)
    return loaded


def measure(loaded: Loaded, tokens: int) -> dict[str, Any]:
    speed = bandwidth(loaded.model.device)
    config = loaded.model.config
    kv = 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    rows = []
    with torch.inference_mode():
        plain = max(tokens / latency.naive(loaded, n, tokens)[-1] for n in range(3))
        for count in LEVELS:
            batch = Batch(loaded, lambda job, piece: None, tokens=10**9)
            rates = []
            for _ in range(3):
                batch.forget_prefixes()
                times = latency.ours(batch, [latency.job(loaded, n, tokens) for n in range(count)])
                rates.append(count * tokens / max(each[-1] for each in times))
            read = loaded.bytes + count * kv * (60 + tokens // 2)
            rows.append({
                "at_once": count,
                "ours": round(sorted(rates)[1], 1),
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
