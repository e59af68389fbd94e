"""Local models for ``make bench``: one stream and eight beside plain ``generate`` and transformers' own batching.

The model is made here: shaped like Llama, 31 million random parameters. Its speed is that of any of its shape.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.hosts.small import small_models
from tests.serving import ROOT


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    """On all cores: nothing else of the benchmark runs meanwhile."""
    model = small_models("llama", size="30m")["llama"]
    runs, tokens = ("3", "64") if quick else ("7", "256")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        command = [sys.executable, "-W", "ignore", "-m", "workspace.hosts.latency", model, "--theirs"]
        done = subprocess.run(
            [*command, "--runs", runs, "--tokens", tokens], cwd=ROOT, capture_output=True, text=True, check=False
        )
    finally:
        os.sched_setaffinity(0, before)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def lines(found: Mapping[str, Any]) -> list[str]:
    ratios = found["ratios"]
    rows = (
        ("plain generate, tokens/s", found["naive"]["tokens_per_s"], ""),
        ("one stream, tokens/s", found["ours"]["tokens_per_s"], ""),
        ("eight at once, tokens/s", found["at_once"]["tokens_per_s"], ""),
        ("one stream / plain generate", ratios["one_stream_over_naive"], "aim 0.95"),
        ("eight / one stream", ratios["at_once_over_one"], "aim 4"),
        ("the same by processor time", ratios["at_once_over_one_by_processor_time"], ""),
    )
    told = [f"Local model, 31 M parameters, {found['tokens']} tokens, {found['threads']} threads"]
    for title, row, aim in rows:
        low, high = row["median_interval"]
        told.append(f"  {title:34}{row['median']:g} ({low:g} to {high:g}){'  ' + aim if aim else ''}")
    told.append(f"  {'transformers batching, eight':34}{found['transformers_batching_tokens_per_s']:g}")
    told.append(f"  {'first token, 7 others / alone':34}{ratios['first_token_late_over_alone']:g}  aim under 2")
    return told


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory(prefix="onepane-bench-") as place:
        print("\n".join(lines(measure(Path(place), quick="--quick" in sys.argv))))
