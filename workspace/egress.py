"""The one way out to an address that a person or a page named: looked up, checked, pinned, bounded.

Every address that a name resolves to must be public, in whatever notation it hides; the connection goes to the very
address that was checked, so that a name which changes its mind between look and call (DNS rebinding) gains nothing.
Each redirect goes through the same gate. One parser reads the address for the check and for the call: httpx's. One
deadline stands over all of it, however slowly a server drips.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

import httpx
from django.conf import settings

from workspace import tls

PORTS = (80, 443, 8080, 8443)
REDIRECTS = 5
DEADLINE = 20.0  # seconds for all of it
SILENCE = 10.0  # seconds for each step of it
LONGEST = 2_000  # characters of an address
AGENT = "Onepane (a person asked for this page)"
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.I)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.ip_network("::/96")


class Refused(Exception):
    """An address that is not asked, or that gave nothing; ``action`` says what to do. ``status`` is HTTP's, where the
    server answered."""

    def __init__(
        self,
        cause: str,
        action: str = "Look at the address, or add the page as a file.",
        *,
        status: int | None = None,
    ) -> None:
        super().__init__(cause)
        self.cause, self.action, self.status = cause, action, status


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """``url`` is where the last redirect led; ``name`` ends as its media type wants. Text is in UTF-8 where the server
    said in what it was."""

    data: bytes
    url: str
    media_type: str
    name: str


def checked(address: str, *, trusted: bool = False) -> httpx.URL:
    """The address as it would be asked, before anything is looked up. Raises Refused."""
    try:
        url = httpx.URL(address.strip())
    except (httpx.InvalidURL, ValueError):
        raise Refused("That is no address.") from None
    if len(address) > LONGEST:
        raise Refused("The address is too long.")
    if url.scheme not in ("http", "https") or not url.host:
        raise Refused("Only addresses that begin with http:// or https:// are fetched.")
    if url.userinfo or "@" in url.netloc.decode("ascii", "replace"):
        raise Refused("The address carries a name or a password.", "Leave them out; they would be stored with it.")
    if not trusted and (url.port or 80) not in PORTS and url.host not in settings.FETCH_PRIVATE_HOSTS:
        raise Refused(f"Port {url.port} is not asked.")
    return url


def fetch(
    address: str,
    *,
    most: int,
    parameters: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    may: Callable[[str], bool] = lambda url: True,
    trusted: bool = False,
    within: float = DEADLINE,
    cut: bool = False,
) -> Fetched:
    """What stands at an address, at most so many bytes, within so many seconds; with a ``body``, what is answered to
    it. More bytes are refused or, where it is ``cut``, left. Raises Refused.

    ``may`` is asked of each address that the first one leads on to. An address that is ``trusted`` was set by an admin:
    it may be inside the network, and is not left for another, so what is sent to it goes nowhere else.
    """
    url = checked(address, trusted=trusted)
    if parameters:
        url = url.copy_merge_params(dict(parameters))
    method = "GET" if body is None else "POST"
    said = {"User-Agent": AGENT, **(headers or {})}
    with _Watch(within) as watch:
        try:
            with httpx.Client(
                trust_env=False, timeout=min(SILENCE, within), headers=said, verify=tls.context()
            ) as client:
                for _ in range(REDIRECTS + 1):
                    pinned = _pinned(url, trusted=trusted)
                    asked = {**_sni(url), "trace": watch.trace}
                    with client.stream(
                        method, pinned, headers=_headers(url), extensions=asked, content=body
                    ) as response:
                        if response.has_redirect_location and not trusted:
                            url = checked(str(url.join(response.headers["location"])))
                            if not may(str(url)):
                                raise Refused(f"It leads to {url.host}, which asks programs not to read that.")
                            continue
                        if response.status_code != 200:
                            raise Refused(f"{url.host} answered {response.status_code}.", status=response.status_code)
                        data = _read(response, most, cut=cut)
                        if watch.over:  # a body without a length ends as well when its connection does
                            raise _too_slow()
                        return _fetched(url, data, response.headers.get("content-type", ""))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if watch.over:
                raise _too_slow() from None
            raise Refused(f"{url.host} does not answer: {type(error).__name__}.", "Try again later.") from None
    raise Refused(f"The address leads on more than {REDIRECTS} times.")


class _Watch:
    """Ends the connections of a fetch when its time is over. A client's own timeouts begin anew with every byte, so a
    server that drips would hold a thread for days."""

    def __init__(self, seconds: float) -> None:
        self.over = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def __enter__(self) -> _Watch:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            while self._sockets:
                self._sockets.pop().close()

    def trace(self, event: str, told: Mapping[str, Any]) -> None:
        """httpcore's extension. The socket is kept as a copy: TLS takes the first one apart."""
        if event == "connection.connect_tcp.complete":
            with self._lock:
                self._sockets.append(told["return_value"].get_extra_info("socket").dup())
            if self.over:
                self._end()

    def _end(self) -> None:
        with self._lock:
            self.over = True
            for each in self._sockets:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)


def is_public(address: Address) -> bool:
    """Whether an address is one of the open internet, also of what it carries inside (RFC 4291, 6052, 3056, 4380)."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _COMPATIBLE or address in _NAT64_LOCAL:
            return False
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _pinned(url: httpx.URL, *, trusted: bool = False) -> httpx.URL:
    return url.copy_with(host=str(_resolved(url, trusted=trusted)))


def _resolved(url: httpx.URL, *, trusted: bool) -> Address:
    """The address to connect to. One private address among several refuses the name: which is asked is chance."""
    host = url.raw_host.decode("ascii")
    try:
        rows = socket.getaddrinfo(host.strip("[]"), url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"There is no {url.host}.") from None
    found = [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in rows]
    if not trusted and url.host not in settings.FETCH_PRIVATE_HOSTS and not all(map(is_public, found)):
        raise Refused(
            f"{url.host} is inside a private network, which is not asked.",
            "Add the page as a file, or ask whoever runs Onepane to allow the host (FETCH_PRIVATE_HOSTS).",
        )
    return found[0]


def _headers(url: httpx.URL) -> dict[str, str]:
    return {"Host": url.netloc.decode("ascii"), "Accept-Encoding": "identity"}


def _sni(url: httpx.URL) -> dict[str, str]:
    """The name that the certificate must be for, though the connection goes to a number."""
    return {"sni_hostname": url.raw_host.decode("ascii")} if url.scheme == "https" else {}


def _read(response: httpx.Response, most: int, *, cut: bool) -> bytes:
    data = bytearray()
    for piece in response.iter_bytes():
        data += piece
        if len(data) > most:
            if cut:
                break
            limit = f"{most / 1e6:g} MB"
            raise Refused(f"The page is over {limit}.", "Save it, and add the part you need as a file.")
    return bytes(data[:most])


def _too_slow() -> Refused:
    return Refused("The page took too long to come.", "Try again later, or add it as a file.")


def _fetched(url: httpx.URL, data: bytes, told: str) -> Fetched:
    media_type, _, more = told.partition(";")
    media_type = media_type.strip().lower()
    if media_type.startswith("text/") and (named := _CHARSET.search(more)):
        with contextlib.suppress(UnicodeDecodeError, LookupError):  # what only this header says would be lost
            data = data.decode(named[1]).encode()
    name = PurePosixPath(unquote(url.path)).name or "page"
    suffix = {"text/html": ".html", "application/xhtml+xml": ".html", "application/pdf": ".pdf", "text/csv": ".csv"}
    ending = suffix.get(media_type, "")
    return Fetched(
        data=data, url=str(url), media_type=media_type, name=name if name.endswith(ending) else name + ending
    )
