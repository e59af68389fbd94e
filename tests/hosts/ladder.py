"""One long answer on a model whose process may not grow: ``python -m tests.hosts.ladder FOLDER PRECISION MB TOKENS``.

Prints what was told and how it ended. A process of its own, because torch is imported and memory really ends here.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path

import psutil
import torch

from workspace.hosts.batch import Batch
from workspace.hosts.jobs import End, Failed, Piece, Ran, Step
from workspace.hosts.loading import load
from workspace.hosts.prompting import job_of


def main(folder: str, precision: str, megabytes: str, tokens: str) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # a new thread would end the process, not the allocation
    torch.set_num_threads(1)
    told: list[Piece] = []
    with torch.inference_mode():
        loaded = load(Path(folder), device="cpu", precision=precision)
        for part in loaded.model.parameters():  # out of the mapped file, which is no memory of ours to give back
            part.data = part.data.clone()
        batch = Batch(loaded, lambda job, piece: told.append(piece), tokens=10**9)
        message = {"role": "user", "content": "x" * int(tokens)}
        warm = job_of({"messages": [{"role": "user", "content": "x"}], "max_tokens": 2}, loaded, print)
        job = job_of({"messages": [message], "max_tokens": 8, "temperature": 0}, loaded, print)
        batch.waiting.append(warm)
        while batch.busy:
            batch.round()
        told.clear()
        batch.waiting.append(job)
        limit = psutil.Process().memory_info().vms + int(float(megabytes) * 2**20)
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        for _ in range(200):
            if not batch.busy:
                break
            batch.round()
            if job.context:  # others have given some back
                resource.setrlimit(resource.RLIMIT_AS, (limit + 64 * 2**20, resource.RLIM_INFINITY))
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    last = told[-1]
    print(json.dumps({
        "steps": [piece.text for piece in told if isinstance(piece, Step)],
        "ended": last.reason if isinstance(last, End) else "",
        "ran": [asdict(piece) for piece in told if isinstance(piece, Ran)],
        "failed": last.message if isinstance(last, Failed) else "",
        "read": job.context or len(job.prompt),
        "precision": loaded.precision,
    }))  # fmt: skip


if __name__ == "__main__":
    main(*sys.argv[1:5])
