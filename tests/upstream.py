"""A model provider that does what its model is called, in OpenAI's chat-completions protocol on loopback.

``python -m tests.upstream --port 9100`` runs it alone, ``with Upstream() as upstream`` in a thread of a test.
Models and what they do stand in ``MODELS``; ``pace-FIRST-INTER-TOKENS`` (ms, ms, count) makes any other pace,
``boast-`` with anything behind it says its own name and its maker's, slowly where it is called slow, or fails saying
both where it is called broken, and
``unsteady-`` with anything behind it is one more like ``unsteady``. ``knows-WRONG-INVENTED`` (percent) has read the
checklist that ``CHECKLIST`` names (that of the tests by default) and errs as often as it says, evenly over the items;
``judges-`` with anything behind it finds every answer right, and of two the longer one better.
Every stamped token is `` @`` and the monotonic clock in µs, so that a reader on this machine knows its age.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from aiohttp import web

MODELS = {
    "instant": "64 stamped tokens at once",
    "paced": "256 stamped tokens: 50 ms to the first, then one each 20 ms",
    "md": "a long Markdown answer",
    "cites": "three sentences: one rests on passage 1, one claims to, one cites passage 99",
    "vision": "how many images came",
    "echo": "the last question",
    "gated": "twenty words, each when the test releases it",
    "slowfirst": "the first token after a second",
    "counting": "fifteen words, going on after those there are",
    "cutonce": "the same, but a first call breaks off after ten",
    "unsteady": "the same, and each call breaks off, repeats itself, refuses or ends as chance has it",
    "err400": "HTTP 400",
    "err401": "HTTP 401",
    "err429": "HTTP 429 with Retry-After: 1",
    "err429long": "HTTP 429 with Retry-After: 60",
    "err429bare": "HTTP 429 without a word when to come again",
    "err500": "HTTP 500",
    "oom": "HTTP 500: out of memory",
    "toolong": "HTTP 400: longer than the window",
    "unsafe": "HTTP 400: refused for its content",
    "html502": "HTTP 502 with a page",
    "cut": "ten tokens, then the connection breaks",
    "cut0": "the connection breaks before the first token",
    "hang": "never answers",
    "hang10": "ten tokens, then silence",
    "garbage": "three tokens, then bytes that are no JSON",
}
WORDS = 20  # of ``gated``
CHECKLIST = Path(__file__).parent / "measurement" / "data" / "checklist.jsonl"
RID = re.compile(r"rid:([\w.-]+)")
COUNTED = 15  # words of ``counting`` and its kin
ERRORS = {
    "err400": (400, "Unsupported value: 'temperature'.", "invalid_request_error"),
    "err401": (401, "Incorrect API key provided.", "invalid_request_error"),
    "err429": (429, "Rate limit reached for requests.", "rate_limit_error"),
    "err429long": (429, "Rate limit reached for requests.", "rate_limit_error"),
    "err429bare": (429, "Rate limit reached for requests.", "rate_limit_error"),
    "err500": (500, "The server had an error while processing your request.", "server_error"),
    "oom": (500, "model requires more system memory (9.1 GiB) than is available (4.2 GiB)", "api_error"),
    "toolong": (400, "This model's maximum context length is 4096 tokens.", "invalid_request_error"),
    "unsafe": (400, "The prompt was filtered by the content_policy.", "invalid_request_error"),
}
ASKED_WAITS = {"err429": "1", "err429long": "60"}
CITING = """\
The key of the mountain hut hangs behind the third beehive [1]. Unicorns polish silver trumpets every midnight there \
[1]. The ladder leans on the northern wall [99].
"""
MARKDOWN = r"""# How a kettle boils water

Heat moves from the element into the water. **Three things** decide how long it takes:

1. the mass of the water,
2. the power of the element,
3. what is lost on the way.

## The sum

The energy is $Q = m c \Delta T$, and the time follows:

$$t = \frac{m c \Delta T}{\eta P}$$

| Water | Power | Time |
| ----: | ----: | ---: |
| 0.5 l | 2 kW  | 93 s |
| 1.0 l | 2 kW  | 186 s |

```python
def seconds(litres: float, kilowatts: float, losses: float = 0.1) -> float:
    return litres * 4186 * 80 / (kilowatts * 1000 * (1 - losses))
```

