"""Keys and values of many rows side by side, each row's newest token in the same column.

A row that joins is laid so that it ends where the others end; what stands left of a row is masked. So positions count
from each row's own begin, windows of attention stay right, and every step writes one column for all. Any model that
keeps its past in transformers' ``Cache`` works on it unchanged.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache

from workspace.hosts.sizes import rows_for

ROOM = 256  # columns that are added at a time, at least

Past = list[tuple[torch.Tensor, torch.Tensor]]  # for each layer keys and values, [1, heads, tokens, size]


class Columns(Cache):
    """``lengths`` holds how many tokens each row has; rows are 0 to their number. ``shifts`` is how far each row's
    positions are from its count of tokens: some models give a picture fewer positions than tokens."""

    def __init__(self, layers: int) -> None:
        super().__init__(layers=[_Layer(self) for _ in range(layers)])
        self.lengths: list[int] = []
        self.shifts: list[int] = []
        self.most = sys.maxsize  # tokens that any row may grow to
        self.begin = 0  # the first column any row uses
        self.end = 0  # the column that is written next

    def start(self) -> None:
        """A first row, of which nothing is read yet."""
        self.lengths.append(0)
        self.shifts.append(0)

    def join(self, past: Past, length: int, shift: int = 0) -> None:
        """One more row."""
        if length > self.end or len(self.lengths) >= self._capacity()[0] or self.end >= self._capacity()[1]:
            self._lay_out(rows=len(self.lengths) + 1, longest=max([length, *self.lengths]), like=past)
        row = len(self.lengths)
        for layer, (keys, values) in zip(self.layers, past, strict=True):
            layer.keys[row, :, self.end - length : self.end] = keys[0, :, :length]
            layer.values[row, :, self.end - length : self.end] = values[0, :, :length]
        self.lengths.append(length)
        self.shifts.append(shift)
        self._narrow()

    def leave(self, row: int) -> None:
        """The last row takes its place."""
        last = len(self.lengths) - 1
        if row != last:
            part = slice(self.end - self.lengths[last], self.end)
            for layer in self.layers:
                layer.keys[row, :, part] = layer.keys[last, :, part]
                layer.values[row, :, part] = layer.values[last, :, part]
            self.lengths[row], self.shifts[row] = self.lengths[last], self.shifts[last]
        self.lengths.pop()
        self.shifts.pop()
        self._narrow()

    def view(self, row: int) -> Past:
        """One row, as it lies here."""
        part = slice(self.end - self.lengths[row], self.end)
        return [(layer.keys[row : row + 1, :, part], layer.values[row : row + 1, :, part]) for layer in self.layers]

    def past(self, row: int) -> Past:
        """A copy of one row."""
        return [(keys.clone(), values.clone()) for keys, values in self.view(row)]

    def ready(self, tokens: int) -> None:
        """Make sure that so many columns can be written."""
        if self.layers[0].is_initialized and self.end + tokens > self._capacity()[1]:
            self._lay_out(rows=len(self.lengths), longest=max(self.lengths), more=tokens)

    def written(self, tokens: int) -> None:
        """So many columns were written, for every row."""
        self.end += tokens
        self.lengths = [length + tokens for length in self.lengths]

    def mask(self, tokens: int, device: Any) -> torch.Tensor | None:
        """Which columns each row may see; ``None`` when that is all of them."""
        width = self.end - self.begin
        if all(length == width for length in self.lengths):
            return None
        lengths = torch.tensor(self.lengths, device=device)[:, None] + tokens
        return torch.arange(width + tokens, device=device)[None, :] >= width + tokens - lengths

    def positions(self, tokens: int, device: Any) -> torch.Tensor:
        begins = [length + shift for length, shift in zip(self.lengths, self.shifts, strict=True)]
        return torch.tensor(begins, device=device)[:, None] + torch.arange(tokens, device=device)[None, :]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.end - self.begin

    def _narrow(self) -> None:
        self.begin = self.end - max(self.lengths, default=0)

    def _capacity(self) -> tuple[int, int]:
        layer = self.layers[0]
        return (layer.keys.shape[0], layer.keys.shape[2]) if layer.is_initialized else (0, 0)

    def _lay_out(self, *, rows: int, longest: int, like: Past | None = None, more: int = 1) -> None:
        """Arrays of another size, or the same columns moved left; one layer after the other, so that old and new stand
        side by side for one alone. After a failure half-way nothing here is of use any more."""
        rows = rows_for(rows)
        width = max(longest + more, min(self.most, longest + more + max(ROOM, longest // 4)))
        used, old = len(self.lengths), slice(self.begin, self.end)
        new = slice(longest - (self.end - self.begin), longest)
        for number, layer in enumerate(self.layers):
            pair = (layer.keys, layer.values) if layer.is_initialized else like[number]  # type: ignore[index]
            fresh = [part.new_zeros((rows, part.shape[1], width, part.shape[3])) for part in pair]
            if layer.is_initialized:
                for part, grown in zip(pair, fresh, strict=True):
                    grown[:used, :, new] = part[:used, :, old]
            layer.keys, layer.values = fresh
            layer.is_initialized = True
        self.end = longest
        self._narrow()


class _Layer(CacheLayerMixin):
    is_sliding = False

    def __init__(self, columns: Columns) -> None:
        super().__init__()
        self._columns = columns

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """The first tokens of a single row."""
        room = max(ROOM, key_states.shape[2] // 4)
        self.keys, self.values = (
            part.new_zeros((part.shape[0], part.shape[1], part.shape[2] + room, part.shape[3]))
            for part in (key_states, value_states)
        )
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, tokens = key_states.shape[0], key_states.shape[2]
        begin, end = self._columns.begin, self._columns.end
        self.keys[:rows, :, end : end + tokens] = key_states
        self.values[:rows, :, end : end + tokens] = value_states
        return self.keys[:rows, :, begin : end + tokens], self.values[:rows, :, begin : end + tokens]

    def get_seq_length(self) -> int:
        return self._columns.end - self._columns.begin

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1


class Alone:
    """The past of a single row as transformers itself keeps it, for models whose rows can't share one."""

    def __init__(self, model: Any) -> None:
        self.cache = DynamicCache(config=model.config)
        self.lengths = [0]
        self.shifts = [0]

    def written(self, tokens: int) -> None:
        self.lengths[0] += tokens


