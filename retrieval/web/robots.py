"""Whether a site lets its pages be read by programs (RFC 9309). What it says is kept for an hour."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from workspace import egress

KEPT = 3_600.0  # seconds
MOST = 500_000  # bytes; RFC 9309 asks that this much be read
SITES = 500
AGENT = "Onepane"

_known: dict[str, tuple[float, RobotFileParser]] = {}
_lock = threading.Lock()


def may_read(url: str) -> bool:
    site = "{0.scheme}://{0.netloc}".format(urlsplit(url))
    with _lock:
        kept = _known.get(site)
    if kept is None or time.monotonic() - kept[0] > KEPT:
        kept = (time.monotonic(), _ask(site))
        with _lock:
            if len(_known) >= SITES:
                _known.clear()
            _known[site] = kept
    return kept[1].can_fetch(AGENT, url)


def forget() -> None:
    with _lock:
        _known.clear()


def _ask(site: str) -> RobotFileParser:
    """A site without the file allows all; one that can't be asked allows nothing (RFC 9309, 2.3.1)."""
    rules = RobotFileParser()
    try:
        said = egress.fetch(f"{site}/robots.txt", most=MOST).data.decode("utf-8", "replace")
    except egress.Refused as refused:
        gone = refused.status is not None and 400 <= refused.status < 500
        rules.parse([] if gone else ["User-agent: *", "Disallow: /"])
    else:
        rules.parse(said.splitlines())
    return rules
