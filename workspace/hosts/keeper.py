"""Keeping local models: what there is, in which state, how large; load, unload, pin, download, stop, delete.

Downloads run in a process each, which alone may reach a network; what it tells is the progress.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from workspace.hosts import weights
from workspace.hosts.child import answering, life
from workspace.hosts.references import NotHere, Reference
from workspace.hosts.sizes import MOST_ANSWERS, Size
from workspace.hosts.tenants import ROOMY, Tenant, Tenants

READ_WITHIN = 60.0  # seconds that whoever adds a folder waits for its digest; reading goes on
OFFLINE = os.environ.get("HF_HUB_OFFLINE", "")  # as whoever started the server set it


@dataclass(slots=True)
class Download:
    reference: Reference
    process: asyncio.subprocess.Process
    size: int
    task: str
    progress: float = 0.0
    why: str = ""


class Keeper:
    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._downloads: dict[str, Download] = {}
        self._looks: dict[Reference, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/models", answering(self._list))
        router.add_post("/memory", answering(self._memory))
        for name in ("look", "estimate", "size", "load", "unload", "pin", "unpin", "download", "stop", "delete"):
            router.add_post(f"/models/{name}", answering(self._handler(getattr(self, f"_{name}"))))

    def _handler(self, work: Any) -> Any:
        async def handle(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            asked = {name: int(body[name]) for name in ("context", "answers") if name in body}
            try:
                return web.json_response(await work(Reference.parse(str(body["model"])), **asked))
            except (NotHere, OSError) as error:
                return web.json_response({"error": {"message": str(error), "type": "not_found"}}, status=404)

        return handle

    async def _list(self, request: web.Request) -> web.Response:
        body = orjson.loads(await request.read())
        cached = await asyncio.to_thread(lambda: [f"{name}@{commit}" for name, commit, _ in weights.cached()])
        names = dict.fromkeys([*self._tenants.known, *body.get("models", ()), *self._downloads, *cached])
        rows = [await self._row(name, cached=name in cached) for name in names]
        ledger = self._tenants.ledger
        devices = [
            {"device": device, "budget": budget, "free": ledger.free(device)}
            for device, budget in ledger.budgets.items()
        ]
        return web.json_response({"models": rows, "devices": devices, "offline": bool(OFFLINE), "host": life()})

    async def _memory(self, request: web.Request) -> web.Response:
        return web.json_response({"free": self._tenants.free()})

    async def _row(self, name: str, *, cached: bool) -> dict[str, Any]:
        row: dict[str, Any] = {"model": name, "cached": cached, "pinned": name in self._tenants.shelf.pinned}
        row |= {"state": "unloaded", "why": "", "progress": 0.0, "disk": 0, "memory": 0, "answering": 0, "task": "chat"}
        row |= {"is_folder": name.startswith("/"), "here": True}
        if download := self._downloads.get(name):
            state = "failed" if download.why else "downloading"
            told = {"why": download.why, "progress": download.progress, "disk": download.size, "task": download.task}
            return row | {"state": state, "here": False, **told}
        try:
            tenant = await self._tenants.find(name)
        except (NotHere, ValueError, OSError) as error:
            return row | {"state": "absent", "here": False, "why": str(error)}
        return row | self._told(tenant)

    async def _look(self, reference: Reference) -> dict[str, Any]:
        """What it is exactly, and what it will need, without loading it."""
        looking = self._looks.get(reference)
        if looking is None:
            looking = self._looks[reference] = self._start(asyncio.to_thread(self._tenants.shelf.exact, reference))
            looking.add_done_callback(lambda _: self._looks.pop(reference, None))
        try:
            async with asyncio.timeout(READ_WITHIN):
                exact = await asyncio.shield(looking)
        except TimeoutError:
            raise NotHere(
                f"{reference.name} is being read, which takes minutes where it is large. Add it again after that."
            ) from None
        return {"model": str(exact), **self._told(await self._tenants.find(str(exact)))}

    async def _estimate(self, reference: Reference, *, context: int = 0, answers: int = 0) -> dict[str, Any]:
        """What loading it would try for so many tokens and answers at once; without them, for what was asked for it."""
        tenant = await self._tenants.find(str(reference))
        kept = self._tenants.shelf.size(str(reference))
        usual = kept or Size(min(ROOMY.context, tenant.facts.window), ROOMY.answers)
        size = _sound(tenant, Size(context or usual.context, answers or usual.answers))
        tries = [asdict(each) for each in self._tenants.estimates(tenant, size)]
        alone, window = tenant.facts.shape.alone, tenant.facts.window
        return {**asdict(size), "window": window, "alone": alone, "kept": kept is not None, "tries": tries}

    async def _size(self, reference: Reference, *, context: int = 0, answers: int = 0) -> dict[str, Any]:
        """Have it loaded with room for so much from now on; without numbers, for as much as there is."""
        tenant = await self._tenants.find(str(reference))
        size = _sound(tenant, Size(context, answers)) if context or answers else None
        if size:
            last = self._tenants.estimates(tenant, size)[-1]
            if not last.fits or last.context < size.context:
                raise ValueError(f"{reference.name} has no room for an answer of {size.context} tokens here.")
        self._tenants.shelf.ask(str(reference), size)
        return {}

    def load_pinned(self) -> None:
        """After a start; those that are not there any more are passed by."""
        for name in self._tenants.shelf.pinned:
            self._start(self._loaded(name))

    async def _load(self, reference: Reference) -> dict[str, Any]:
        """Begins it; the list tells how far it is."""
        await self._tenants.find(str(reference))
        self._start(self._loaded(str(reference)))
        return {}

    async def _loaded(self, name: str) -> None:
        with contextlib.suppress(Exception):  # the state says why
            async with self._tenants.using(name, lambda words: None):
                pass

    async def _unload(self, reference: Reference) -> dict[str, Any]:
        if not await self._tenants.unload(str(reference)):
            raise ValueError(f"{reference.name} is not in memory.")
        return {}

    async def _pin(self, reference: Reference) -> dict[str, Any]:
        self._tenants.pin(str(reference), True)
        return {}

    async def _unpin(self, reference: Reference) -> dict[str, Any]:
        self._tenants.pin(str(reference), False)
        return {}

    async def _delete(self, reference: Reference) -> dict[str, Any]:
        """Its files in the Hugging Face cache, and of other commits none; a folder is its owner's, and stays."""
        if reference.is_folder:
            raise ValueError("A folder is yours: delete it where it lies.")
        await self._stop(reference)
        await self._tenants.forget(str(reference))
        await asyncio.to_thread(weights.remove, reference.name, reference.pin)
        return {}

    async def _stop(self, reference: Reference) -> dict[str, Any]:
        """End its download; what was fetched stays, and the next one goes on from there."""
        if download := self._downloads.pop(str(reference), None):
            _kill(download.process)
        return {}

    async def _download(self, reference: Reference) -> dict[str, Any]:
        """Begin to fetch it, once the hub has said which commit that is."""
        if reference.is_folder:
            raise ValueError("A folder is not downloaded.")
        if OFFLINE:
            raise ValueError("HF_HUB_OFFLINE is set: nothing is downloaded. Add a folder, or a model of the cache.")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workspace.hosts.downloads", reference.name, reference.pin,
            stdout=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
            env={**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        )  # fmt: skip
        first = await _line(process)
        if "commit" not in first:
            raise ValueError(first.get("error") or "the download did not start")
        exact = Reference(reference.name, first["commit"])
        running = self._downloads.get(str(exact))
        if running and not running.why:
            _kill(process)
        else:
            download = Download(exact, process, size=first["size"], task=first["task"])
            self._downloads[str(exact)] = download
            self._start(self._follow(download))
        return {"model": str(exact), **{name: first[name] for name in ("task", "window", "images")}}

    async def _follow(self, download: Download) -> None:
        process = download.process
        while line := await _line(process):
            download.progress = line.get("progress", download.progress)
            download.why = line.get("error", "")
        if await process.wait() and not download.why:
            download.why = f"the download ended early (exit status {process.returncode})"
        if not download.why and self._downloads.get(str(download.reference)) is download:
            del self._downloads[str(download.reference)]

    def _told(self, tenant: Tenant) -> dict[str, Any]:
        held, about = tenant.held, tenant.facts
        return {
            "state": tenant.state,
            "why": tenant.why,
            "progress": tenant.progress,
            "disk": about.disk,
            "memory": held.memory if held else 0,
            "estimate": asdict(self._tenants.estimates(tenant, self._tenants.shelf.size(str(tenant.reference)))[-1]),
            "least": self._tenants.least(about),
            "window": about.window,
            "task": about.task,
            "images": about.images,
            "precision": held.loaded.precision if held else "",
            "device": held.device if held else "",
            "answering": held.users if held else 0,
            "is_folder": Path(tenant.reference.name).is_absolute(),
        }

    def _start(self, work: Any) -> asyncio.Future[Any]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _sound(tenant: Tenant, size: Size) -> Size:
    """Raises ValueError for what no model of this kind does."""
    name, window = tenant.reference.name, tenant.facts.window
    if tenant.facts.task != "chat":
        raise ValueError(f"{name} writes no answers.")
    if not 1 <= size.context <= window:
        raise ValueError(f"{name} takes 1 to {window} tokens, not {size.context}.")
    if not 1 <= size.answers <= MOST_ANSWERS:
        raise ValueError(f"1 to {MOST_ANSWERS} answers are written at once, not {size.answers}.")
    return size


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


async def _line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    line = await process.stdout.readline()
    return dict(orjson.loads(line)) if line else {}
