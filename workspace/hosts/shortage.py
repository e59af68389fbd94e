"""What it looks like when memory has run out, whoever asked for it: Python, torch, or a library below it."""

from __future__ import annotations

import torch

WORDS = (
    "could not create a primitive",
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "cannot allocate memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(word in str(error).lower() for word in WORDS)
