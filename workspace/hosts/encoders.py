"""Models that read texts and write none: embeddings, and scores of pairs (rerankers, entailment).

Folders of sentence-transformers say in ``modules.json`` how a text's tokens become its vector; what they name beside
that is refused, since vectors made without it would be wrong. Runs in one thread, and knows no socket and no budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from workspace.hosts.loading import to_int8
from workspace.hosts.making import LOADING, guard
from workspace.hosts.shortage import is_out_of_memory
from workspace.hosts.weights import NotAModel

AT_ONCE = {"cpu": 32, "cuda": 256}  # texts
POOLINGS = ("mean", "cls", "lasttoken", "max")
LONGEST = 8192  # tokens that are read of a text, where its model sets no limit


class Encoder:
    """One model. ``task`` is ``embedding`` or ``pairs``. Raises NotAModel, MemoryError, RuntimeError or OSError."""

    broken = False  # only models that write can be left half-way by short memory

    def __init__(self, folder: Path, *, task: str, device: str = "cpu", precision: str = "float32",
                 longest: int = LONGEST) -> None:  # fmt: skip
        self.precision, self.device = precision, device
        dtype = torch.bfloat16 if precision == "int8" else getattr(torch, precision)
        with LOADING:  # imports too: those of transformers are not made for two threads
            from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

            guard()
            kind = AutoModel if task == "embedding" else AutoModelForSequenceClassification
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = kind.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
        if precision == "int8":
            to_int8(self._model)
        self._model.to(device)
        if self._tokenizer.pad_token is None:  # those of models that write have none
            self._tokenizer.pad_token = self._tokenizer.eos_token
            self._model.config.pad_token_id = self._tokenizer.pad_token_id
        self._steps = _Steps(folder) if task == "embedding" else None
        self.window = min(longest, _longest(folder, self._tokenizer))
        self._at_once = AT_ONCE["cuda" if device.startswith("cuda") else "cpu"]

    @property
    def dimensions(self) -> int:
        """Of its vectors."""
        assert self._steps is not None
        return self._steps.dimensions or int(self._model.config.hidden_size)

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (*self._model.parameters(), *self._model.buffers()))

    def embed(self, texts: Sequence[str], *, of: str = "") -> list[Any]:
        """One unit vector, an array, for each text. ``of`` names the prompt its model wants before such a text, such as
        ``query`` or ``document``; without one of that name the text stands alone."""
        assert self._steps is not None
        before = self._steps.prompts.get(of, "")
        return self._by_batches([before + text for text in texts], self._vectors)

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Of each text how many tokens it has, with those that frame it: more than ``window`` are not read."""
        return [len(ids) for ids in self._tokenizer(list(texts), verbose=False)["input_ids"]]

    def scores(self, pairs: Sequence[tuple[str, str]]) -> list[dict[str, float]]:
        """For each pair what its model says of it: the chance of every label, or one ``score`` from 0 to 1."""
        return self._by_batches(list(pairs), self._labels)

    def _vectors(self, texts: list[str]) -> list[Any]:
        assert self._steps is not None
        tokens = self._tokens(texts)
        hidden = self._model(**tokens).last_hidden_state
        return list(self._steps(hidden, tokens["attention_mask"]).cpu().numpy())

    def _labels(self, pairs: list[tuple[str, str]]) -> list[dict[str, float]]:
        scores = self._model(**self._tokens(*(list(side) for side in zip(*pairs, strict=True)))).logits.float()
        if scores.shape[1] == 1:
            return [{"score": score} for score in scores.sigmoid()[:, 0].tolist()]
        names = [self._model.config.id2label[n].lower() for n in range(scores.shape[1])]
        return [dict(zip(names, row, strict=True)) for row in scores.softmax(-1).tolist()]

    def _tokens(self, *sides: list[str]) -> Any:
        made = self._tokenizer(*sides, padding=True, truncation=True, max_length=self.window, return_tensors="pt")
        return made.to(self._model.device)

    def _by_batches(self, items: list[Any], work: Callable[[list[Any]], list[Any]]) -> list[Any]:
        """Texts of like length together; fewer at once when memory is short."""
        order = sorted(range(len(items)), key=lambda n: len(str(items[n])))
        rows: list[Any] = [None] * len(items)
        with torch.inference_mode():
            while order:
                batch = order[: self._at_once]
                try:
                    found = work([items[n] for n in batch])
                except (RuntimeError, MemoryError) as error:
                    if len(batch) == 1 or not is_out_of_memory(error):
                        raise
                    self._at_once = len(batch) // 2
                    continue
                del order[: len(batch)]
                for n, row in zip(batch, found, strict=True):
                    rows[n] = row
        return rows


