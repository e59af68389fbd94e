"""A small web on loopback: sites with pages that may change, forbid reading or fail, and engines in their documented
shapes. Every request is kept."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

HERE = "127.0.0.1"


class Web(ThreadingHTTPServer):
    """``pages`` maps a path to HTML, a status, JSON, or ``-> address`` that it leads on to; ``results`` is what SearXNG
    at ``/search`` answers with. A path of ``silent`` never answers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__((HERE, 0), _Handler)
        self.pages: dict[str, str | int | dict[str, Any]] = {}
        self.results: list[dict[str, str]] = []
        self.silent: set[str] = set()
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.closed = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Web:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed.set()
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def url(self) -> str:
        return f"http://{HERE}:{self.server_port}"

    def add(self, path: str, title: str, *paragraphs: str) -> None:
        """A page, and a result that leads to it."""
        body = "".join(f"<p>{words}</p>" for words in paragraphs)
        self.pages[path] = (
            f"<html><head><title>{title}</title></head><body><nav>Home</nav><article><h1>{title}</h1>{body}</article>"
            "</body></html>"
        )
        if not any(result["url"] == self.url + path for result in self.results):
            self.results.append({"title": title, "url": self.url + path, "content": paragraphs[0][:80]})

    def paths(self) -> list[str]:
        return [urlsplit(path).path for path, _, _ in self.asked]


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers["Content-Length"])))

    def _answer(self, body: bytes) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        asked = urlsplit(self.path)
        if asked.path in self.server.silent:
            self.server.closed.wait()
            return
        page = self.server.pages.get(asked.path)
        if page is None and asked.path == "/search" and parse_qs(asked.query).get("format") == ["json"]:
            page = {"query": "", "results": self.server.results, "unresponsive_engines": []}
        self._send(404 if page is None else page)

    def _send(self, page: str | int | dict[str, Any]) -> None:
        leads = page.removeprefix("-> ") if isinstance(page, str) and page.startswith("-> ") else ""
        self.send_response(302 if leads else page if isinstance(page, int) else 200)
        if leads:
            self.send_header("Location", leads)
        kind = "application/json" if isinstance(page, dict) else "text/html; charset=utf-8"
        self.send_header("Content-Type", "text/plain" if self.path == "/robots.txt" else kind)
        self.end_headers()
        if not isinstance(page, int):
            self.wfile.write((json.dumps(page) if isinstance(page, dict) else page).encode())

    def log_message(self, *args: Any) -> None:
        pass
