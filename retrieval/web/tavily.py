"""Tavily (docs.tavily.com/documentation/api-reference/endpoint/search)."""

from __future__ import annotations

from retrieval.web.results import RESULTS, Engine, Result, ask, results

LABEL = "Tavily"
BASE_URL = "https://api.tavily.com"
NEEDS_KEY = True


def search(query: str, engine: Engine) -> list[Result]:
    told = ask(
        engine,
        f"{engine.base_url.rstrip('/')}/search",
        headers={"Authorization": f"Bearer {engine.key}", "Content-Type": "application/json"},
        body={"query": query, "max_results": RESULTS, "search_depth": "basic"},
    )
    return results(told, "results", title="title", url="url", text="content")