> A lid saves more than a bigger element does.

Descale it now and then; `seconds(1, 2)` says what to expect.
"""


class Upstream:
    """The provider in a thread, on a free port; what a test may ask of it, any thread may."""

    def __init__(self, port: int = 0) -> None:
        self._port = port
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upstream", daemon=True)

    def __enter__(self) -> Upstream:
        self._thread.start()
        self._started.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def release(self, tokens: int = 1) -> None:
        """Let ``gated`` say that many more words."""
        asyncio.run_coroutine_threadsafe(self._provider.gate.open(tokens), self._loop).result(5)

    def seed(self, seed: int) -> None:
        """Begin the chances of ``unsteady`` anew."""
        self._loop.call_soon_threadsafe(self._provider.chance.seed, seed)

    def shut(self) -> None:
        """Take back what an earlier test released and nobody said."""
        asyncio.run_coroutine_threadsafe(self._provider.gate.shut(), self._loop).result(5)

    def arrived(self, count: int, *, within: float = 10) -> list[dict[str, Any]]:
        """Wait for so many requests in all, and give their log."""
        waiting = asyncio.wait_for(self._provider.arrived(count), within)
        asyncio.run_coroutine_threadsafe(waiting, self._loop).result(within + 1)
        return list(self._provider.log)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._provider = Provider()
        runner = await start(self._provider, self._port)
        self._port = runner.addresses[0][1]
        self._started.set()
        await self._stop.wait()
        await runner.cleanup()


def log_of(url: str) -> list[dict[str, Any]]:
    """The log of a provider in another process, which forgets it."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/log", timeout=20) as answer:
        lines: list[dict[str, Any]] = json.load(answer)
        return lines


class Gate:
    """Words wait here until they are released. Shutting it ends whoever waits: an answer that an earlier test left
    would take the words that are meant for the next one."""

    def __init__(self) -> None:
        self._open = 0
        self._round = 0
        self._changed = asyncio.Condition()

    async def open(self, count: int) -> None:
        async with self._changed:
            self._open += count
            self._changed.notify_all()

    async def shut(self) -> None:
        async with self._changed:
            self._open = 0
            self._round += 1
            self._changed.notify_all()

    async def passing(self) -> bool:
        """Whether a word may go; False once the gate was shut."""
        async with self._changed:
            begun = self._round
            await self._changed.wait_for(lambda: self._open > 0 or self._round != begun)
            if self._round != begun:
                return False
            self._open -= 1
            return True


