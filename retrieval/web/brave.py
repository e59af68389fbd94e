"""Brave Search (api-dashboard.search.brave.com/app/documentation/web-search)."""

from __future__ import annotations

from retrieval.web.results import RESULTS, Engine, Result, ask, results

LABEL = "Brave Search"
BASE_URL = "https://api.search.brave.com"
NEEDS_KEY = True


def search(query: str, engine: Engine) -> list[Result]:
    told = ask(
        engine,
        f"{engine.base_url.rstrip('/')}/res/v1/web/search",
        parameters={"q": query, "count": str(RESULTS)},
        headers={"X-Subscription-Token": engine.key},
    )
    return results(told, "web", "results", title="title", url="url", text="description")
