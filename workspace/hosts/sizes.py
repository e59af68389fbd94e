"""What a model takes beside its weights, by its config.json: what it keeps of a token, and what it works on at once.

Counted in numbers, of two or four bytes each. It knows neither files nor torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PART = {"cpu": 256, "cuda": 4096}  # tokens of prompts that are read between two tokens of the others
PREFIXES = 4  # one token in so many is room for what ended answers leave to begin from
MOST_ANSWERS = 128  # that room can be asked for
SCORES = 4  # numbers for each word of the vocabulary while a token is chosen: as they come, exact, sorted, their places

HIDDEN = ("hidden_size", "n_embd", "n_embed", "d_model")
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
GROUPS = ("num_key_value_heads", "num_kv_heads", "multi_query_group_num")
KINDS = ("layer_types", "layers_block_type", "block_types")
EVERY = ("attn_layer_period", "full_attention_interval")  # of so many layers one attends, the others keep a state
STATES = frozenset({"linear_attention", "mamba", "mamba2", "conv", "recurrent"})  # of one size, however long the text
WITHOUT = frozenset({"moe", "mlp"})
WINDOWED = frozenset({"sliding_attention", "chunked_attention"})


@dataclass(frozen=True, slots=True)
class Size:
    """What room is asked for: ``context`` tokens of a chat with its answer, and so many ``answers`` at once."""

    context: int
    answers: int

    @property
    def tokens(self) -> int:
        return rows_for(self.answers) * self.context

    def smaller(self) -> Size:
        """Half as many answers; half as long a one where it is one."""
        return Size(self.context, self.answers // 2) if self.answers > 1 else Size(self.context // 2, 1)

    def __str__(self) -> str:
        return f"{self.answers} answer{'s' if self.answers > 1 else ''} of {self.context} tokens"


def rows_for(rows: int) -> int:
    """How many rows are laid out for so many: a few more, since each time all of them are copied."""
    return rows if rows < 3 else -(-rows // 4) * 4


def part_of(device: str) -> int:
    """Tokens that are read at once there."""
    return PART["cuda" if device.startswith("cuda") else "cpu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """``kept`` are the numbers of one token that its model keeps, ``passing`` those it keeps of the last ``window``
    tokens; ``seen`` those that attention works on in one layer, ``wide`` those a token takes on its way through a
    layer. ``alone`` is a model whose layers keep a state, which answers can't share side by side."""

    kept: int = 0
    passing: int = 0
    window: int = 0
    seen: int = 0
    wide: int = 0
    vocabulary: int = 0
    alone: bool = False

    def cache(self, size: Size) -> int:
        return self.kept * size.tokens + self.passing * rows_for(size.answers) * min(size.context, self.window)

    def working(self, size: Size, *, part: int) -> int:
        """Beside the cache at its fullest: one more prompt that is read, in arrays with room to grow, what ended
        answers left, one layer's past as attention takes it, and the activations of ``part`` tokens."""
        aside = 0 if self.alone else self.kept * (size.context * 5 // 4 + size.tokens // PREFIXES)
        return aside + self.seen * size.tokens + self.wide * part + SCORES * self.vocabulary * size.answers


def shape_of(config: Mapping[str, Any]) -> Shape:
    """Of the part of a config.json that speaks of text. Rows side by side keep every token, so that a sliding window
    saves room only where a model serves one answer at a time."""
    hidden, heads = number(config, *HIDDEN), number(config, *HEADS) or 1
    head = number(config, "head_dim", "kv_channels") or hidden // heads
    if rank := number(config, "kv_lora_rank"):  # keys and values are kept as what both are made from
        turned = number(config, "qk_rope_head_dim")
        kept = rank + turned
        seen = heads * (number(config, "qk_nope_head_dim") + turned + number(config, "v_head_dim"))
    else:
        kept, seen = 2 * _groups(config, heads) * head, 2 * heads * head
    kinds = _kinds(config)
    alone = any(kind in STATES for kind in kinds)
    keeping = [kind for kind in kinds if kind not in STATES | WITHOUT]
    window = number(config, "sliding_window", "attention_window_size", "attention_chunk_size")
    windowed = WINDOWED | ({"attention"} if "attention_window_size" in config else frozenset())
    passing = sum(kind in windowed for kind in keeping) if alone and window else 0
    inner = number(config, "intermediate_size", "ffn_dim", "n_inner") or 4 * hidden
    experts = number(config, "moe_intermediate_size") * number(config, "num_experts_per_tok")
    return Shape(
        kept=kept * (len(keeping) - passing),
        passing=kept * passing,
        window=window,
        seen=seen if keeping else 0,
        wide=8 * hidden + 3 * max(inner, experts),
        vocabulary=number(config, "vocab_size"),
        alone=alone,
    )


def number(config: Mapping[str, Any], *names: str) -> int:
    """The first of these that is there; else 0."""
    return next((int(config[name]) for name in names if isinstance(config.get(name), int)), 0)


def _groups(config: Mapping[str, Any], heads: int) -> int:
    """Heads of keys and values: those that several heads of a query share count once."""
    if config.get("new_decoder_architecture"):  # Falcon's larger ones keep a copy for each head
        return heads
    return 1 if config.get("multi_query") else number(config, *GROUPS) or heads


def _kinds(config: Mapping[str, Any]) -> list[str]:
    """What each layer keeps; those that look at another layer's keys and values keep nothing."""
    layers = number(config, *LAYERS)
    told = next((config[name] for name in KINDS if isinstance(config.get(name), list) and config[name]), None)
    if isinstance(attending := config.get("attn_layer_indices"), list):
        kinds = ["full_attention" if layer in attending else "mamba" for layer in range(layers)]
    elif told:
        kinds = [str(told[layer % len(told)]) for layer in range(layers)]
    elif every := number(config, *EVERY):
        kinds = ["full_attention" if layer % every == every - 1 else "mamba" for layer in range(layers)]
    elif "state_size" in config or not number(config, *HEADS):
        kinds = ["mamba"] * layers
    else:
        kinds = ["full_attention"] * layers
    return kinds[: layers - number(config, "num_kv_shared_layers")]