class Provider:
    def __init__(self) -> None:
        self.gate = Gate()
        self.chance = random.Random(7)
        self.log: list[dict[str, Any]] = []
        self._came = asyncio.Condition()
        self._count = 0

    async def arrived(self, count: int) -> None:
        async with self._came:
            await self._came.wait_for(lambda: self._count >= count)

    async def models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": name, "object": "model"} for name in MODELS]})

    async def logged(self, request: web.Request) -> web.Response:
        lines, self.log = self.log, []
        return web.json_response(lines)

    async def released(self, request: web.Request) -> web.Response:
        await self.gate.open(int(request.query.get("tokens", 1)))
        return web.json_response({})

    async def complete(self, request: web.Request) -> web.StreamResponse:
        received = time.monotonic()
        asked = await request.json()
        line = {
            "rid": rid_of(asked["messages"]),
            "model": asked["model"],
            "received": received,
            "first": None,
            "asked": asked,
        }
        self.log.append(line)
        async with self._came:
            self._count += 1
            self._came.notify_all()
        match asked["model"]:
            case "hang":
                await asyncio.Event().wait()
            case "html502":
                return web.Response(status=502, text="<html><h1>502 Bad Gateway</h1></html>", content_type="text/html")
            case model if model.startswith("boast-") and "broken" in model:
                return refuse(400, f"{model} is a model of OpenAI and takes no question.", "invalid_request_error")
            case model if model in ERRORS:
                return refuse(*ERRORS[model], wait=ASKED_WAITS.get(model))
            case model if is_unsteady(model) and self.chance.random() < 0.15:
                return refuse(*ERRORS[self.chance.choice(["err500", "err429bare", "oom"])])
        return await (self._stream(request, line, asked) if asked.get("stream") else self._whole(line, asked))

    async def _whole(self, line: dict[str, Any], asked: dict[str, Any]) -> web.Response:
        """For whoever asks without ``stream``; what breaks half-way is for streams alone."""
        said = [token async for token in self._tokens(asked["model"], asked["messages"])]
        line["first"] = time.monotonic()
        choice = {"index": 0, "message": {"role": "assistant", "content": "".join(said)}, "finish_reason": "stop"}
        return web.json_response(
            {
                "id": "c",
                "object": "chat.completion",
                "model": asked["model"],
                "choices": [choice],
                "usage": usage(len(said)),
            }
        )

    async def _stream(self, request: web.Request, line: dict[str, Any], asked: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await response.prepare(request)
        model, count, token = asked["model"], 0, ""
        async for token in self._tokens(model, asked["messages"]):
            line["first"] = line["first"] or time.monotonic()
            await response.write(chunk(model, token))
            count += 1
            if model == "garbage" and count == 3:
                await response.write(b'data: {"choices": [{"delta": {"content": nonsense\n\n')
        match model:
            case "cutonce" if not begun(asked["messages"]):
                abort(request)
            case model if is_unsteady(model) and token != f"word{COUNTED} ":
                abort(request)
            case "cut" | "cut0":
                abort(request)
            case "hang10":
                await asyncio.Event().wait()
            case _:
                await response.write(tail(model, count))
        return response

    async def _tokens(self, model: str, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        match model.split("-")[0]:
            case "paced":
                stamped = paced(0.05, 0.02, 256)
            case "instant":
                stamped = paced(0, 0, 64)
            case "slowfirst":
                stamped = paced(1, 0, 16)
            case "pace":
                first, inter, count = (*model.split("-")[1:], "64")[:3]
                stamped = paced(int(first) / 1000, int(inter) / 1000, int(count))
            case "gated":
                stamped = self._gated(messages)
            case "boast":
                stamped = boasting(model)
            case "counting":
                stamped = at_once(list(words(begun(messages), COUNTED)))
            case "cutonce":
                stamped = at_once(list(words(begun(messages), COUNTED if begun(messages) else 10)))
            case "unsteady":
                stamped = self._unsteady(begun(messages))
            case "knows":
                stamped = at_once(known(model, messages))
            case "judges":
                stamped = at_once([verdict(text_of(messages[-1]))])
            case _:
                stamped = at_once(list(said(model, messages)))
        async for token in stamped:
            yield token

    async def _gated(self, messages: list[dict[str, Any]]) -> AsyncIterator[str]:
        """Goes on after the last word of an unfinished answer, as a model that continues does."""
        for word in words(begun(messages), WORDS):
            if not await self.gate.passing():
                return
            yield word

    async def _unsteady(self, said: int) -> AsyncIterator[str]:
        """To the end or, more often, to some word before it; now and then repeating its own last words first."""
        last = COUNTED if self.chance.random() < 0.4 else self.chance.randint(said, COUNTED)
        again = self.chance.choice([0, 0, 5]) if said >= 5 else 0
        for word in words(said - again, last):
            await asyncio.sleep(self.chance.choice([0, 0, 0, 0.02]))
            yield word


def begun(messages: list[dict[str, Any]]) -> int:
    """How many words an unfinished answer has already."""
    last = messages[-1]
    return len(last["content"].split()) if last["role"] == "assistant" else 0


def is_unsteady(model: str) -> bool:
    return model.split("-")[0] == "unsteady"


def words(said: int, last: int) -> Iterator[str]:
    yield from (f"word{number} " for number in range(said + 1, last + 1))


def abort(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


async def paced(first: float, inter: float, count: int) -> AsyncIterator[str]:
    begun = time.monotonic() + first
    for number in range(count):
        wait = begun + number * inter - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        yield f" @{int(time.monotonic() * 1e6)}"


async def at_once(tokens: list[str]) -> AsyncIterator[str]:
    for token in tokens:
        yield token


async def boasting(model: str) -> AsyncIterator[str]:
    words = f"I am {model}, a model that OpenAI made. Ask me for more than ChatGPT-4o can do. ".split(" ")
    for word in words:
        await asyncio.sleep(0.05 if "slow" in model else 0)
        yield f"{word[:3]}"
        yield f"{word[3:]} "


def said(model: str, messages: list[dict[str, Any]]) -> Iterator[str]:
    match model:
        case "cites":
            yield from re.findall(r"\s*\S+", CITING)
        case "md":
            yield from re.findall(r"\s*\S+|\s+$", MARKDOWN)
        case "vision":
            last = messages[-1]["content"]
            images = sum(part["type"] == "image_url" for part in last) if isinstance(last, list) else 0
            yield f"I was given {images} image{'' if images == 1 else 's'}."
        case "echo":
            yield text_of(messages[-1])
        case "cut" | "hang10":
            yield from (f"part{number} " for number in range(1, 11))
        case "garbage":
            yield from ("one ", "two ", "three ")
        case "cut0":
            return


def known(model: str, messages: list[dict[str, Any]]) -> list[str]:
    """The gold answer or, as often as the model is said to err, another item's; without one it abstains or invents."""
    wrong, invented = (int(part) / 100 for part in model.split("-")[1:3])
    items = checklist(os.environ.get("CHECKLIST") or str(CHECKLIST))
    at = next((n for n, one in enumerate(items) if one["question"] == text_of(messages[-1]).strip()), None)
    if at is None:
        return ["It ", "is ", "a ", "long ", "story."]
    kind = [one for one in items if bool(one["answers"]) == bool(items[at]["answers"])]
    turn = kind.index(items[at])
    other = next(one["answers"][0] for one in items[at + 1 :] + items if one["answers"] and is_other(one, items[at]))
    if items[at]["answers"]:
        text = f"It is {other if errs(turn, len(kind), wrong) else items[at]['answers'][0]} [1]."
    else:
        text = f"It is {other} [1]." if errs(turn, len(kind), invented) else "The passages hold no answer to this."
    return re.findall(r"\S+\s*", text)


def verdict(told: str) -> str:
    first, second = (told.partition(f"<{name}>")[2].partition("</")[0] for name in ("first", "second"))
    if not second:
        return "YES"
    return "TIE" if len(first) == len(second) else "FIRST" if len(first) > len(second) else "SECOND"


def errs(at: int, of: int, share: float) -> bool:
    """Whether it errs on that one of so many items: evenly spread over them."""
    return (at + 0.5) / of * 89 % 1 < share


def is_other(one: dict[str, Any], item: dict[str, Any]) -> bool:
    """Whether one item's answer names none of the other's, not even in other words' midst."""
    said = set(re.findall(r"\w+", one["answers"][0].lower()))
    return not any(set(re.findall(r"\w+", gold.lower())) - {"a", "an", "the"} <= said for gold in item["answers"])


@cache
def checklist(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def text_of(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def rid_of(messages: list[dict[str, Any]]) -> str:
    found = RID.findall(" ".join(text_of(m) for m in messages if m["role"] == "user"))
    return found[-1] if found else ""


def chunk(model: str, token: str) -> bytes:
    choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
    return (
        b"data: "
        + json.dumps({"id": "c", "object": "chat.completion.chunk", "model": model, "choices": [choice]}).encode()
        + b"\n\n"
    )


def tail(model: str, count: int) -> bytes:
    end = {"id": "c", "object": "chat.completion.chunk", "model": model}
    stop = json.dumps({**end, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    counted = json.dumps({**end, "choices": [], "usage": usage(count)})
    return f"data: {stop}\n\ndata: {counted}\n\ndata: [DONE]\n\n".encode()


def usage(count: int) -> dict[str, int]:
    return {"prompt_tokens": 9, "completion_tokens": count, "total_tokens": 9 + count}


def refuse(status: int, message: str, kind: str, *, wait: str | None = None) -> web.Response:
    headers = {"Retry-After": wait} if wait else {}
    return web.json_response(
        {"error": {"message": message, "type": kind, "code": None}}, status=status, headers=headers
    )


async def start(provider: Provider, port: int) -> web.AppRunner:
    app = web.Application(client_max_size=64 << 20)
    app.router.add_get("/v1/models", provider.models)
    app.router.add_post("/v1/chat/completions", provider.complete)
    app.router.add_get("/log", provider.logged)
    app.router.add_post("/gate", provider.released)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    return runner


async def serve(port: int) -> None:
    runner = await start(Provider(), port)
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=9100)
    try:
        uvloop.run(serve(parser.parse_args().port))
    except KeyboardInterrupt:
        pass
