"""Locks for what transformers changes for the whole process while it makes a model.

It sets torch's default precision and replaces methods of all models for that moment. So models are loaded one at a
time (``LOADING``), and nothing is generated while one is made out of its classes (``MAKING``, some milliseconds; the
seconds that reading the weights takes are not in it).
"""

from __future__ import annotations

import threading
from typing import Any

LOADING = threading.Lock()
MAKING = threading.RLock()


def guard() -> None:
    """Let transformers take ``MAKING`` when it makes a model."""
    from transformers import PreTrainedModel

    theirs = PreTrainedModel.get_init_context.__func__
    if getattr(theirs, "guarded", False):
        return

    def guarded(cls: Any, *args: Any, **kwargs: Any) -> list[Any]:
        return [MAKING, *theirs(cls, *args, **kwargs)]

    guarded.guarded = True  # type: ignore[attr-defined]
    PreTrainedModel.get_init_context = classmethod(guarded)
