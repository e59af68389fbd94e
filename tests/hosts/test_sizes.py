"""What a model is told to take before it is loaded is what it takes: by its attention, and for so many answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hosts import inside as stories
from tests.hosts.inside import inside
from tests.hosts.small import small_models
from tests.hosts.test_memory import ALLOCATOR
from tests.hosts.test_weights import CONFIG, shard
from workspace.hosts import weights
from workspace.hosts.sizes import Size, shape_of

pytestmark = pytest.mark.timeout(240)


def test_what_is_told_of_a_token_is_what_its_model_keeps() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.keeping"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) >= 14
    alone = {name for name, row in found.items() if row["alone"]}
    assert {"states", "states and attention"} < alone and "a window in half the layers" not in alone
    for name, row in found.items():
        assert row["told alone"] is row["alone"], name
        most = row["keeps"] * (8 / 7 if name == "states and a window" else 1)  # the newest token is not kept yet
        assert row["keeps"] <= row["told"] <= most, (name, row)


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the kernel of Linux tells a peak")
def test_so_many_answers_of_such_a_length_take_what_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ALLOCATOR.items():
        monkeypatch.setenv(name, value)
    found = inside(stories.what_a_crowd_takes, small_models("llama", size="30m")["llama"])
    assert (found["together"], found["ended"]) == (4, ["length"] * 4)
    assert max(found["cache"], 0.7 * found["told"]) < found["took"] < found["told"], found


def test_answers_are_counted_as_they_are_laid_out() -> None:
    shape = shape_of({**CONFIG, "num_key_value_heads": 2})
    assert shape.kept == 2 * 2 * 2 * 16  # keys and values, layers, groups, size of a head
    assert [shape.cache(Size(100, answers)) // (100 * shape.kept) for answers in (1, 2, 3, 8, 9)] == [1, 2, 4, 8, 12]


def test_layers_that_look_at_those_of_others_keep_nothing() -> None:
    assert shape_of({**CONFIG, "num_hidden_layers": 4, "num_kv_shared_layers": 2}) == shape_of(CONFIG)


def test_what_a_config_leaves_out_is_told_by_the_weights(tmp_path: Path) -> None:
    """LLaVA's files say of its Llama what is not usual: how many words it knows."""
    config = {"architectures": ["LlavaForConditionalGeneration"], "vision_config": {},
              "text_config": {"model_type": "llama", "vocab_size": 32}}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    language = {f"language_model.model.layers.{n}.self_attn.{part}_proj.weight": [rows, 64]
                for n in range(2) for part, rows in (("q", 64), ("k", 32), ("v", 32))}  # fmt: skip
    shard(tmp_path / "model.safetensors", {**language, "vision_tower.layers.0.self_attn.k_proj.weight": [9, 9]})
    shape = weights.facts(tmp_path).shape
    assert (shape.kept, shape.seen, shape.vocabulary) == (2 * 2 * 32, 2 * 64, 32)
