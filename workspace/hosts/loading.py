"""Models into memory: at a precision, on a device, proved to write side by side what they write alone.

Not every architecture keeps its past so that rows can share it (state-space models, for one). Each is tried at load:
two texts read in one batch must give the scores of the first read alone. Who fails this is served one answer at a time.
"""

from __future__ import annotations

import gc
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workspace.hosts.columns import Columns, forward
from workspace.hosts.making import LOADING, guard
from workspace.hosts.packing import Packed, pack, unpack
from workspace.hosts.seeing import processor_of
from workspace.hosts.shortage import is_out_of_memory

logger = logging.getLogger(__name__)

PRECISIONS = ("float32", "bfloat16", "int8")  # from the most to the least memory
CLOSE = 0.02  # of the spread of the scores


@dataclass(slots=True)
class Loaded:
    model: Any
    tokenizer: Any
    precision: str
    layers: int
    window: int
    processor: Any = None  # of models that see pictures; its tokenizer is its own, for another thread
    serial: bool = False
    broken: bool = False

    @property
    def device(self) -> str:
        return str(self.model.device)

    @property
    def kind(self) -> str:
        return "cuda" if self.model.device.type == "cuda" else "cpu"

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (*self.model.parameters(), *self.model.buffers()))


def load(folder: Path, *, device: str, precision: str, sees: bool = False) -> Loaded:
    """A model that writes; ``sees`` if it can be shown pictures. Raises MemoryError, RuntimeError or OSError, whatever
    the libraries raise."""
    dtype = torch.bfloat16 if precision == "int8" else getattr(torch, precision)
    with LOADING:
        from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

        guard()
        processor = processor_of(folder) if sees else None
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
        model = kind.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
    if precision == "int8":
        to_int8(model)
    model.to(device)
    if device == "cpu" and precision == "float32":
        pack(model)
    config = model.config.get_text_config()
    window = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None) or 2048
    loaded = Loaded(model, tokenizer, precision, config.num_hidden_layers, window, processor)
    loaded.serial = not shares_well(loaded)
    return loaded


def lower(loaded: Loaded) -> str:
    """The next lower precision, in place; empty when there is none. The smallest parts go first: each leaves room for
    the next. When memory ends half-way the model is ``broken``, and has to be loaded again."""
    place = PRECISIONS.index(loaded.precision) if loaded.precision in PRECISIONS else 1
    if place + 1 == len(PRECISIONS):
        return ""
    precision = PRECISIONS[place + 1]
    if precision == "int8":
        to_int8(loaded.model)  # each layer by itself: half of them is as good a model
    else:
        _to_bfloat16(loaded)
    loaded.precision = precision
    gc.collect()
    return precision


def to_cpu(loaded: Loaded) -> None:
    loaded.broken = True  # until all of it is there
    loaded.model.to("cpu")
    loaded.broken = False
    torch.cuda.empty_cache()


class Int8Linear(torch.nn.Module):
    """Weights as signed bytes with a scale for each row: a quarter of float32. Sums are in the input's precision."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = weight.abs().amax(dim=1, keepdim=True).float().clamp(min=1e-8) / 127
        self.register_buffer("weight", (weight.float() / scale).round().to(torch.int8))
        self.register_buffer("scale", scale.to(weight.dtype).squeeze(1))
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        sums = torch.nn.functional.linear(inputs, self.weight.to(inputs.dtype)) * self.scale.to(inputs.dtype)
        return sums if self.bias is None else sums + self.bias


def _to_bfloat16(loaded: Loaded) -> None:
    """As transformers loads it: what no file holds, such as the frequencies that positions are told by, stays exact."""
    unpack(loaded.model)
    stored = loaded.model.state_dict(keep_vars=True).values()
    parts = {id(part): part for part in stored if part.is_floating_point()}  # once, if several layers share it
    for part in sorted(parts.values(), key=lambda part: part.nbytes):
        smaller = part.data.to(torch.bfloat16)
        loaded.broken = True  # until the last one is done
        part.data = smaller
    loaded.broken = False
    loaded.model.config.dtype = torch.bfloat16


def to_int8(model: Any) -> None:
    """All but the last layer, whose errors would show most."""
    last = model.get_output_embeddings()
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) in (torch.nn.Linear, Packed) and child is not last:
                setattr(module, name, Int8Linear(child.plain() if type(child) is Packed else child))


def shares_well(loaded: Loaded) -> bool:
    """Whether a row of a batch comes out as it does alone."""
    vocabulary = loaded.model.config.get_text_config().vocab_size
    one, other = ([(n * step + 5) % vocabulary for n in range(length)] for step, length in ((7, 23), (11, 9)))
    try:
        with torch.inference_mode():
            alone = loaded.model(torch.tensor([one], device=loaded.model.device)).logits[0, -1].float()
            together = Columns(loaded.layers)
            for text in (other, one):
                single = Columns(loaded.layers)
                single.start()
                forward(loaded.model, single, [text[:-1]])
                together.join(single.past(0), len(text) - 1)
            shared = forward(loaded.model, together, [[other[-1]], [one[-1]]])[1].float()
    except (TypeError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        logger.warning("no batches for %s: %s", type(loaded.model).__name__, error)
        return False
    spread = float(alone.max() - alone.min()) or 1.0
    # float: the same sums in another order; lower precisions are farther apart
    allowed = CLOSE * (1 if alone.dtype == torch.float32 and loaded.precision == "float32" else 4)
    return float((alone - shared).abs().max()) <= allowed * spread
