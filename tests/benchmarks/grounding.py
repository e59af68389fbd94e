"""Documents and search for ``make bench``: a search of 100,000 passages, ingest beside the bare embedding model, and
how long the server's loop stands still meanwhile.

``python -m tests.benchmarks.grounding search`` (or ``ingest``) is the half that runs on a ``DATA_DIR`` of its own, as
settings are read once. Texts and vectors are drawn by chance, words as frequent as in prose (Zipf); the most frequent
are those of English that say nothing, as they are in prose: nearly half of what is written.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil

from tests.serving import ROOT

WORDS = 30_000  # of the language that is made up
SEED = 20_261_129
COLLECTIONS = 10
PASSAGES = 50  # of a document
QUESTIONS = 200
ASKED = 10  # words of a question
CHUNK = ("id", "document_id", "position", "heading", "text", "start", "end", "digest", "length")
POSTING = ("collection_id", "document_id", "term", "entries")
TICK = 0.005  # seconds between two looks at the loop


def measure(folder: Path, *, quick: bool) -> dict[str, Any]:
    size = "5000" if quick else "100000"
    return {
        "search": _child(folder / "search", "search", size),
        "ingest": _child(folder / "ingest", "ingest", "150" if quick else "600"),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    search, ingest = found["search"], found["ingest"]
    return [
        f"Search but for the question's vector, {search['passages']:,} passages, {search['collections']} collections",
        f"  {'p50, p95':34}{search['p50_ms']} ms, {search['p95_ms']} ms  aim p95 60",
        f"  {'words / meaning of a search, p50':34}{search['words_ms']} / {search['meaning_ms']} ms",
        f"  {'the index alone, p50, p95':34}{search['index_p50_ms']} ms, {search['index_p95_ms']} ms",
        f"  {'search / the index alone, p95':34}{search['ratio']}",
        f"  {'processor time, all threads':34}{search['cpu_ms']} ms",
        f"Ingest of {ingest['passages']:,} passages",
        f"  {'passages a second, bare model':34}{ingest['raw_per_s']}",
        f"  {'passages a second, whole ingest':34}{ingest['per_s']}",
        f"  {'ingest / bare model':34}{ingest['ratio']}  aim 0.8",
        f"  {'worst stall of the loop':34}{ingest['stall_ms']} ms (idle {ingest['idle_stall_ms']})  aim 50",
    ]


def _child(data: Path, what: str, size: str) -> dict[str, Any]:
    data.mkdir(parents=True)
    environment = {**os.environ, "DATA_DIR": str(data), "DATABASE_URL": "", "REDIS_URL": "", "DISCOVER": ""}
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.grounding", what, size]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**environment, "DJANGO_SETTINGS_MODULE": "workspace.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


class Prose:
    """Sentences of made-up words, the n-th as frequent as 1/n; the first are English, and left out of every search."""

    def __init__(self) -> None:
        self._chance = random.Random(SEED)
        from retrieval.lexical import STOP

        letters = "abcdefghiklmnoprstuvw"
        common = sorted(STOP)
        made = {"".join(self._chance.choices(letters, k=self._chance.randint(3, 9))) for _ in range(2 * WORDS)}
        rare = sorted(made - STOP)[: WORDS - len(common)]
        self._chance.shuffle(rare)
        self._words = [*common, *rare]
        self._weights = list(accumulate(1 / rank for rank in range(1, len(self._words) + 1)))

    def words(self, count: int) -> list[str]:
        return self._chance.choices(self._words, cum_weights=self._weights, k=count)

    def passage(self) -> str:
        return " ".join(f"{' '.join(self.words(13)).capitalize()}." for _ in range(6))


async def _search(size: int) -> dict[str, Any]:
    import numpy as np

    from retrieval import presets, search, spaces
    from workspace.hosts import link
    from workspace.hosts.supervisor import Supervisor

    prose = Prose()
    collections = await asyncio.to_thread(_fill, size, prose)
    host = Supervisor((link.INDEX_HOST,))
    await host.start()
    try:
        await host.serving()
        await asyncio.to_thread(_index, collections, size)
        chance = np.random.default_rng(SEED)

        async def question(space: Any, text: str) -> list[float]:
            return list(map(float, chance.standard_normal(384)))

        spaces.question = question  # type: ignore[assignment]  # what is measured is all but this
        times: dict[str, list[float]] = {"all": [], "words": [], "meaning": [], "index": []}
        cpu: list[float] = []
        pid = int(host.status()[link.INDEX_HOST]["pid"])
        gc.collect()
        gc.freeze()  # as the server does when it has started
        preset = await asyncio.to_thread(presets.current, collections)
        everywhere: dict[str, list[str]] = {collection: [] for collection in collections}
        for number in range(QUESTIONS + 10):
            asked = " ".join(prose.words(ASKED))
            began, before = time.perf_counter(), _cpu(pid)
            await search.search(asked, collections=collections)
            spent, busy = time.perf_counter() - began, _cpu(pid) - before
            told = await search.stages(asked, collections=collections, preset=preset)
            vector, began = await question(None, asked), time.perf_counter()
            await link.aquery(everywhere, vector, search.DEPTH)  # the bare floor: Chroma's queries and nothing else
            floor = time.perf_counter() - began
            if number >= 10:  # the first are warm-up
                times["all"].append(1e3 * spent)
                times["words"].append(1e3 * told.seconds["words"])
                times["meaning"].append(1e3 * told.seconds["meaning"])
                times["index"].append(1e3 * floor)
                cpu.append(1e3 * busy)
    finally:
        await link.close()
        await host.stop()
    ordered, floors = sorted(times["all"]), sorted(times["index"])
    p95 = int(0.95 * len(ordered))
    return {
        "passages": size,
        "collections": len(collections),
        "questions": len(ordered),
        "p50_ms": round(statistics.median(ordered), 1),
        "p95_ms": round(ordered[p95], 1),
        "index_p50_ms": round(statistics.median(floors), 1),
        "index_p95_ms": round(floors[p95], 1),
        "ratio": round(ordered[p95] / floors[p95], 2),
        "words_ms": round(statistics.median(times["words"]), 1),
        "meaning_ms": round(statistics.median(times["meaning"]), 1),
        "cpu_ms": round(statistics.mean(cpu), 1),
    }


def _cpu(pid: int) -> float:
    """Seconds that this process and another have computed, whatever else the machine did."""
    other = psutil.Process(pid).cpu_times()
    return time.process_time() + other.user + other.system


def _fill(size: int, prose: Prose) -> list[str]:
    """Rows as ingest writes them, many at once and without Django's models: they would take most of the time."""
    from django.db import connection, transaction

    from retrieval import lexical
    from retrieval.models import Chunk, Collection, Document

    shelves = [Collection.objects.create(name=f"Shelf {n}") for n in range(COLLECTIONS)]
    ids = chunk_ids(size)
    with transaction.atomic(), connection.cursor() as cursor:
        for number in range(size // PASSAGES):
            texts = [prose.passage() for _ in range(PASSAGES)]
            document = Document(
                collection=shelves[number % COLLECTIONS], title=f"Volume {number}", name=f"{number}.md",
                digest=f"{number:064d}", text="\n\n".join(texts), state="ready", passages=PASSAGES, embedded=PASSAGES,
            )  # fmt: skip
            chunks, at = [], 0
            for position, text in enumerate(texts):
                place = {"position": position, "start": at, "end": at + len(text), "text": text}
                chunks.append(Chunk(pk=ids[number * PASSAGES + position], document=document, **place))
                at += len(text) + 2
            rows = lexical.postings(document, [(chunk, f"{document.title}\n{chunk.text}") for chunk in chunks])
            document.terms = sum(chunk.length for chunk in chunks)
            document.save(force_insert=True)
            _insert(cursor, "chunk", CHUNK, [[getattr(one, name) for name in CHUNK] for one in chunks])
            _insert(cursor, "posting", POSTING, [[getattr(one, name) for name in POSTING] for one in rows])
    return [str(shelf.pk) for shelf in shelves]


def chunk_ids(size: int) -> list[UUID]:
    """Always the same."""
    chance = random.Random(SEED)
    return [UUID(bytes=chance.randbytes(16), version=4) for _ in range(size)]


def _insert(cursor: Any, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    held = ", ".join(f'"{name}"' for name in names)
    marks = ", ".join(["%s"] * len(names))
    plain = [[value.hex if isinstance(value, UUID) else value for value in row] for row in rows]
    cursor.executemany(f"INSERT INTO retrieval_{table} ({held}) VALUES ({marks})", plain)


def _index(collections: Sequence[str], size: int) -> None:
    import numpy as np

    from workspace.hosts import link

    chance = np.random.default_rng(SEED + 1)
    homes: dict[str, list[str]] = {}
    for place, id in enumerate(chunk_ids(size)):
        homes.setdefault(collections[place // PASSAGES % COLLECTIONS], []).append(str(id))
    for collection, ids in homes.items():
        for start in range(0, len(ids), 1_000):
            some = ids[start : start + 1_000]
            vectors = chance.standard_normal((len(some), 384)).tolist()
            link.upsert(collection, document="synthetic", ids=some, vectors=vectors)


async def _ingest(size: int) -> dict[str, Any]:
    """The server's own parts in this process: a loop that is watched, a worker in a thread, hosts beside."""
    from workspace import loops
    from workspace.celery import EmbeddedWorker
    from workspace.hosts import link
    from workspace.hosts.supervisor import Supervisor

    sys.setswitchinterval(0.0005)  # as the server has it
    loops.settle_in(asyncio.get_running_loop())
    hosts, worker = Supervisor(), EmbeddedWorker()
    await hosts.start()
    await hosts.serving()
    await link.settled()
    await asyncio.to_thread(worker.start)
    try:
        gc.collect()
        gc.freeze()
        idle = await _stall(asyncio.sleep(2))
        prose = Prose()
        await asyncio.to_thread(_ingested, prose, 40)  # warm-up
        raw, whole, stalls = [], [], []
        for _ in range(3):
            began = time.perf_counter()
            adding = asyncio.ensure_future(asyncio.to_thread(_ingested, prose, size))
            stalls.append(await _stall(adding))
            whole.append(adding.result() / (time.perf_counter() - began))
            texts = await asyncio.to_thread(_newest, adding.result())
            raw.append(await asyncio.to_thread(_raw, texts))
    finally:
        await asyncio.to_thread(worker.stop, 5)
        await link.close()
        await hosts.stop()
    return {
        "passages": size,
        "raw_per_s": round(statistics.median(raw), 1),
        "per_s": round(statistics.median(whole), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(whole, raw, strict=True)), 2),
        "stall_ms": round(1e3 * max(stalls), 1),
        "idle_stall_ms": round(1e3 * idle, 1),
    }


def _ingested(prose: Prose, size: int) -> int:
    """Add one document the way an upload does, and wait for its vectors; how many passages it has."""
    from retrieval import adding
    from retrieval.models import Document
    from workspace.accounts.models import Person

    person, _ = Person.objects.get_or_create(username="bench")
    text = "\n\n".join(f"## Part {n}\n\n{prose.passage()}" for n in range(size))
    document = adding.add(person, adding.Pasted(f"{time.monotonic_ns()}.md", text.encode()))
    while True:
        document.refresh_from_db(fields=["state", "passages"])
        if document.state == Document.State.READY:
            return document.passages
        assert document.state != Document.State.FAILED
        time.sleep(0.02)


def _newest(count: int) -> list[str]:
    """What was embedded last, as it was embedded."""
    from retrieval.chunks import indexed
    from retrieval.models import Chunk

    rows = Chunk.objects.order_by("-pk").values_list("document__title", "heading", "text")[:count]
    return [indexed(title, heading, text) for title, heading, text in rows]


def _raw(texts: Sequence[str]) -> float:
    """Passages a second of the model alone, in a process that does nothing else."""
    code = (
        "import json, sys, time\n"
        "from workspace.hosts.embedder import minilm\n"
        "texts = json.load(sys.stdin)\n"
        "model = minilm()\n"
        "model.embed(texts[:64])\n"
        "began = time.perf_counter()\n"
        "model.embed(texts)\n"
        "print(len(texts) / (time.perf_counter() - began))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], input=json.dumps(list(texts)), cwd=ROOT,
        capture_output=True, text=True, check=False, env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return float(done.stdout.split()[-1])


async def _stall(work: Any) -> float:
    """The longest that the loop came late to a tick while this ran."""
    over = asyncio.ensure_future(work)
    worst = 0.0
    while not over.done():
        began = time.perf_counter()
        await asyncio.sleep(TICK)
        worst = max(worst, time.perf_counter() - began - TICK)
    await over
    return worst


def main(what: str, size: str) -> None:
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)
    found = asyncio.run((_search if what == "search" else _ingest)(int(size)))
    print(json.dumps(found), flush=True)
    if threading.active_count() > 1:
        os._exit(0)  # Celery's threads are not waited for


if __name__ == "__main__":
    main(*sys.argv[1:])
