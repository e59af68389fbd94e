"""What a test does inside a process with torch: ``python -m tests.hosts.inside STORY FOLDER...`` runs the function of
that name and prints what it found, as JSON. A test's own process does not import torch.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

WORDS = "What grows in an orchard, and when is it picked? "


def inside(story: Callable[..., Any], *folders: str) -> dict[str, Any]:
    """What the story found, told in a process of its own."""
    done = _run(story, *folders)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def how_it_ends(story: Callable[..., Any], *folders: str) -> int:
    """The exit status of its process."""
    return _run(story, *folders).returncode


def _run(story: Callable[..., Any], *folders: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.hosts.inside", story.__name__, *folders]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=110, cwd=Path(__file__).parents[2]
    )


async def somebody_leaves_while_a_round_runs() -> dict[str, Any]:
    """Who left had asked for something to be done after the round."""
    from workspace.hosts.engine import Engine

    engine = Engine(asyncio.get_running_loop(), lambda told: None)
    running, go_on = threading.Event(), threading.Event()
    slow = asyncio.ensure_future(engine.do(lambda: (running.set(), go_on.wait())))
    await asyncio.to_thread(running.wait)
    left = asyncio.ensure_future(engine.do(lambda: "for nobody"))
    await asyncio.sleep(0)
    left.cancel()
    await asyncio.wait([left])
    await asyncio.sleep(0)
    go_on.set()
    await slow
    async with asyncio.timeout(20):
        return {"then": await engine.do(lambda: "goes on"), "left": left.cancelled()}


def batch_of(folder: str, *, tokens: int = 10**9) -> tuple[Any, list[tuple[Any, Any]]]:
    """A model's batch, and the list of what it tells of which answer."""
    from workspace.hosts.batch import Batch
    from workspace.hosts.loading import load

    told: list[tuple[Any, Any]] = []
    loaded = load(Path(folder), device="cpu", precision="float32")
    return Batch(loaded, lambda job, piece: told.append((job, piece)), tokens=tokens), told


def asked(batch: Any, words: str = WORDS, **options: Any) -> Any:
    """An answer that waits in the batch."""
    from workspace.hosts.prompting import job_of

    body = {"messages": [{"role": "user", "content": words}], "temperature": 0, "ignore_eos": True, **options}
    job = job_of(body, batch.loaded, lambda piece: None)
    batch.waiting.append(job)
    return job


def how_it_ended(told: list[tuple[Any, Any]], job: Any) -> str:
    last = [piece for each, piece in told if each is job][-1]
    return str(getattr(last, "reason", "") or getattr(last, "message", ""))


def one_answers_scores_are_no_numbers(folder: str) -> dict[str, Any]:
    """Parameters that overflow, at the first token and, by a penalty on what was written, at a later one."""
    batch, told = batch_of(folder)
    sound = asked(batch, max_tokens=12)
    first = asked(batch, max_tokens=12, temperature=1.0, repetition_penalty=1e-300)
    later = asked(batch, max_tokens=12, temperature=1.0, frequency_penalty=-1e39, seed=1)
    cold = asked(batch, max_tokens=12, temperature=1e-40)
    while batch.busy:
        batch.round()
    ended = {name: how_it_ended(told, job) for name, job in
             {"sound": sound, "first": first, "later": later, "cold": cold}.items()}  # fmt: skip
    return {**ended, "cold is greedy": cold.written == sound.written, "later wrote": len(later.written)}


async def an_answer_comes_just_after_its_model_went(folder: str) -> dict[str, Any]:
    from workspace.hosts.engine import Engine

    told: list[tuple[Any, Any]] = []
    engine = Engine(asyncio.get_running_loop(), told.extend)
    batch, _ = batch_of(folder)
    engine.add(batch)
    job = asked(batch, max_tokens=4)
    batch.waiting.clear()
    await engine.remove(batch)
    engine.submit(batch, job)
    for _ in range(2):  # what a turn told is heard before the next one is done
        await engine.do(lambda: None)
    return {"ended": how_it_ended(told, job), "status": told[-1][1].status}


def seventeen_want_sixteen_places(folder: str) -> dict[str, Any]:
    batch, told = batch_of(folder)
    jobs = [asked(batch, f"{n}?", max_tokens=40) for n in range(17)]
    while len(batch.rows) < 16:
        batch.round()
    while not jobs[-1].written:
        batch.round()
    first = {number: next(piece for each, piece in told if each is job) for number, job in enumerate(jobs)}
    return {"steps": {number: piece.text for number, piece in first.items() if type(piece).__name__ == "Step"}}


