"""What the files of a model say without loading it: what it is, how large, what it will need, and which one exactly.

Sizes come from the headers of the safetensors files. It knows folders and the Hugging Face cache, and no torch.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workspace.hosts.sizes import HIDDEN, Shape, Size, number, part_of, shape_of

WIDTHS = {"float32": 4.0, "bfloat16": 2.0, "int8": 1.1}
OVERHEAD = 1.08  # what buffers, and the moments of loading, add to the weights
CHAT = ("ForCausalLM", "LMHeadModel")
FORMATS = (("model.safetensors", "*.safetensors"), ("pytorch_model.bin", "pytorch_model*.bin"))


class NotAModel(ValueError):
    """The folder holds no model that can be loaded; why, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``task`` is what it is for: chat, embedding, or pairs (rerankers and entailment). ``images`` says whether it sees
    pictures. What it takes in memory is in bytes."""

    task: str
    images: bool
    parameters: int
    disk: int
    window: int
    shape: Shape

    def weights(self, precision: str) -> int:
        return int(self.parameters * WIDTHS[precision] * OVERHEAD)

    def cache(self, precision: str, size: Size) -> int:
        """Keys and values of so many answers of such a length."""
        return self.shape.cache(size) * _a_number(precision)

    def working(self, precision: str, size: Size, device: str) -> int:
        """What is taken while they are written, at the most; pictures are not counted."""
        return self.shape.working(size, part=part_of(device)) * _a_number(precision)

    def beside(self, precision: str, size: Size, device: str) -> int:
        """All but the weights."""
        return self.cache(precision, size) + self.working(precision, size, device)

    def needs(self, precision: str, size: Size, device: str) -> int:
        return self.weights(precision) + self.beside(precision, size, device)


def facts(folder: Path) -> Facts:
    """Raises NotAModel."""
    config = _json(folder / "config.json")
    task = task_of(config, (folder / "modules.json").exists())
    stored = _stored(folder)
    return Facts(
        task=task,
        images=task == "chat" and sees(config),
        parameters=stored.numbers,
        disk=sum(path.stat().st_size for path in files(folder)),
        window=window_of(config),
        shape=shape_of(_text(config, stored)) if task == "chat" else Shape(),
    )


def window_of(config: dict[str, Any]) -> int:
    """Tokens that it can take, by its config.json."""
    return number(config.get("text_config") or config, "max_position_embeddings", "n_positions") or 2048


def sees(config: dict[str, Any]) -> bool:
    """Whether its config.json speaks of pictures and of what writes about them."""
    names = config.get("architectures") or []
    return "vision_config" in config and any(name.endswith("ForConditionalGeneration") for name in names)


def task_of(config: dict[str, Any], modules: bool) -> str:
    """What it is for, by its config.json; ``modules`` if there is a modules.json: a causal model with the files of
    sentence-transformers was made into one for embeddings. Raises NotAModel."""
    names = config.get("architectures") or [""]
    if modules:
        return "embedding"
    if sees(config) or any(name.endswith(CHAT) for name in names):
        return "chat"
    if any(name.endswith("ForSequenceClassification") for name in names):
        return "pairs"
    if names[0].endswith(("Model", "ForMaskedLM")):
        return "embedding"
    raise NotAModel(f"It is a {names[0] or 'model of no named kind'}, which neither chats nor serves search")


def files(folder: Path) -> list[Path]:
    """The model's own files, in order; folders below hold other formats."""
    return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))


