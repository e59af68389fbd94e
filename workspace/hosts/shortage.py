"""What it looks like when memory has run out, whoever asked for it: Python, torch, or a library below it."""

from __future__ import annotations

WORDS = (
    "could not create a primitive",
    "can't allocate memory",
    "not enough memory",
    "out of memory",  # torch's own error says it too
    "cannot allocate memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
)


LOST = ("cuda error", "hip error", "xpu error")


def is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(word in str(error).lower() for word in WORDS)


def is_lost(error: BaseException) -> bool:
    """Whether the device refuses all work of this process from now on."""
    return not is_out_of_memory(error) and any(word in str(error).lower() for word in LOST)
