"""The one way out: what is public is fetched, whatever hides a private address is refused, nothing is endless."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from workspace import egress
from workspace.egress import Refused, fetch, is_public

HERE = "127.0.0.1"


class Site(ThreadingHTTPServer):
    asked: list[tuple[str, str]]
    closed: threading.Event


class Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.asked.append((self.path, self.headers["Host"]))
        path, _, target = self.path.partition("?to=")
        if path.startswith("/drips"):
            self._drip(b"HTTP/1.1 200 OK\r\nX: " if path == "/drips-headers" else b"HTTP/1.1 200 OK\r\n\r\n")
            return
        status = {"/missing": 404, "/moved": 302, "/round": 302, "/unchanged": 304, "/nowhere": 302}.get(path, 200)
        self.send_response(status)
        if path in ("/moved", "/round"):
            self.send_header("Location", target or "/round")
        self.send_header("Content-Type", f"text/html; charset={'KOI8-R' if path == '/old' else 'utf-8'}")
        self.end_headers()
        if path == "/old":
            self.wfile.write("Чай".encode("koi8-r"))
        elif status == 200:
            self.wfile.write(b"x" * 5_000 if path == "/large" else b"<h1>Tea</h1>")

    def _drip(self, start: bytes) -> None:
        """A byte at a time, until the other side has enough."""
        with contextlib.suppress(OSError):
            self.wfile.write(start)
            while not self.server.closed.wait(0.01):
                self.wfile.write(b"x")
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def site() -> Iterator[Site]:
    server = Site((HERE, 0), Handler)
    server.asked, server.closed = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closed.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def url(site: Site, settings: Any) -> str:
    settings.FETCH_PRIVATE_HOSTS = [HERE]
    return f"http://{HERE}:{site.server_port}"


def test_a_page_comes_with_what_it_is(url: str) -> None:
    got = fetch(f"{url}/tea", most=1_000)
    assert (got.data, got.media_type, got.name, got.url) == (b"<h1>Tea</h1>", "text/html", "tea.html", f"{url}/tea")
    assert fetch(f"{url}/old", most=1_000).data.decode() == "Чай"
    assert fetch(f"{url}/moved?to=/green", most=1_000).url == f"{url}/green"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/missing", "answered 404"),
        ("/unchanged", "answered 304"),
        ("/nowhere", "answered 302"),
        ("/large", "over"),
        ("/round", "leads on"),
        ("/moved?to=http://10.0.0.1/", "private network"),
        ("/moved?to=http://169.254.169.254/latest/meta-data/", "private network"),
        ("/moved?to=file:///etc/passwd", "http"),
        ("/moved?to=http://me:secret@example.com/", "password"),
        ("/moved?to=http://localhost:6379/", "Port 6379"),
    ],
)
def test_what_leads_astray_or_never_ends_is_refused(url: str, path: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        fetch(url + path, most=1_000)
    assert refused.value.action.endswith(".")


@pytest.mark.parametrize("path", ["/drips", "/drips-headers"])
def test_a_server_that_drips_is_left_at_the_deadline(url: str, path: str) -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match="too long"):
        fetch(url + path, most=1_000_000, within=0.3)
    assert time.monotonic() - began < egress.SILENCE  # each byte came in time for the client's own limits


# Every notation of an inside address that a parser, a resolver or a transition of protocols knows.
INSIDE = [
    "http://127.0.0.1/", "http://127.1/", "http://0/", "http://0.0.0.0/", "http://2130706433/", "http://0x7f000001/",
    "http://0x7f.0.0.1/", "http://0177.0.0.1/", "http://017700000001/", "http://localhost/", "http://LOCALHOST./",
    "http://10.1.2.3/", "http://172.16.0.1/", "http://192.168.1.1/", "http://169.254.169.254/", "http://100.64.0.1/",
    "http://224.0.0.1/", "http://255.255.255.255/", "http://240.0.0.1/", "http://198.18.0.1/", "http://192.0.2.1/",
    "http://[::1]/", "http://[::]/", "http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/", "http://[::127.0.0.1]/",
    "http://[0:0:0:0:0:ffff:a00:1]/", "http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/",
    "http://[2002:7f00:1::]/", "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "http://[fe80::1]/",
    "http://[fe80::1%25eth0]/", "http://[fc00::1]/", "http://[ff02::1]/", "http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/",
]  # fmt: skip
ODD = [
    "", "tea", "//127.0.0.1/", "file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "data:text/html,x",
    "javascript:alert(1)", "unix:///run/x.sock", "http:///etc", "http://me@example.com/", "http://me:pw@example.com/",
    "http://example.com:22/", "http://example.com:6379/", "http://127.0.0.1\\@example.com/", "http://exa mple.com/",
    "http://example.com\n.evil/", "http://" + "a" * 3_000 + "/",
]  # fmt: skip


@pytest.mark.parametrize("address", [*INSIDE, *ODD])
def test_no_notation_leads_inside(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("connected")

    monkeypatch.setattr(socket.socket, "connect", connect)
    with pytest.raises(Refused) as refused:
        fetch(address, most=1_000)
    assert refused.value.cause and refused.value.action


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "64:ff9b::5db8:d822", "2002:5db8:d822::"])
def test_the_open_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def test_a_name_with_one_inside_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (ip, 80)) for ip in ("93.184.216.34", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: rows)
    with pytest.raises(Refused, match="private network"):
        fetch("http://two.example/", most=1_000)


def test_a_name_is_looked_up_once_and_the_connection_goes_where_it_pointed(
    site: Site, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.FETCH_PRIVATE_HOSTS = ["site.example"]
    real, looked = socket.getaddrinfo, []

    def look(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host != "site.example":
            return real(host, *args, **kwargs)
        looked.append(host)
        return real(HERE if len(looked) == 1 else "10.0.0.1", *args, **kwargs)

    monkeypatch.setattr(egress.socket, "getaddrinfo", look)
    fetch(f"http://site.example:{site.server_port}/tea", most=1_000)
    assert looked == ["site.example"]
    assert site.asked == [("/tea", f"site.example:{site.server_port}")]
