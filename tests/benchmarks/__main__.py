"""``make bench``: what the workspace adds to a provider, beside the bare floor and nothing at all.

The server has one core, the provider and the people who ask have the other. Data, people and provider are
made for the run and go with it. ``--json`` prints the figures alone, ``--quick`` takes fewer samples.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.benchmarks import figures, grounding, lanes, local, long_chats, page, programs
from tests.benchmarks.load import ChatReader, DirectReader, Reader, connect, one_by_one, within_a_second
from tests.serving import ROOT, Served, free_port
from tests.upstream import log_of

SHORT = "pace-50-20-8"  # one stream, many times
LONG = "paced"  # many streams, long enough to overlap


@dataclass(frozen=True)
class Target:
    """Who is asked: ``readers`` makes the n-th person's connection."""

    name: str
    url: str
    readers: Callable[[int], Reader]
    pid: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-page", action="store_true")
    parser.add_argument("--rivals", action="store_true", help="LiteLLM's proxy in the same run, from .venv-rivals")
    parser.add_argument("--only-programs", action="store_true", help="chat completions for other programs alone")
    parser.add_argument("--only-local", action="store_true", help="local models alone")
    parser.add_argument("--only-lanes", action="store_true", help="comparisons alone")
    parser.add_argument("--only-long-chats", action="store_true", help="what a chat costs as it grows, alone")
    parser.add_argument("--only-search", action="store_true", help="documents and search alone")
    asked = parser.parse_args()
    if asked.only_search:
        with tempfile.TemporaryDirectory(prefix="onepane-bench-") as folder:
            found = grounding.measure(Path(folder), quick=asked.quick)
        print(json.dumps(found, indent=1) if asked.json else "\n".join(grounding.lines(found)))
        return
    if asked.only_local:
        with tempfile.TemporaryDirectory(prefix="onepane-bench-") as folder:
            found = local.measure(Path(folder), quick=asked.quick)
        print(json.dumps(found, indent=1) if asked.json else "\n".join(local.lines(found)))
        return
    if asked.only_long_chats:
        with tempfile.TemporaryDirectory(prefix="onepane-bench-") as folder, provider() as upstream:
            found = long_chats.measure(Path(folder), upstream, quick=asked.quick)
        print(json.dumps(found, indent=1) if asked.json else "\n".join(long_chats.lines(found)))
        return
    server_cpu, load_cpu = cores()
    os.sched_setaffinity(0, {load_cpu})
    with tempfile.TemporaryDirectory(prefix="onepane-bench-") as folder, provider() as upstream:
        if asked.only_lanes:
            compared = lanes.measure(upstream, Path(folder), server_cpu, quick=asked.quick)
            print(json.dumps(compared, indent=1) if asked.json else "\n".join(lanes.lines(compared)))
            return
        found = measure(upstream, Path(folder), server_cpu, asked)
        if not asked.only_programs:
            found["local"] = local.measure(Path(folder), quick=asked.quick)
            found["long_chats"] = long_chats.measure(Path(folder) / "long", upstream, quick=asked.quick)
            found["grounding"] = grounding.measure(Path(folder), quick=asked.quick)
            found["lanes"] = lanes.measure(upstream, Path(folder), server_cpu, quick=asked.quick)
    told = [figures.table(found), *(["", *lanes.lines(found["lanes"])] if "lanes" in found else [])]
    print(json.dumps(found, indent=1) if asked.json else "\n".join(told))


def measure(upstream: str, folder: Path, cpu: int, asked: argparse.Namespace) -> dict[str, Any]:
    import uvloop

    say = (lambda words: None) if asked.json else (lambda words: print(f"… {words}", file=sys.stderr, flush=True))
    say("Making data and people")
    served = Served(folder, local_models=True, cpu=cpu)
    keys = served.people(200, upstream, [SHORT, "pace-50-20-200"])
    served.start()
    try:
        with floor(upstream, cpu) as (floor_url, floor_pid):
            targets = [
                Target("direct", upstream, lambda n: DirectReader(host(upstream))),
                Target("floor", floor_url, lambda n: ChatReader(host(floor_url)), floor_pid),
                Target("onepane", served.url, lambda n: ChatReader(host(served.url), keys[n]), served.pid),
            ]
            say("Waiting until the guide is loaded")
            until_idle(served.pid)
            server = {"rss_idle_mb": megabytes(served.pid), "children_rss_mb": children(served.pid)}
            levels = {}
            if not asked.only_programs:
                levels = uvloop.run(all_levels(targets, upstream, server, quick=asked.quick, say=say))
        found = {"machine": machine(one_core=cpu in os.sched_getaffinity(0)), "levels": levels, "server": server}
        doors = [programs.Door("direct", upstream), programs.Door("onepane", served.url, served.token(keys[0]))]
        with programs.litellm(upstream, folder, cpu) if asked.rivals else contextlib.nullcontext() as rival:
            doors += [rival] if rival else []
            found["programs"] = uvloop.run(programs.measure(doors, upstream, quick=asked.quick, say=say))
        if asked.only_programs:
            return found
        if not asked.no_page:
            say(f"Measuring the page; so far:\n{figures.table(found)}")
            found["page"] = page.measure(served, upstream)
        served.stop()
        start = time.monotonic()
        served.start()
        server["warm_start_s"] = round(time.monotonic() - start, 2)
    except Exception:
        print("\n".join(["The server said last:", *served.said[-20:]]), file=sys.stderr)
        raise
    finally:
        served.end()
    return found


