"""What a folder's files say of a model: whole or not, and how large, without a second set of weights beside them."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from workspace.hosts import weights

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4,
    "max_position_embeddings": 512,
}  # fmt: skip


def shard(path: Path, tensors: dict[str, list[int]]) -> None:
    """A safetensors file that speaks of these tensors, by their shapes, and holds nothing of them."""
    rows = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in tensors.items()}
    header = json.dumps(rows).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model of two shards in the cache of the Hugging Face libraries."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    found = tmp_path / "models--club--large" / "snapshots" / "abc"
    found.mkdir(parents=True)
    (found / "config.json").write_text(json.dumps(CONFIG))
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    (found / "model.safetensors.index.json").write_text(json.dumps({"weight_map": dict(zip("ab", names, strict=True))}))
    for tensor, name in zip("ab", names, strict=True):
        shard(found / name, {tensor: [10, 100]})
    return found


def test_a_model_of_several_files_is_the_sum_of_them(folder: Path) -> None:
    assert weights.facts(folder).parameters == 2_000
    assert [name for name, _, _ in weights.cached()] == ["club/large"]
    shard(folder / "consolidated.safetensors", {"all": [2_000]})
    assert weights.facts(folder).parameters == 2_000, "the same once more, in another layout"


def test_one_that_was_not_fetched_whole_is_not_here(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(weights.NotAModel, match=r"1 of its 2 files of weights are not here\. Download it again"):
        weights.facts(folder)
    assert list(weights.cached()) == []


def test_a_commit_goes_without_what_another_has_too(folder: Path) -> None:
    place = folder.parent.parent
    (place / "blobs").mkdir()
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    other = folder.parent / "def"
    other.mkdir()
    for name, at in (("shared", (folder, other)), ("own", (folder,)), ("others", (other,))):
        (place / "blobs" / name).write_text(name)
        for each in at:
            (each / name).symlink_to(place / "blobs" / name)
    weights.remove("club/large", "abc")
    assert not folder.exists() and not (place / "refs" / "main").exists()
    assert sorted(path.name for path in (place / "blobs").iterdir()) == ["others", "shared"]
    assert (other / "shared").read_text() == "shared"
    weights.remove("club/large", "def")
    assert not place.exists()


def test_a_single_file_counts_once(folder: Path) -> None:
    for path in folder.glob("model*"):
        path.unlink()
    with pytest.raises(weights.NotAModel, match="no weights"):
        weights.facts(folder)
    shard(folder / "model.safetensors", {"w": [500]})
    shard(folder / "consolidated.safetensors", {"w": [500]})
    assert weights.facts(folder).parameters == 500
