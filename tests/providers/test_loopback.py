"""The same requests over a real socket: what a transport of tests leaves out (addresses, headers, chunks)."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.providers.sdk import PROTOCOLS, Words
from tests.providers.test_official_types import KINDS
from tests.providers.upstream import call
from workspace.providers import http
from workspace.providers.base import ABILITIES, Address, Ended
from workspace.providers.registry import provider
from workspace.types import Delta, Usage

KEY = "sk-loopback"
# Protocol -> the path below its base, and the header its key goes in.
CALLED = {
    "openai": ("/v1/chat/completions", "authorization"),
    "openai-responses": ("/v1/responses", "authorization"),
    "anthropic": ("/v1/messages", "x-api-key"),
    "gemini": ("/v1beta/models/{model}:streamGenerateContent?alt=sse", "x-goog-api-key"),
}


class Official(ThreadingHTTPServer):
    """Answers any request with a protocol's own pieces, one chunk each, and keeps what it was asked."""

    daemon_threads = True

    def __init__(self, kind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pieces = tuple(PROTOCOLS[kind].answer(Words()))
        self.asked: list[tuple[str, dict[str, str], Any]] = []


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Official

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (*self.server.pieces, b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def official(kind: str) -> Iterator[Official]:
    server = Official(kind)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_requests_cross_a_socket_and_their_answers_come_back_whole(official: Official, kind: str) -> None:
    words, sdk = Words(), PROTOCOLS[kind]
    path, header = CALLED[kind]
    address = Address(base_url=f"http://127.0.0.1:{official.server_port}/{path.split('/')[1]}", key=KEY)
    for options in KINDS.values():
        asked = call(**{"abilities": frozenset(ABILITIES), **options})
        said = [piece async for piece in provider(kind).stream(replace(asked, model=sdk.models[0], address=address))]
        assert "".join(piece.text for piece in said if isinstance(piece, Delta)) == words.text
        assert [piece for piece in said if isinstance(piece, Usage)] == [Usage(input=words.input, output=words.output)]
        assert isinstance(said[-1], Ended)
    await http.close()
    assert len(official.asked) == len(KINDS)
    for was, headers, body in official.asked:
        assert was == path.format(model=sdk.models[0]) and KEY in headers[header] and KEY not in was
        assert set(sdk.strangers(body)) <= (sdk.dropped if sdk.models[0] in sdk.older else set())
