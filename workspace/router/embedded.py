"""Embeddings of many texts, kept on disk in parts: a second run asks nobody, an interrupted one goes on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from workspace.router.neighbours import Vectors

PART = 1_024  # texts in one file
BATCH = 32  # texts in one request: on a machine that is busy it is answered in time even so
NUL = "\0"


def embedded(
    texts: Sequence[str], *, folder: Path, embed: Callable[[Sequence[str]], list[list[float]]],
    tell: Callable[[str], None],
) -> Vectors:  # fmt: skip
    """A row for each text, in order."""
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), PART):
        some = texts[start : start + PART]
        path = folder / f"{hashlib.sha256(NUL.join(some).encode()).hexdigest()[:32]}.npy"
        if not path.exists():
            tell(f"embedding {start + len(some):,} of {len(texts):,} prompts")
            rows = [row for n in range(0, len(some), BATCH) for row in embed(some[n : n + BATCH])]
            draft = path.with_suffix(".draft.npy")
            np.save(draft, np.array(rows, np.float32))
            draft.rename(path)
        parts.append(np.load(path))
    return np.concatenate(parts)
