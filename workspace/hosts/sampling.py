"""Choosing the next token: one row of scores in, one token out, the same for the same seed.

Greedy rows of a batch are chosen together; a row that samples has a generator of its own, so who else is in the batch
changes none of its draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

COLDEST = 1e-5  # a temperature below it is greedy: scores divided by less are no numbers any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """What a request says of it, or what the model's own generation settings say. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None

    @property
    def penalises(self) -> bool:
        return self.repetition_penalty != 1.0 or bool(self.presence_penalty or self.frequency_penalty)

    @property
    def is_greedy(self) -> bool:
        return not self.temperature and not self.penalises

    def generator(self, device: Any) -> torch.Generator:
        made = torch.Generator(device=device)
        made.manual_seed(self.seed) if self.seed is not None else made.seed()
        return made


def sampling_of(body: dict[str, Any], defaults: Any) -> Sampling:
    """Out of a request in OpenAI's words; what it leaves open is as the model's makers set it."""
    made = {name: _number(body, name, defaults) for name in Sampling.__dataclass_fields__ if name != "seed"}
    samples = body.get("temperature") is not None or getattr(defaults, "do_sample", False)
    if not samples or made["temperature"] < COLDEST:
        made["temperature"] = 0.0
    if made["repetition_penalty"] <= 0:
        raise ValueError("repetition_penalty is a number above 0")
    seed = body.get("seed")
    return Sampling(**made, seed=None if seed is None else int(seed) % 2**63)


def _number(body: dict[str, Any], name: str, defaults: Any) -> Any:
    own: Any = Sampling.__dataclass_fields__[name].default
    given = body.get(name)
    if given is None:
        given = getattr(defaults, name, None)
    if given is None:
        return 1.0 if name == "temperature" else own
    if not isinstance(given, int | float) or (name == "temperature" and given < 0):
        raise ValueError(f"{name} is a number of at least 0, not {given!r}")
    return type(own)(given)


def choose(
    scores: torch.Tensor, how: Sampling, *, written: Sequence[int], prompt: Sequence[int], generator: torch.Generator
) -> int:
    """The next token of one row. ``written`` is what the answer has so far. Raises ValueError for scores that are no
    numbers: a GPU would refuse all work after it had drawn from them."""
    scores = scores.float()
    if how.penalises:
        scores = _penalised(scores, how, written, prompt)
    if not how.temperature:
        return int(scores.argmax())
    ordered, order = torch.sort(scores / how.temperature, descending=True)
    chances = ordered.softmax(-1)
    if not chances.isfinite().all():
        raise ValueError("the model's scores with these parameters are no numbers")
    keep = torch.ones_like(chances, dtype=torch.bool)
    if how.top_k:
        keep[how.top_k :] = False
    if how.top_p < 1.0:
        keep &= chances.cumsum(-1) - chances < how.top_p
    if how.min_p:
        keep &= chances >= how.min_p * chances[0]
    keep[0] = True
    return int(order[torch.multinomial(chances * keep, 1, generator=generator)])


def _penalised(scores: torch.Tensor, how: Sampling, written: Sequence[int], prompt: Sequence[int]) -> torch.Tensor:
    scores = scores.clone()
    if how.repetition_penalty != 1.0:
        seen = torch.tensor(sorted({*prompt, *written}), device=scores.device)
        rows = scores[seen]
        scores[seen] = torch.where(rows > 0, rows / how.repetition_penalty, rows * how.repetition_penalty)
    if written and (how.presence_penalty or how.frequency_penalty):
        said, count = torch.tensor(list(written), device=scores.device).unique(return_counts=True)
        scores[said] -= how.presence_penalty + how.frequency_penalty * count
    return scores
