"""What a search of the web gives, and how it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from workspace import egress

MOST = 500_000  # bytes of an answer
RESULTS = 5  # asked for
LONGEST = 300  # characters of a query


class SearchFailed(Exception):
    """An engine gave nothing; ``action`` says what to do about it."""

    def __init__(self, cause: str, action: str) -> None:
        super().__init__(cause)
        self.cause, self.action = cause, action


@dataclass(frozen=True, slots=True)
class Result:
    """One page that an engine names. ``text`` is what it quotes of it."""

    title: str
    url: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """Where to ask: what the admin has saved, with its key unsealed; and the seconds that it may take."""

    name: str
    kind: str
    base_url: str = ""
    key: str = ""
    within: float = egress.DEADLINE


def ask(
    engine: Engine,
    url: str,
    *,
    parameters: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> dict[str, Any]:
    """The JSON object that an engine answers with. Its address is the admin's own, so it may be inside the network."""
    try:
        answer = egress.fetch(
            url,
            most=MOST,
            parameters=parameters,
            headers={"Accept": "application/json", **(headers or {})},
            body=None if body is None else orjson.dumps(body),
            trusted=True,
            within=engine.within,
        )
    except egress.Refused as refused:
        if refused.status in (401, 403):
            raise SearchFailed(f"{engine.name} refused the search ({refused.status}).", _refused(engine)) from None
        if refused.status == 429:
            raise SearchFailed(f"{engine.name} takes no more searches for now.", "Wait, or add another.") from None
        raise SearchFailed(f"{engine.name}: {refused.cause}", refused.action) from None
    with contextlib.suppress(orjson.JSONDecodeError):
        if isinstance(told := orjson.loads(answer.data), dict):
            return told
    raise SearchFailed(f"{engine.name} did not answer with a JSON object.", "Look at its address in the admin.")


def rows(told: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of a list inside an answer; none where it has another shape."""
    for name in path:
        told = told.get(name) if isinstance(told, dict) else None
    return [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []


def results(told: Any, *path: str, title: str, url: str, text: str) -> list[Result]:
    """Rows of an answer as results, by the names of their fields; what has no address is left out."""
    found = []
    for row in rows(told, *path):
        if isinstance(row.get(url), str) and row[url].startswith(("http://", "https://")):
            found.append(Result(str(row.get(title) or row[url])[:300], row[url], str(row.get(text) or "")))
    return found[:RESULTS]


def _refused(engine: Engine) -> str:
    if engine.kind == "searxng":
        return "Allow its JSON format: in settings.yml, search: formats: [html, json]."
    return "Look at its key in the admin."
