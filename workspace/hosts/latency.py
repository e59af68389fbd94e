"""How fast a local model writes: plain ``model.generate`` and our own batches, turn by turn in one process.

Run as ``python -m workspace.hosts.latency MODEL ...`` by ``manage.py measure_latency``; prints one JSON object. Prompts
and seeds are fixed, what is first is not counted, and both write the same number of tokens: no end is obeyed.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import transformers

from workspace.hosts import weights
from workspace.hosts.batch import Batch
from workspace.hosts.jobs import Job
from workspace.hosts.loading import Loaded, load
from workspace.hosts.prompting import job_of
from workspace.hosts.references import Reference
from workspace.spread import spread

PROMPTS = (
    "Explain in a few sentences why the sky is blue.",
    "List three things to check before a bicycle tour.",
    "Write a short letter that thanks a neighbour for watering the plants.",
    "What is the difference between a router and a switch?",
)
WARM = 16  # tokens that are written before anything is counted


def measure(loaded: Loaded, plain: Any, *, tokens: int, runs: int, at_once: int) -> dict[str, Any]:
    """``naive``, with the ``plain`` model, and ``ours`` write one answer each, in turns that change who is first; then
    ours writes several together."""
    usual = torch.get_num_threads()
    with torch.inference_mode():
        batch = Batch(loaded, lambda job, piece: None, tokens=10**9)
        for count in (1, at_once):
            ours(batch, [job(loaded, n, WARM * 4) for n in range(count)])
        naive(loaded, plain, 0, WARM)
        script, single, crowd, work = [], [], [], []
        one = 0.0
        for run in range(runs):
            for turn in (run, run + 1):
                if turn % 2:
                    torch.set_num_threads(usual)
                    script.append(naive(loaded, plain, run, tokens))
                else:
                    batch.forget_prefixes()
                    began = time.process_time()
                    single += ours(batch, [job(loaded, run, tokens)])
                    one = time.process_time() - began
            began = time.process_time()
            batch.forget_prefixes()
            crowd.append(ours(batch, [job(loaded, run + n, tokens) for n in range(at_once)]))
            work.append(at_once * one / (time.process_time() - began))
        alone, late = _first_tokens(batch, loaded, runs=max(5, runs), others=at_once - 1)
    rates = [at_once * tokens / max(times[-1] for times in each) for each in crowd]
    alone_rates = [tokens / times[-1] for times in single]
    naive_rates = [tokens / times[-1] for times in script]
    return {
        "naive": _figures(script, tokens),
        "ours": _figures(single, tokens),
        "at_once": {"answers": at_once, "tokens_per_s": spread(rates, digits=1)},
        "first_token_s": {"alone": spread(alone), "while_others_run": spread(late)},
        "ratios": {
            "one_stream_over_naive": spread([a / b for a, b in zip(alone_rates, naive_rates, strict=True)], digits=3),
            "at_once_over_one": spread([a / b for a, b in zip(rates, alone_rates, strict=True)], digits=3),
            "at_once_over_one_by_processor_time": spread(work, digits=3),  # others on the machine disturb it less
            "first_token_late_over_alone": round(_median(late) / _median(alone), 3),
        },
        "threads": batch.threads,
    }


def theirs(loaded: Loaded, *, tokens: int, at_once: int) -> float:
    """Tokens a second of transformers' own continuous batching, the second of two rounds."""
    from transformers import GenerationConfig
    from transformers.generation import ContinuousBatchingConfig

    prompts = [job(loaded, n, tokens).prompt for n in range(at_once)]
    config = GenerationConfig(max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    # On a CPU it can't tell how much memory it may take.
    sizes = {"num_blocks": 16 * at_once, "max_batch_tokens": 512} if loaded.kind == "cpu" else {}
    for _ in range(2):
        began = time.perf_counter()
        loaded.model.generate_batch(
            inputs=prompts,
            generation_config=config,
            progress_bar=False,
            continuous_batching_config=ContinuousBatchingConfig(**sizes),
        )
        seconds = time.perf_counter() - began
    return at_once * tokens / seconds


def machine(loaded: Loaded) -> dict[str, Any]:
    cuda = loaded.kind == "cuda"
    peak = torch.cuda.max_memory_allocated() / 1e6 if cuda else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "device": torch.cuda.get_device_name() if cuda else f"{platform.machine()}, {torch.get_num_threads()} threads",
        "precision": loaded.precision,
        "memory_peak_mb": round(peak),
        "weights_mb": round(loaded.bytes / 1e6, 1),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }


def _figures(answers: list[list[float]], tokens: int) -> dict[str, Any]:
    """Out of the seconds at which each token of each answer had come."""
    gaps = [b - a for times in answers for a, b in pairwise(times)]
    return {
        "completion_s": spread([times[-1] for times in answers]),
        "tokens_per_s": spread([tokens / times[-1] for times in answers], digits=1),
        "first_token_s": spread([times[0] for times in answers]),
        "between_tokens_s": spread(gaps, digits=5),
    }


class _Clock(transformers.generation.BaseStreamer):
    """Hears of each token; the first thing ``generate`` tells is the prompt."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._prompt = True
        self._began = time.perf_counter()

    def put(self, value: Any) -> None:
        if not self._prompt:
            self.times.append(time.perf_counter() - self._began)
        self._prompt = False

    def end(self) -> None:
        pass


def untouched(folder: Path, loaded: Loaded) -> Any:
    """The model as a script has it: loading packs the layers of one on a CPU, so that is loaded once more."""
    if loaded.kind == "cuda" or loaded.precision != "float32":
        return loaded.model
    return type(loaded.model).from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval()


def naive(loaded: Loaded, plain: Any, number: int, tokens: int) -> list[float]:
    """As a script would: the model's own ``generate``."""
    inputs = torch.tensor([job(loaded, number, 1).prompt], device=plain.device)
    clock = _Clock()
    plain.generate(
        inputs, attention_mask=torch.ones_like(inputs), streamer=clock, do_sample=False, pad_token_id=0,
        max_new_tokens=tokens, min_new_tokens=tokens,
    )  # fmt: skip
    return clock.times


def ours(batch: Batch, jobs: list[Job]) -> list[list[float]]:
    began = time.perf_counter()
    times: list[list[float]] = [[] for _ in jobs]
    batch.waiting += jobs
    while batch.busy:
        batch.round()
        now = time.perf_counter() - began
        for each, told in zip(jobs, times, strict=True):
            told += [now] * (len(each.written) - len(told))
    return times


def _first_tokens(batch: Batch, loaded: Loaded, *, runs: int, others: int) -> tuple[list[float], list[float]]:
    """Seconds to the first token of a chat alone, and of one that comes while others are written."""
    alone, late = [], []
    for run in range(runs):
        batch.forget_prefixes()
        alone.append(ours(batch, [job(loaded, run, 2, long=True)])[0][0])
        batch.forget_prefixes()
        running = [job(loaded, run + n, 64) for n in range(others)]
        batch.waiting += running
        while batch.waiting or len(batch.rows) < others:
            batch.round()
        batch.round()
        late_one = job(loaded, run, 2, long=True)
        began = time.perf_counter()
        batch.waiting.append(late_one)
        while not late_one.written:
            batch.round()
        late.append(time.perf_counter() - began)
        for other in running:
            other.gone.set()
        while batch.busy:
            batch.round()
    return alone, late


def job(loaded: Loaded, number: int, tokens: int, *, long: bool = False) -> Job:
    words = PROMPTS[number % len(PROMPTS)]
    text = " ".join([words] * 4) if long else words
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    return job_of(body, loaded, lambda piece: None)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="")
    parser.add_argument("--precision", default="")
    parser.add_argument("--at-once", type=int, default=8)
    parser.add_argument("--theirs", action="store_true", help="transformers' continuous batching beside ours")
    asked = parser.parse_args()
    device = asked.device or ("cuda" if torch.cuda.is_available() else "cpu")
    reference = Reference.parse(asked.model)
    folder = Path(reference.name) if reference.is_folder else weights.snapshot(reference.name, reference.pin)
    if folder is None or not folder.is_dir():
        print(f"{reference} is not on this machine. Download it under Admin, Local models.", file=sys.stderr)
        return 1
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    torch.manual_seed(7)
    precision = asked.precision or ("float32" if device == "cpu" else "bfloat16")
    loaded = load(folder, device=device, precision=precision, sees=weights.facts(folder).images)
    found = measure(loaded, untouched(folder, loaded), tokens=asked.tokens, runs=asked.runs, at_once=asked.at_once)
    if asked.theirs:
        found["transformers_batching_tokens_per_s"] = round(
            theirs(loaded, tokens=asked.tokens, at_once=asked.at_once), 1
        )
    print(json.dumps({"model": asked.model, "tokens": asked.tokens, "runs": asked.runs, **found, **machine(loaded)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
