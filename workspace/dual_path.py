"""The article's before and after, measured: one heavy model for everything, then two paths.

One person works through the same questions twice, each asked as soon as they may go on. Before, a heavy model writes
every answer and they wait for it. After, a fast model answers the short prompts and the heavy one writes the long
answers in the background. The models are servers of known pace on loopback (``workspace/paced.py``); everything
between them and the person is the product's own path, with its database and its journal.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID, uuid4

import orjson
from channels.db import database_sync_to_async

from chat import turns
from chat.frames import Send
from chat.live import topic_of
from workspace import loops
from workspace.accounts.owner import ensure_owner
from workspace.celery import EmbeddedWorker
from workspace.hub import hub
from workspace.paced import Pace, serving
from workspace.providers import http
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.router import catalog
from workspace.router.configuration import save_version
from workspace.router.models import Run
from workspace.router.runs import registry
from workspace.wire import Tell
from workspace.writes import writer

HEAVY = Pace(first=0.4, gap=0.004, tokens=256)
FAST = Pace(first=0.06, gap=0.002, tokens=32)
BEFORE = '{"routes": [{"condition": "default", "model": "heavy"}]}'
AFTER = """{"routes": [
  {"name": "short prompts", "condition": "len(prompt) < 120", "model": "fast"},
  {"name": "long answers", "condition": "default", "model": "heavy", "mode": "background"}
], "fallback": "heavy"}"""
DETAIL = "Write all of it down, with the reasons, the doubts that are left and what would settle them."
LONG_AMONG = 4  # every fourth question asks for a long answer


@dataclass(frozen=True, slots=True)
class Waits:
    """Milliseconds. ``seen`` is until the first word, or until the person is told that the answer comes by itself;
    ``free`` until they may go on."""

    seen_p50: float
    seen_p95: float
    free_p50: float
    free_p95: float


@dataclass(frozen=True, slots=True)
class Report:
    questions: int
    before: Waits
    after: Waits
    long_answers: int
    same_long_answers: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def measure(questions: int) -> Report:
    """Both ways, in this process and on its data."""
    loops.settle_in(asyncio.get_running_loop())
    worker = EmbeddedWorker()
    worker.start()
    asked = [_question(number) for number in range(questions)]
    try:
        async with serving({"heavy": HEAVY, "fast": FAST}) as url:
            person_id = await database_sync_to_async(_set_up)(url)
            await _work_through(person_id, asked[:2], BEFORE)  # the first call opens connections
            before, answers = await _work_through(person_id, asked, BEFORE)
            after, later_answers = await _work_through(person_id, asked, AFTER)
    finally:
        await asyncio.to_thread(worker.stop, 4)
        await registry().close()
        for closing in (hub().close(), http.close()):
            await closing
    long = [text for text in asked if _is_long(text)]
    same = sum(answers[text] == later_answers[text] != "" for text in long)
    return Report(len(asked), before, after, len(long), same)


def _question(number: int) -> str:
    if number % LONG_AMONG == LONG_AMONG - 1:
        return f"{number}: Compare the designs step by step, weigh what each of them costs and gains. {DETAIL}"
    return f"{number}: What is the next step?"


def _is_long(text: str) -> bool:
    return len(text) >= 120


async def _work_through(person_id: UUID, asked: Sequence[str], source: str) -> tuple[Waits, dict[str, str]]:
    """The waits, and what each question was answered once everything has landed."""
    await writer.submit(lambda: save_version("default", source))
    catalog.forget()
    seen, free, runs = [], [], {}
    for text in asked:
        wait_seen, wait_free, runs[text] = await _ask(person_id, text)
        seen.append(wait_seen * 1000)
        free.append(wait_free * 1000)
    answers = {text: await _answer(run_id) for text, run_id in runs.items()}
    return Waits(statistics.median(seen), _p95(seen), statistics.median(free), _p95(free)), answers


async def _ask(person_id: UUID, text: str) -> tuple[float, float, UUID]:
    """Seconds until something is seen, and until the person may go on; a chat of its own for each question."""
    began = time.perf_counter()
    opened = await turns.send(person_id, Send(client_id=uuid4(), text=text))
    assert opened.answer.run_id is not None
    frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hear(frame: bytes) -> None:
        frames.put_nowait(orjson.loads(frame))

    topic = topic_of(opened.chat.pk)
    await hub().listen(topic, hear)
    seen = 0.0
    while True:
        frame = await frames.get()
        now = time.perf_counter() - began
        if frame["type"] == Tell.DECISION and frame["mode"] == "background":
            await hub().leave(topic, hear)
            return now, now, opened.answer.run_id
        if frame["type"] in (Tell.DELTA, Tell.BLOCK):
            seen = seen or now
        if frame["type"] == Tell.SETTLED:
            await hub().leave(topic, hear)
            return seen or now, now, opened.answer.run_id


async def _answer(run_id: UUID) -> str:
    """Its text, once it is done."""
    while (row := await Run.objects.aget(pk=run_id)).settled is None:  # noqa: ASYNC110  a worker writes it
        await asyncio.sleep(0.02)
    return row.text


def _set_up(url: str) -> UUID:
    provider = Provider.objects.create(name="paced")
    provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="openai", base_url=url)
    provider.save(update_fields=["current"])
    for name in ("heavy", "fast"):
        model = LanguageModel.objects.create(name=name, mark=LanguageModel.free_mark())
        model.current = LanguageModelVersion.objects.create(model=model, number=1, provider=provider, upstream=name)
        model.save(update_fields=["current"])
    return ensure_owner().pk


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[min(len(values) - 1, round(0.95 * (len(values) - 1)))]
