"""What models of many architectures really keep of a text, beside what is told of their config.json:
``python -m tests.hosts.keeping`` prints both, as JSON. It imports torch, and a test's own process does not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from workspace.hosts.columns import Alone, Columns, forward
from workspace.hosts.loading import Loaded, shares_well
from workspace.hosts.sizes import Size, shape_of

TOKENS = 20
WINDOW = 8
PLAIN = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4,
         "num_attention_heads": 4, "pad_token_id": 0, "eos_token_id": 0, "bos_token_id": 0}  # fmt: skip
GROUPED = {**PLAIN, "num_key_value_heads": 2}
LATENT = {**PLAIN, "num_key_value_heads": 4, "kv_lora_rank": 12, "q_lora_rank": 16, "qk_rope_head_dim": 4,
          "qk_nope_head_dim": 8, "v_head_dim": 8}  # fmt: skip
EXPERTS = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "n_group": 1, "topk_group": 1,
           "first_k_dense_replace": 1}  # fmt: skip
HALF = ["sliding_attention", "full_attention"] * 2
SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    "each head its own": ("gpt2", {"vocab_size": 64, "n_embd": 32, "n_layer": 4, "n_head": 4}),
    "grouped": ("llama", GROUPED),
    "grouped, wider heads": ("qwen3", {**GROUPED, "head_dim": 16}),
    "one for all heads": ("gpt_bigcode", {"vocab_size": 64, "n_embd": 32, "n_layer": 4, "n_head": 4,
                                          "multi_query": True}),
    "falcon": ("falcon", {**PLAIN, "multi_query": True, "alibi": False}),
    "falcon, newer": ("falcon", {**PLAIN, "num_kv_heads": 2, "new_decoder_architecture": True, "alibi": False}),
    "a window": ("mistral", {**GROUPED, "sliding_window": WINDOW}),
    "a window in half the layers": ("gemma2", {**GROUPED, "head_dim": 8, "sliding_window": WINDOW,
                                              "layer_types": HALF}),
    "latent": ("deepseek_v3", {**LATENT, **EXPERTS}),
    "latent, without experts": ("minicpm3", LATENT),
    "states": ("mamba", {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}),
    "states and attention": ("bamba", {**GROUPED, "attn_layer_indices": [1, 3], "mamba_n_heads": 4,
                                       "mamba_d_head": 16, "mamba_n_groups": 1, "mamba_d_state": 8}),
    "short memory and attention": ("lfm2", {**GROUPED, "layer_types": ["conv", "full_attention"] * 2}),
    "states and a window": ("recurrent_gemma", {**GROUPED, "num_key_value_heads": 1, "attention_window_size": WINDOW,
                                                "block_types": ["recurrent", "attention"], "lru_width": 32}),
}  # fmt: skip


def main() -> None:
    print(json.dumps({name: _both(*shape) for name, shape in SHAPES.items()}))


@torch.inference_mode()
def _both(kind: str, values: dict[str, Any]) -> dict[str, Any]:
    torch.manual_seed(7)
    config = AutoConfig.for_model(kind, **values)
    model = AutoModelForCausalLM.from_config(config).eval()
    loaded = Loaded(model, None, "float32", config.num_hidden_layers, 512)
    alone = not shares_well(loaded)
    past = Alone(model) if alone else Columns(loaded.layers)
    if isinstance(past, Columns):
        past.start()
    forward(model, past, [list(range(1, TOKENS))])
    forward(model, past, [[TOKENS]])
    told = shape_of(json.loads(config.to_json_string()))
    keeps = sum(_numbers(past))
    return {"keeps": keeps, "told": told.cache(Size(TOKENS, 1)), "alone": alone, "told alone": told.alone}


def _numbers(past: Alone | Columns) -> Iterator[int]:
    cache: Any = past.cache if isinstance(past, Alone) else past
    for layer in cache.layers:
        for part in (getattr(layer, "keys", None), getattr(layer, "values", None)):
            if part is not None and part.dim() == 4:
                kept = TOKENS if isinstance(past, Columns) else part.shape[2]
                yield part.shape[1] * part.shape[3] * kept


if __name__ == "__main__":
    main()
