"""Which local models can't ever be loaded here: asked of the model host, at most once in a few seconds.

A model that fits once another has gone is none of these: the host lets them take turns. While the host is away nothing
is known, and no model is passed by for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping

from workspace.hosts import link
from workspace.router.catalog import Candidate

FRESH = 5.0  # seconds
WITHIN = 0.5  # seconds that the host has to tell
GIB = 1024**3

_kept: tuple[float, frozenset[str], Mapping[str, str]] = (0.0, frozenset(), {})


async def too_large(candidates: Iterable[Candidate]) -> Mapping[str, str]:
    """Names of models with the reason, in words."""
    global _kept
    local = {one.name: one.upstream for one in candidates if one.kind == "local" and one.enabled}
    if not local:
        return {}
    stamp, names, told = _kept
    if names == frozenset(local) and time.monotonic() - stamp < FRESH:
        return told
    try:
        async with asyncio.timeout(WITHIN):
            found = await link.models(list(local.values()))
    except (link.HostUnavailable, TimeoutError):
        return {}
    needs = {row["model"]: row.get("least") or 0 for row in found["models"]}
    room = max((device["budget"] for device in found["devices"]), default=0)  # a model is on one of them
    told = {
        name: f"{name} needs {needs[upstream] / GIB:.1f} GiB at the least, and local models may take "
        f"{room / GIB:.1f} GiB."
        for name, upstream in local.items()
        if room and needs.get(upstream, 0) > room
    }
    _kept = (time.monotonic(), frozenset(local), told)
    return told


def forget() -> None:
    global _kept
    _kept = (0.0, frozenset(), {})
