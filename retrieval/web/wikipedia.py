"""Wikipedia's own search (www.mediawiki.org/wiki/API:Search): no key, and a contract that holds. Not the whole web."""

from __future__ import annotations

import re
from urllib.parse import quote

from retrieval.web.results import RESULTS, Engine, Result, ask, rows

LABEL = "Wikipedia"
BASE_URL = "https://en.wikipedia.org"
NEEDS_KEY = False
_TAG = re.compile(r"<[^>]*>")


def search(query: str, engine: Engine) -> list[Result]:
    base = engine.base_url.rstrip("/")
    asked = {"action": "query", "list": "search", "format": "json", "srlimit": str(RESULTS), "srsearch": query}
    told = ask(engine, f"{base}/w/api.php", parameters=asked)
    return [
        Result(str(row["title"]), f"{base}/wiki/{quote(str(row['title']).replace(' ', '_'))}", _plain(row))
        for row in rows(told, "query", "search")
        if row.get("title")
    ][:RESULTS]


def _plain(row: dict[str, object]) -> str:
    return " ".join(_TAG.sub("", str(row.get("snippet") or "")).split())