def one_chat_asks_much(folder: str) -> dict[str, Any]:
    """Six answers of one chat, then one of another; two are written at a time."""
    from workspace.hosts import batch as writing

    writing.PLACES = {"cpu": 2}
    batch, _ = batch_of(folder)
    jobs = [asked(batch, max_tokens=12, user="many") for _ in range(6)] + [asked(batch, max_tokens=12, user="one")]
    order: list[int] = []
    while batch.busy:
        batch.round()
        order += [number for number, job in enumerate(jobs) if job.written and number not in order]
    return {"order": order}


def what_a_crowd_takes(folder: str) -> dict[str, Any]:
    """Bytes that four answers take at their most, on a thread of their own each, beside what is told before."""
    import torch

    from workspace.hosts import packing
    from workspace.hosts.sizes import Size
    from workspace.hosts.weights import facts

    packing._is_quicker = lambda packed, plain: True  # what takes most, and the same on every CPU
    torch.set_num_threads(1)
    size, about = Size(1024, 4), facts(Path(folder))
    batch, told = batch_of(folder, tokens=size.tokens)
    with torch.inference_mode():
        asked(batch, "x", max_tokens=2)
        while batch.busy:  # what the first answer of all takes is no answer's
            batch.round()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: proc(5)
        before = _of_this_process("VmRSS")
        jobs = [asked(batch, f"{n}" * 500, max_tokens=500) for n in range(size.answers)]
        together = 0
        while batch.busy:
            batch.round()
            together = max(together, len(batch.rows))
    return {"took": _of_this_process("VmHWM") - before, "told": about.beside("float32", size, "cpu"),
            "cache": about.cache("float32", size), "together": together,
            "ended": [how_it_ended(told, job) for job in jobs]}  # fmt: skip


def _of_this_process(name: str) -> int:
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows[name].split()[0]) * 1024


def a_crowd_of_many_lengths(folder: str) -> dict[str, Any]:
    """How much of the cache was laid out at the most, and how much is left when all have ended."""
    budget = 1300
    batch, _ = batch_of(folder, tokens=budget)
    jobs = [asked(batch, WORDS * (1 + n % 3), max_tokens=120) for n in range(9)]
    most, rows = 0, 0
    while batch.busy:
        batch.round()
        layer = batch._columns.layers[0]
        if layer.is_initialized:
            most = max(most, layer.keys.shape[0] * layer.keys.shape[2])
        rows = max(rows, len(batch.rows))
    left = batch._columns.layers[0].is_initialized
    return {
        "most": most,
        "budget": budget,
        "rows": rows,
        "left": left,
        "done": all(len(j.written) == 120 for j in jobs),
    }


def lowered_and_loaded(folder: str) -> dict[str, Any]:
    """How far the scores of a model lowered to bfloat16 are from those of one loaded so, far from the begin."""
    import torch

    from workspace.hosts.loading import load, lower

    lowered = load(Path(folder), device="cpu", precision="float32")
    lower(lowered)
    loaded = load(Path(folder), device="cpu", precision="bfloat16")
    tokens = torch.tensor([[(7 * n + 5) % 512 for n in range(1500)]])
    with torch.inference_mode():
        scores = [each.model(tokens, logits_to_keep=1).logits[0, -1].float() for each in (lowered, loaded)]
    return {"precision": lowered.precision, "apart": float((scores[0] - scores[1]).abs().max())}


def the_gpu_has_no_memory_left(folder: str) -> dict[str, Any]:
    """A model that says it is on a GPU, on which every step fails. What of an answer was there is taken along."""
    from types import SimpleNamespace

    import torch

    from workspace.hosts import batch as writing
    from workspace.hosts import loading, seeing

    class Moving(loading.Loaded):
        @property
        def kind(self) -> str:
            return "cpu" if moved else "cuda"

    moved: list[Any] = []
    forward, to_cpu = writing.forward, writing.to_cpu

    def failing(*args: Any) -> Any:
        if not moved:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args)

    writing.forward = failing
    writing.to_cpu = lambda loaded: (to_cpu(loaded), moved.append(loaded))
    found: dict[str, Any] = {}
    for room in (0, 10**9):
        moved.clear()
        own = loading.load(Path(folder), device="cpu", precision="bfloat16")
        told: list[tuple[Any, Any]] = []
        batch = writing.Batch(
            Moving(*(getattr(own, name) for name in loading.Loaded.__dataclass_fields__)),
            lambda job, piece, told=told: told.append((job, piece)),  # type: ignore[misc]
            tokens=10**9,
            room=lambda room=room: room,  # type: ignore[misc]
        )
        job = asked(batch, "x", max_tokens=6, temperature=1.0, seed=5)
        job.generator = SimpleNamespace(device=torch.device("cuda"))
        while batch.busy:
            batch.round()
        found[str(room)] = {
            "steps": [piece.text for _, piece in told if type(piece).__name__ == "Step"],
            "ended": how_it_ended(told, job),
        }
    moved = SimpleNamespace(device="meta", dtype=torch.bfloat16)
    picture = seeing.given(moved, {"pixels": torch.ones(1, 3)}, 3, 5)["pixels"]
    return {**found, "picture": [str(picture.device), str(picture.dtype), list(picture.shape)]}


