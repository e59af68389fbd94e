"""The addresses of other programs: chat completions, the list of models, and ``generate``.

Native async views: nothing here waits for a thread but a token's first look-up, the list of models and large bodies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from functools import wraps
from typing import Any

import orjson
from channels.db import database_sync_to_async
from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from workspace.api import asked, bearer, shapes
from workspace.api.asked import Asked
from workspace.api.refusals import Refusal, from_failure, no_such_model
from workspace.api.relay import BROKEN, Relay
from workspace.api.shapes import About, Chunks, Lines, Written
from workspace.api.tokens import Caller
from workspace.providers.models import LanguageModel
from workspace.router import catalog
from workspace.router.catalog import Catalog
from workspace.router.decide import may_use
from workspace.router.run_rows import Outcome
from workspace.types import Delta, Reasoning

logger = logging.getLogger(__name__)

ROUTED = ("auto", "router")  # names that leave the choice to the router, unless a model is called so
JSON = "application/json"

View = Callable[..., Coroutine[Any, Any, HttpResponseBase]]


def door(method: str, *, shape: Callable[[Refusal], Any] = Refusal.body) -> Callable[[View], View]:
    """One method, or any when none is named, and refusals told in the protocol's own shape. Cookies are never looked
    at, so nothing here needs a CSRF token."""

    def wrap(view: View) -> View:
        @wraps(view)
        async def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                if method and request.method != method:
                    raise Refusal(405, f"This address takes {method}.", code="method_not_allowed")
                return await view(request, *args, **kwargs)
            except Refusal as refusal:
                return _json(shape(refusal), status=refusal.status, headers=refusal.headers)
            except Exception:
                logger.exception("A call broke.")
                broken = from_failure(BROKEN, run="")
                return _json(shape(broken), status=broken.status, headers=broken.headers)

        return csrf_exempt(guarded)

    return wrap


@door("POST")
async def chat_completions(request: HttpRequest) -> HttpResponseBase:
    caller = await bearer.caller(request)
    wanted = await _read(request, caller, asked.completion)

    def streamed(about: About) -> Written:
        return Chunks(about, usage=wanted.usage)

    return await _answer(wanted, caller, whole=shapes.completion, streamed=streamed)


@door("POST", shape=lambda refusal: {"error": refusal.message})
async def generate(request: HttpRequest) -> HttpResponseBase:
    """Ollama's ``generate``. Without ``stream`` the answer is one object, which is a whole stream of lines as well."""
    caller = await bearer.caller(request, basic=True)
    wanted = await _read(request, caller, asked.generation)
    return await _answer(wanted, caller, whole=shapes.generated, streamed=Lines)


@door("GET")
async def models(request: HttpRequest) -> HttpResponse:
    names = usable(await catalog.load(), await bearer.caller(request))
    return _json(shapes.models(await database_sync_to_async(_rows)(names)))


@door("GET")
async def model(request: HttpRequest, name: str) -> HttpResponse:
    if name not in usable(await catalog.load(), await bearer.caller(request)):
        raise no_such_model(name)
    (row,) = await database_sync_to_async(_rows)([name])
    return _json(shapes.model(*row))


@door("")
async def nothing_here(request: HttpRequest, under: str) -> HttpResponse:
    raise Refusal(404, f"There is no {request.path} here.", code="unknown_url")


def usable(known: Catalog, caller: Caller) -> list[str]:
    """The names of models the caller may use. The one place that says so for other programs."""
    return [
        candidate.name
        for candidate in known.candidates.values()
        if candidate.enabled and may_use(candidate, caller.groups)
    ]


class Body:
    """What is sent of an answer while it is written. Closed by whoever sends it, read to the end or not."""

    def __init__(self, relay: Relay, first: Delta | Reasoning | None, written: Written) -> None:
        self._relay = relay
        self._first = first
        self._written = written

    async def __aiter__(self) -> AsyncIterator[bytes]:
        written, piece = self._written, self._first
        head = written.first()
        try:
            while piece is not None:
                if said := head + written.piece(piece):
                    yield said
                head = b""
                piece = await self._relay.next()
        except Refusal as refusal:
            yield head + written.broken(refusal)
            return
        assert self._relay.outcome is not None
        yield head + written.last(self._relay.outcome)

    def close(self) -> None:
        self._relay.close()


async def _answer(
    wanted: Asked,
    caller: Caller,
    *,
    whole: Callable[[About, Outcome], Any],
    streamed: Callable[[About], Written],
) -> HttpResponseBase:
    """The run, in the shapes of the protocol. A status can be told until the first word is there, so a stream begins
    with that."""
    relay = Relay(wanted.request, caller)
    try:
        await relay.start()
        if not wanted.stream:
            outcome = await relay.whole()
            about = _about(relay)
            return _json(whole(about, outcome), headers=_headers(about))
        first = await relay.begun()
        about = _about(relay)
        written = streamed(about)
        headers = {**_headers(about), "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        return StreamingHttpResponse(Body(relay, first, written), content_type=written.media_type, headers=headers)
    except BaseException:
        relay.close()
        raise


async def _read(request: HttpRequest, caller: Caller, parse: Callable[[bytes, Caller], Asked]) -> Asked:
    """The body as a request that can be asked."""
    most = settings.DATA_UPLOAD_MAX_MEMORY_SIZE + settings.MAX_UPLOAD * 4 // 3
    body = request.read(most + 1)
    if len(body) > most:
        raise Refusal(413, f"The body is over {most // 1_000_000} MB.", code="too_large")
    wanted = await asyncio.to_thread(parse, body, caller) if asked.takes_long(body) else parse(body, caller)
    name = wanted.request.model
    if name and name not in usable(known := await catalog.load(), caller):
        if name not in ROUTED or name in known.candidates:
            raise no_such_model(name)
        return replace(wanted, request=replace(wanted.request, model=""))
    return wanted


def _about(relay: Relay) -> About:
    return About(run=relay.run_id, model=relay.model, reason=relay.reason, created=shapes.now())


def _headers(about: About) -> dict[str, str]:
    return {"X-Onepane-Run": str(about.run), "X-Onepane-Model": about.model}


def _json(value: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    body = orjson.dumps(value)
    ours = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Length": str(len(body))}
    return HttpResponse(body, status=status, content_type=JSON, headers={**ours, **(headers or {})})


def _rows(names: list[str]) -> list[Any]:
    found = LanguageModel.objects.filter(name__in=names).order_by("id")
    return list(found.values_list("name", "created", "current__provider__name"))
