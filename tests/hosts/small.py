"""Models made for a test: shaped like Llama or GPT-2, or like BERT for embeddings; random weights, tokens of bytes.

Run as ``python -m tests.hosts.small FOLDER SIZE KIND...``: it imports torch, and a test's own process does not.
"""

from __future__ import annotations

import atexit
import functools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIZES = {
    "tiny": {"hidden_size": 64, "num_hidden_layers": 2, "intermediate_size": 128, "num_attention_heads": 4,
             "num_key_value_heads": 2, "vocab_size": 512},
    "30m": {"hidden_size": 512, "num_hidden_layers": 8, "intermediate_size": 1376, "num_attention_heads": 8,
            "num_key_value_heads": 4, "vocab_size": 8000},
    # Quick, and keeps 32 KiB of every token in two arrays: memory ends in one large allocation, and not in a small one.
    "wide": {"hidden_size": 64, "num_hidden_layers": 1, "intermediate_size": 64, "num_attention_heads": 16,
             "num_key_value_heads": 16, "head_dim": 256, "vocab_size": 512},
}  # fmt: skip
WINDOW = 2048
TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def small_models(*kinds: str, size: str = "tiny") -> dict[str, str]:
    """One of each kind, made in a process of its own when first asked for; their folders, which nobody changes."""
    folders = {kind: _place() / size / kind for kind in kinds}
    if missing := [kind for kind, folder in folders.items() if not folder.exists()]:
        command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.small", str(_place() / size), size, *missing]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
        assert done.returncode == 0, done.stderr
    return {kind: str(folder) for kind, folder in folders.items()}


@functools.cache
def _place() -> Path:
    place = tempfile.mkdtemp(prefix="onepane-models-")
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return Path(place)


def make(folder: str, size: str, kind: str) -> None:
    import torch
    from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MambaConfig

    torch.manual_seed(7)
    shape = SIZES[size]
    made_tokenizer(shape["vocab_size"]).save_pretrained(folder)
    ends = {"eos_token_id": 0, "bos_token_id": 0, "pad_token_id": 0}
    if kind == "gpt2":
        config: Any = GPT2Config(
            vocab_size=shape["vocab_size"], n_positions=128, n_embd=64, n_layer=2, n_head=2, **ends
        )
    elif kind == "mamba":
        config = MambaConfig(vocab_size=shape["vocab_size"], hidden_size=32, num_hidden_layers=2, state_size=4, **ends)
    else:
        config = LlamaConfig(**shape, max_position_embeddings=WINDOW, **ends)
    model = AutoModelForCausalLM.from_config(config)
    if kind == "halved":
        model = model.to(torch.bfloat16)
    model.save_pretrained(folder)


def made_tokenizer(size: int) -> Any:
    """Every byte is a token, and so are pairs of letters, until there are so many."""
    from itertools import product
    from string import ascii_lowercase

    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    signs = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    pairs = ("".join(letters) for letters in product(("", "Ġ"), ascii_lowercase, ascii_lowercase, ascii_lowercase))
    signs += [next(pairs) for _ in range(size - len(signs))]
    made = Tokenizer(models.BPE(vocab={sign: n for n, sign in enumerate(signs)}, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer


if __name__ == "__main__":
    for each in sys.argv[3:]:
        make(f"{sys.argv[1]}/{each}", sys.argv[2], each)