def digest(folder: Path) -> str:
    """SHA-256 over names and bytes of all files: the same folder, or another model."""
    whole = hashlib.sha256()
    for path in files(folder):
        with path.open("rb") as file:
            whole.update(f"{path.name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def stamp(folder: Path) -> str:
    """Changes whenever a file does, without reading one."""
    rows = [(path.name, stat.st_size, stat.st_mtime_ns) for path in files(folder) if (stat := path.stat())]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def hub_cache() -> Path:
    """Where Hugging Face's libraries keep what they download."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser()


def cached() -> Iterator[tuple[str, str, Path]]:
    """Models of the cache that can be loaded: id, commit, folder."""
    for place in sorted(hub_cache().glob("models--*")):
        name = place.name.removeprefix("models--").replace("--", "/")
        found = snapshot(name)
        if found and _can_be_loaded(found):
            yield name, found.name, found


def _can_be_loaded(folder: Path) -> bool:
    try:
        task_of(_json(folder / "config.json"), (folder / "modules.json").exists())
        found = _weight_files(folder)
    except NotAModel:
        return False
    return bool(found) and all(path.exists() for path in found)


def snapshot(name: str, revision: str = "") -> Path | None:
    """The folder of a model in the cache: of this commit, or of the branch ``main``, or the newest there is."""
    place = hub_cache() / f"models--{name.replace('/', '--')}"
    main = place / "refs" / "main"
    wanted = revision or (main.read_text().strip() if main.exists() else "")
    folders = sorted((place / "snapshots").glob("*"), key=lambda folder: folder.stat().st_mtime)
    matching = [folder for folder in folders if wanted and folder.name.startswith(wanted)]
    return next(iter(matching or (folders[-1:] if not revision else [])), None)


def remove(name: str, revision: str = "") -> None:
    """The files of this commit, and what of the cache no other commit of the model uses."""
    place = hub_cache() / f"models--{name.replace('/', '--')}"
    if found := snapshot(name, revision):
        shutil.rmtree(found)
        for ref in (place / "refs").glob("*"):
            if ref.is_file() and ref.read_text().strip() == found.name:
                ref.unlink()
    used = {path.resolve() for path in (place / "snapshots").rglob("*")}
    if not used:
        shutil.rmtree(place, ignore_errors=True)
    for blob in (place / "blobs").glob("*"):
        if blob.resolve() not in used:
            blob.unlink()


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise NotAModel(f"{path.parent} holds no model: there is no {path.name}") from None
    except (ValueError, OSError) as error:
        raise NotAModel(f"{path} can't be read: {error}") from None
    if not isinstance(content, dict):
        raise NotAModel(f"{path} is no JSON object")
    return content


def _a_number(precision: str) -> int:
    """Bytes of one of those that a model works with."""
    return 4 if precision == "float32" else 2


def _weight_files(folder: Path) -> list[Path]:
    """The files of one format: those its index names, the one of its usual name, or whatever is there. A second set
    beside them, as some publish, is not the model's."""
    for name, pattern in FORMATS:
        index = folder / f"{name}.index.json"
        if index.exists():
            return [folder / file for file in sorted(set(_json(index).get("weight_map", {}).values()))]
        if (folder / name).exists():
            return [folder / name]
        if found := sorted(folder.glob(pattern)):
            return found
    return []


@dataclass(frozen=True, slots=True)
class Stored:
    """How many numbers the weights are, and the shapes of those that have names."""

    numbers: int
    tensors: dict[str, list[int]]


def _stored(folder: Path) -> Stored:
    found = _weight_files(folder)
    if not found:
        raise NotAModel(f"{folder} holds no weights: no safetensors file and no pytorch_model.bin")
    if missing := sum(not path.exists() for path in found):
        raise NotAModel(f"{missing} of its {len(found)} files of weights are not here. Download it again.")
    named = [path for path in found if path.suffix == ".safetensors"]
    tensors = {name: shape for path in named for name, shape in _tensors(path).items()}
    others = sum(path.stat().st_size // 2 for path in found if path not in named)
    return Stored(sum(math.prod(shape) for shape in tensors.values()) + others, tensors)


def _text(config: dict[str, Any], stored: Stored) -> dict[str, Any]:
    """What is told of the part that writes. Where that is what its kind has anyhow (LLaVA's Llama), files leave it
    out, and the weights tell it: how much of a token each layer makes keys, and queries, of."""
    text = config.get("text_config") or config
    keys, queries = (
        [shape for name, shape in stored.tensors.items() if name.endswith(f"{part}_proj.weight") and _writes(name)]
        for part in "kq"
    )
    if number(text, *HIDDEN) or not keys or not queries:
        return dict(text)
    heads = queries[0][0] // keys[0][0]
    told = {"num_hidden_layers": len(keys), "hidden_size": keys[0][1], "head_dim": keys[0][0],
            "num_attention_heads": heads, "num_key_value_heads": 1}  # fmt: skip
    return told | text


def _writes(name: str) -> bool:
    return "vision" not in name and "audio" not in name


def _tensors(path: Path) -> dict[str, list[int]]:
    try:
        with path.open("rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            header: Any = json.loads(file.read(size)) if size < 2**28 else None
        return {name: list(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__"}
    except (OSError, ValueError, struct.error, AttributeError, KeyError, TypeError):
        raise NotAModel(f"{path} is cut off or no safetensors file. Download it again.") from None