def forward(
    model: Any, past: Columns | Alone, tokens: Sequence[Sequence[int]], seen: Mapping[str, Any] | None = None
) -> torch.Tensor:
    """Write the tokens, as many for each row, and return the scores after the last of each: [rows, vocabulary].
    ``seen`` are the pictures of a row that is read from its begin: where its tokens stand, the model itself says."""
    device, count = model.device, len(tokens[0])
    where: dict[str, Any] = {"past_key_values": past.cache if isinstance(past, Alone) else past}
    if isinstance(past, Columns):
        past.ready(count)
        if not seen:
            where |= {"attention_mask": past.mask(count, device), "position_ids": past.positions(count, device)}
    if not past.lengths[0]:
        _forget_shift(model)  # of another row that was read before
    said = model(
        input_ids=torch.tensor(tokens, device=device), use_cache=True, logits_to_keep=1, **where, **(seen or {})
    )
    past.written(count)
    if seen:
        past.shifts = [_shift(model)]
    return said.logits[:, -1]


def _shift(model: Any) -> int:
    """How far the positions of what was read last are from the count of its tokens (Qwen2-VL and its like)."""
    deltas = getattr(model.base_model, "rope_deltas", None)
    return 0 if deltas is None else int(deltas.flatten()[0])


def _forget_shift(model: Any) -> None:
    if hasattr(model.base_model, "rope_deltas"):
        model.base_model.rope_deltas = None
