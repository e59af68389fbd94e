"""Whether a site lets its pages be read by programs (RFC 9309). What it says is kept for an hour."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from protego import Protego

from workspace import egress

KEPT = 3_600.0  # seconds
SILENCE_KEPT = 60.0  # the same of a site that did not say
MOST = 500_000  # bytes; RFC 9309 asks that this much be read
SITES = 500
AGENT = "Onepane"


class Unasked(Exception):
    """A site did not say what may be read, so nothing may (RFC 9309, 2.3.1.4)."""


@dataclass(frozen=True, slots=True)
class _Said:
    """``rules`` is None where the site gave none to read; ``until`` is on the monotonic clock."""

    until: float
    rules: Protego | None


_known: dict[str, _Said] = {}
_lock = threading.Lock()


def may_read(url: str, within: float = egress.DEADLINE) -> bool:
    """Raises Unasked."""
    site = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    with _lock:
        said = _known.get(site)
    if said is None or time.monotonic() > said.until:
        said = _ask(site, within)
        with _lock:
            if len(_known) >= SITES:
                _known.clear()
            _known[site] = said
    if said.rules is None:
        raise Unasked("its site did not say whether programs may read it")
    return bool(said.rules.can_fetch(url, AGENT))


def forget() -> None:
    with _lock:
        _known.clear()


def _ask(site: str, within: float) -> _Said:
    """A site without the file allows all (RFC 9309, 2.3.1.3)."""
    try:
        file = egress.fetch(f"{site}/robots.txt", most=MOST, cut=True, within=within)
        rules = file.data.decode("utf-8-sig", "replace")
    except egress.Refused as refused:
        if refused.status is None or not 400 <= refused.status < 500:
            return _Said(time.monotonic() + SILENCE_KEPT, None)
        rules = ""
    return _Said(time.monotonic() + KEPT, Protego.parse(rules))