async def all_levels(
    targets: Sequence[Target], upstream: str, server: dict[str, Any], *, quick: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {}
    for people in (1, 50, 200):
        rows = found[f"{people}"] = {}
        for target in targets:
            say(f"{target.name}: {people} at once")
            rows[target.name] = await one_level(target, people, upstream, server, quick=quick)
    return found


async def one_level(
    target: Target, people: int, upstream: str, server: dict[str, Any], *, quick: bool
) -> dict[str, Any]:
    """Sockets are open and have carried an answer before anything is counted."""
    readers = [await connect(target.url, lambda n=n: target.readers(n)) for n in range(people)]
    warm = f"{target.name}.{people}.warm"
    if people == 1:
        await one_by_one(readers[0], SHORT, samples=3, label=warm)
    else:
        await within_a_second(readers, "instant", label=warm)
    log_of(upstream)
    cpu = cpu_of(target.pid)
    watch = asyncio.create_task(peak(target.pid))
    answers = []
    if people == 1:
        answers = await one_by_one(readers[0], SHORT, samples=10 if quick else 40, label=f"{target.name}.1")
        row_of = [answers]
    else:
        row_of = []
        for number in range(1 if quick else 2):
            row_of.append(await within_a_second(readers, LONG, label=f"{target.name}.{people}.{number}"))
            answers += row_of[-1]
    watch.cancel()
    spent = cpu_of(target.pid) - cpu
    log = {line["rid"]: line for line in await asyncio.to_thread(log_of, upstream)}
    row = figures.level(answers, log, cpu_s=spent)
    if people > 1:
        last = [arrival for answer in row_of[-1] for arrival in answer.arrivals]
        row |= figures.steady(last) if last else {}
    if target.name == "onepane":
        memory_at(people, PEAK[0], server)
    for reader in readers:
        reader.close()
    await asyncio.sleep(0.5)
    return row


def memory_at(people: int, peak: float, server: dict[str, Any]) -> None:
    """Each open stream's share is the slope between two levels: both have paid what is paid once."""
    server[f"rss_at_{people}_mb"] = round(peak / 1e6, 1)
    if people == 200:
        server["kb_per_open_stream"] = round(1e3 * (server["rss_at_200_mb"] - server["rss_at_50_mb"]) / 150, 1)


PEAK = [0.0]


async def peak(pid: int) -> None:
    """The largest resident size while this runs."""
    PEAK[0] = 0.0
    while pid:
        PEAK[0] = max(PEAK[0], rss(pid))
        await asyncio.sleep(0.25)


@contextlib.contextmanager
def provider() -> Iterator[str]:
    with child("tests.upstream", "--port", str(free_port())) as (_, line):
        yield line


@contextlib.contextmanager
def floor(upstream: str, cpu: int) -> Iterator[tuple[str, int]]:
    port = free_port()
    with child("tests.benchmarks.floor", str(port), upstream, cpu=cpu) as (process, _):
        yield f"http://127.0.0.1:{port}", process.pid


@contextlib.contextmanager
def child(module: str, *arguments: str, cpu: int | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that prints one line when it is ready."""
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        if cpu is not None:
            os.sched_setaffinity(process.pid, {cpu})
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def until_idle(pid: int) -> None:
    """Until the web process and its children have rested for two seconds."""
    deadline = time.monotonic() + 120
    quiet = 0
    while quiet < 4 and time.monotonic() < deadline:
        before = sum(cpu_of(p) for p in family(pid))
        time.sleep(0.5)
        quiet = quiet + 1 if sum(cpu_of(p) for p in family(pid)) - before < 0.05 else 0


def children(pid: int) -> dict[str, float]:
    return {" ".join(p.cmdline()[1:4])[-40:]: megabytes(p.pid) for p in psutil.Process(pid).children(recursive=True)}


def family(pid: int) -> list[int]:
    return [pid, *(p.pid for p in psutil.Process(pid).children(recursive=True))]


def megabytes(pid: int) -> float:
    return round(rss(pid) / 1e6, 1)


def rss(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss)


def cpu_of(pid: int) -> float:
    """Seconds of processor time so far; the threads of the process count, its children do not."""
    if not pid or not psutil.pid_exists(pid):
        return 0.0
    spent = psutil.Process(pid).cpu_times()
    return float(spent.user + spent.system)


def cores() -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 if len(allowed) > 1 else 0]


def machine(*, one_core: bool) -> str:
    shared = " Only one core: server, provider and people share it." if one_core else ""
    load = os.getloadavg()[0]
    python = platform.python_version()
    return f"Python {python}, {os.cpu_count()} cores, server on one, load on another; load average {load:.1f}.{shared}"


def host(url: str) -> str:
    return urlsplit(url).netloc


if __name__ == "__main__":
    main()