class _Steps:
    """From the states of a text's tokens to its vector, as the folder says: pooling, then matrices if there are some.
    A folder that says nothing means the mean over real tokens (Reimers and Gurevych, 2019)."""

    def __init__(self, folder: Path) -> None:
        self._pooling = "mean"
        self._dense: list[tuple[torch.Tensor, torch.Tensor | None, bool]] = []
        self.prompts: dict[str, str] = _json(folder / "config_sentence_transformers.json").get("prompts") or {}
        for module in _json(folder / "modules.json") or ():
            kind, place = module["type"].rpartition(".")[2], folder / module.get("path", "")
            if kind == "Pooling":
                self._pooling = _pooling(_json(place / "config.json"))
            elif kind == "Dense":
                self._dense.append(_dense(place))
            elif kind not in ("Transformer", "Normalize"):
                raise NotAModel(f"{folder} makes its vectors with {kind}, which is not known here")

    @property
    def dimensions(self) -> int:
        """Of the last matrix; 0 without one."""
        return self._dense[-1][0].shape[0] if self._dense else 0

    def __call__(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        vectors = self._pooled(hidden.float(), mask)
        for weight, bias, tanh in self._dense:
            vectors = torch.nn.functional.linear(vectors, weight.to(vectors.device), bias)
            vectors = vectors.tanh() if tanh else vectors
        return torch.nn.functional.normalize(vectors, dim=1)

    def _pooled(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        real = mask.unsqueeze(-1).to(hidden.dtype)
        if self._pooling == "mean":
            return (hidden * real).sum(1) / real.sum(1).clamp(min=1e-9)
        if self._pooling == "max":
            return hidden.masked_fill(real == 0, -torch.inf).amax(1)
        rows = torch.arange(len(hidden), device=hidden.device)
        if self._pooling == "cls":
            return hidden[rows, mask.int().argmax(1)]
        return hidden[rows, mask.shape[1] - 1 - mask.flip(1).int().argmax(1)]


def _pooling(config: dict[str, Any]) -> str:
    """Either named outright, or as one switch for each."""
    names = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}
    on = [name for name in POOLINGS if config.get(f"pooling_mode_{names[name]}")]
    named = config.get("pooling_mode")
    chosen = [named] if isinstance(named, str) else on
    if len(chosen) != 1 or chosen[0] not in POOLINGS:
        raise NotAModel(f"its vectors are pooled by {chosen or config}, which is not known here")
    return str(chosen[0])


def _dense(place: Path) -> tuple[torch.Tensor, torch.Tensor | None, bool]:
    from safetensors.torch import load_file

    activation = str(_json(place / "config.json").get("activation_function", "")).rpartition(".")[2]
    if activation not in ("Identity", "Tanh", ""):
        raise NotAModel(f"its vectors go through {activation}, which is not known here")
    parts = load_file(place / "model.safetensors")
    bias = parts.get("linear.bias")
    return parts["linear.weight"].float(), None if bias is None else bias.float(), activation == "Tanh"


def _longest(folder: Path, tokenizer: Any) -> int:
    told = _json(folder / "sentence_bert_config.json").get("max_seq_length")
    config = _json(folder / "config.json")
    window = config.get("max_position_embeddings")
    if window and "roberta" in config.get("model_type", ""):  # its positions begin behind that of padding
        window -= config.get("pad_token_id", 1) + 1
    return min(n for n in (told, tokenizer.model_max_length, window, LONGEST) if isinstance(n, int) and n > 0)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise NotAModel(f"{path} can't be read: {error}") from None