def rows_cant_share_its_past(folder: str) -> dict[str, Any]:
    """A model whose cache has another shape than its keys, and one for which memory ends while it is tried."""
    from workspace.hosts import loading

    forward = loading.forward
    found: dict[str, Any] = {}
    for words in ("The size of tensor a (4) must match the size of tensor b (8)", "can't allocate memory"):

        def failing(*args: Any, words: str = words) -> Any:
            raise RuntimeError(words)

        loading.forward = failing
        try:
            found[words] = loading.load(Path(folder), device="cpu", precision="float32").serial
        except RuntimeError as error:
            found[words] = str(error)
    loading.forward = forward
    return found


async def the_gpu_refuses_all_further_work(folder: str) -> None:
    from workspace.hosts import batch as writing
    from workspace.hosts.engine import Engine

    def failing(*args: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    writing.forward = failing
    engine = Engine(asyncio.get_running_loop(), lambda told: None)
    batch, _ = batch_of(folder)
    engine.add(batch)
    engine.submit(batch, asked(batch, max_tokens=4))
    await asyncio.sleep(60)


async def a_picture_takes_long(sees: str, llama: str, place: str) -> dict[str, Any]:
    """An answer of the same model began before it, one of another model comes meanwhile."""
    import base64

    from aiohttp.test_utils import TestClient, TestServer

    from tests.hosts.seeing import picture
    from workspace.hosts import seeing
    from workspace.hosts.model_host import ModelHost

    began, go_on = threading.Event(), threading.Event()
    opened = seeing.opened

    def slowly(files: list[bytes]) -> Any:
        if files:
            began.set()
            go_on.wait()
        return opened(files)

    seeing.opened = slowly
    host = ModelHost(Path(place), 2**32)
    image = "data:image/png;base64," + base64.b64encode(picture("red")).decode()
    async with TestClient(TestServer(host.app())) as client:

        async def answered(model: str, content: Any, begun: asyncio.Event) -> bool:
            body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 40,
                    "ignore_eos": True}  # fmt: skip
            async with client.post("/v1/chat/completions", json=body) as answer:
                await answer.content.readuntil(b'"content"')
                begun.set()
                return (await answer.read()).endswith(b"data: [DONE]\n\n")

        words = [asyncio.Event() for _ in range(3)]
        before = asyncio.create_task(answered(sees, WORDS, words[0]))
        await words[0].wait()
        parts = [{"type": "text", "text": WORDS}, {"type": "image_url", "image_url": {"url": image}}]
        looking = asyncio.create_task(answered(sees, parts, words[1]))
        await asyncio.to_thread(began.wait)
        found = {"before": await before, "beside": await answered(llama, WORDS, words[2]), "early": words[1].is_set()}
        go_on.set()
        return {**found, "after": await looking}


async def a_round_takes_long() -> dict[str, Any]:
    """What the engine says of itself before it and in it."""
    from workspace.hosts.engine import Engine

    engine = Engine(asyncio.get_running_loop(), lambda told: None)
    running, go_on = threading.Event(), threading.Event()
    before = engine.busy_for
    slow = asyncio.ensure_future(engine.do(lambda: (running.set(), go_on.wait())))
    await asyncio.to_thread(running.wait)
    await asyncio.sleep(0.05)
    while_it_lasts = engine.busy_for
    go_on.set()
    await slow
    return {"before": before, "while": while_it_lasts}


def main(story: str, *folders: str) -> None:
    told = globals()[story](*folders)
    print(json.dumps(asyncio.run(told) if inspect.iscoroutine(told) else told))


if __name__ == "__main__":
    main(*sys.argv[1:])
