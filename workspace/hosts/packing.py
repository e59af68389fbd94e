"""Matrices laid out for the CPU beforehand: oneDNN's own order of a weight, instead of one that is made anew each step.

On two cores with AVX-512 and 27 million weights a step of eight rows took 10.4 ms instead of 16.7, one of a single row
9.9 instead of 10.8. On two with AMX a row of the smaller layers took twice as long, so which is quicker is measured for
each shape as a model is loaded. The memory is the same: the plain weight goes as the other comes.
"""

from __future__ import annotations

import time
from typing import Any

import torch

ROWS = 8  # for which the order is chosen
ROUNDS = 15  # in which both are timed, at most
ENOUGH = 0.1  # seconds after which no further round begins


class Packed(torch.nn.Module):
    """A linear layer in float32. ``plain`` gives it back as it was."""

    def __init__(self, linear: torch.nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), ROWS))
        self.bias = linear.bias

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.ops.mkldnn._linear_pointwise(inputs, self.weight, self.bias, "none", [], "")

    def plain(self) -> torch.nn.Linear:
        linear = torch.nn.Linear(1, 1, bias=False, device="meta")
        linear.weight = torch.nn.Parameter(self.weight.to_dense(), requires_grad=False)
        linear.bias = self.bias
        linear.out_features, linear.in_features = linear.weight.shape
        return linear


def pack(model: Any) -> None:
    """The linear layers of a model on a CPU that are quicker so, but for those that share their weights with another
    part, in place. A model that does not work so afterwards is left as it was."""
    if not torch.backends.mkldnn.is_available():
        return
    shared = _shared(model)
    quicker: dict[torch.Size, bool] = {}

    def packed(layer: torch.nn.Linear) -> torch.nn.Module:
        shape = layer.weight.shape
        if id(layer.weight) in shared or not quicker.get(shape, True):
            return layer
        other = Packed(layer)
        if shape not in quicker:
            quicker[shape] = _is_quicker(other, layer)
        return other if quicker[shape] else layer

    _exchange(model, torch.nn.Linear, packed)
    try:
        with torch.inference_mode():
            model(input_ids=torch.tensor([[0, 0]]), use_cache=False)
    except (RuntimeError, TypeError, AttributeError):
        unpack(model)


def unpack(model: Any) -> None:
    """The smallest layers first: what each leaves is room for the next."""
    _exchange(model, Packed, Packed.plain)


def _is_quicker(packed: Packed, plain: torch.nn.Linear) -> bool:
    """By the geometric mean of its times for one row and for ``ROWS`` over the plain layer's."""
    ratio = 1.0
    with torch.inference_mode():
        for rows in (1, ROWS):
            inputs = torch.ones(rows, 1, plain.in_features)
            best = [float("inf"), float("inf")]
            began = time.perf_counter()
            for number in range(ROUNDS):
                for which, layer in enumerate((packed, plain)):
                    start = time.perf_counter()
                    layer(inputs)
                    best[which] = min(best[which], time.perf_counter() - start)
                if number > 1 and time.perf_counter() - began > ENOUGH:
                    break
            ratio *= best[0] / best[1]
    return ratio < 1


def _shared(model: Any) -> set[int]:
    """Weights that several parts have, such as those of the first and the last layer."""
    seen: set[int] = set()
    shared: set[int] = set()
    for _, parameter in model.named_parameters(remove_duplicate=False):
        (shared if id(parameter) in seen else seen).add(id(parameter))
    return shared


def _exchange(model: Any, kind: type, other: Any) -> None:
    places = [(parent, name) for parent in model.modules() for name, child in parent.named_children()
              if type(child) is kind]  # fmt: skip
    for parent, name in sorted(places, key=lambda place: getattr(*place).weight.nbytes):
        setattr(parent, name, other(getattr(parent, name)))
