"""SearXNG, on a machine of one's own (docs.searxng.org/dev/search_api). Its JSON format is off until it is allowed."""

from __future__ import annotations

from retrieval.web.results import Engine, Result, SearchFailed, ask, results

LABEL = "SearXNG"
BASE_URL = "http://127.0.0.1:8888"
NEEDS_KEY = False


def search(query: str, engine: Engine) -> list[Result]:
    told = ask(engine, f"{engine.base_url.rstrip('/')}/search", parameters={"q": query, "format": "json"})
    found = results(told, "results", title="title", url="url", text="content")
    if not found and isinstance(silent := told.get("unresponsive_engines"), list) and silent:
        names = ", ".join(str(one[0] if isinstance(one, list) and one else one) for one in silent[:4])
        raise SearchFailed(f"{engine.name} got no answer from {names}.", "Look at its engines, or try again later.")
    return found
