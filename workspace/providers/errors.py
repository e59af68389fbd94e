"""Foreign errors become ours in one place: a status, a body or an exception in, a ``ProviderError`` out.

Each has a cause and a next step in words, says if trying again can help, and never holds a key.
"""

from __future__ import annotations

import math
import re
import socket
import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import orjson

from workspace.providers.base import ProviderError, Wire
from workspace.types import Failure

MAX_WAIT = 3_600.0  # seconds of a retry hint that are believed
MAX_SAID = 300  # characters of a provider's own words

ACTIONS = {
    "auth": "Check the key in Providers.",
    "permission": "Ask the provider for access, or choose another model.",
    "not_found": "Check the model's name and the address in Providers.",
    "bad_request": "Change the message or the model's parameters.",
    "context_overflow": "Start a new chat, or choose a model with a longer window.",
    "rate_limited": "Wait a moment and retry, or choose another model.",
    "quota": "Add credit at the provider, or choose another model.",
    "overloaded": "Retry in a moment, or choose another model.",
    "server_error": "Retry, or choose another model.",
    "unreachable": "Start the server at that address, or correct it in Providers.",
    "timeout": "Retry, or choose another model.",
    "cut_off": "Retry for a whole answer.",
    "garbage": "Check that the address speaks this protocol.",
    "refused_content": "Change the message, or choose another model.",
    "out_of_memory": "Choose a smaller model, or retry later.",
}
CAUSES = {
    "auth": "The provider refused the key.",
    "permission": "The key may not use this model.",
    "not_found": "The provider does not know this model or address.",
    "bad_request": "The provider refused the request.",
    "context_overflow": "The conversation is longer than the model's window.",
    "rate_limited": "The provider takes no more requests for now.",
    "quota": "The provider's credit is used up.",
    "overloaded": "The provider is overloaded.",
    "server_error": "The provider failed.",
    "unreachable": "The provider can't be reached.",
    "timeout": "The provider did not answer in time.",
    "cut_off": "The connection broke before the answer was complete.",
    "garbage": "The provider's answer can't be read.",
    "refused_content": "The provider refused to answer this.",
    "out_of_memory": "The model ran out of memory.",
}
PERMANENT = {
    "auth",
    "permission",
    "not_found",
    "bad_request",
    "context_overflow",
    "quota",
    "refused_content",
    "garbage",
}

_BY_STATUS = {401: "auth", 402: "quota", 403: "permission", 404: "not_found", 408: "timeout", 413: "context_overflow",
              429: "rate_limited", 503: "overloaded", 504: "timeout", 529: "overloaded"}  # fmt: skip
_BY_WORD = (
    (r"insufficient_quota|credit_balance|exceeded your current quota|billing", "quota"),
    (
        r"context_length|context window|maximum context|too many tokens|prompt is too long|exceed_context",
        "context_overflow",
    ),
    (r"out of memory|cuda oom|insufficient memory|requires more system memory", "out_of_memory"),
    (r"invalid[_ ]api[_ ]key|incorrect api key|authentication_error|unauthorized", "auth"),
    (r"overloaded|model_overloaded|at capacity", "overloaded"),
    (r"rate[_ ]limit|too many requests|resource_exhausted", "rate_limited"),
    (r"model_not_found|does not exist|model .{1,80} not found", "not_found"),
    (r"content_filter|content_policy|safety", "refused_content"),
)
PROXY = "Let the proxy pass this host, or correct the address in Providers."
OTHER_KIND = "Choose the kind of this server in Providers, or correct its address."
_RETRY_CONNECTING = "Retry, or correct the address in Providers."
# What lies beneath a connection that failed: kinds of error, the cause in words, what to do. The first that fits.
_UNREACHED: tuple[tuple[tuple[type[BaseException], ...], str, str], ...] = (
    ((httpx.ProxyError,), "The proxy on the way to {host} refused or can't be reached.", PROXY),
    ((socket.gaierror,), "No host called {host} is found.", "Correct the address in Providers, or check the network."),
    (
        (ssl.SSLCertVerificationError, ssl.CertificateError),
        "The certificate of {host} can't be trusted.",
        "Renew it, or name its authority in the server's environment (SSL_CERT_FILE).",
    ),
    (
        (ssl.SSLError,),
        "{host} does not speak TLS as it should.",
        "Check whether the address begins with http:// or https://, and its port.",
    ),
    ((ConnectionRefusedError,), "Nothing listens at {address}.", ACTIONS["unreachable"]),
    (
        (ConnectionResetError, aiohttp.ServerDisconnectedError),
        "{host} closed the connection without an answer.",
        "Check whether the address begins with http:// or https://, and its port.",
    ),
    ((httpx.ConnectTimeout,), "{host} does not answer: connecting took too long.", _RETRY_CONNECTING),
    (
        (httpx.UnsupportedProtocol, httpx.InvalidURL),
        "{address} is no address of a server.",
        "Correct the address in Providers.",
    ),
)
_WAIT = re.compile(r"(?:try again|retry) in ((?:\d+h)?(?:\d+m(?!s))?(?:[\d.]+(?:ms|s| seconds?))?)", re.I)


def failed(
    code: str,
    said: str = "",
    *,
    why: str = "",
    action: str = "",
    retry_after: float | None = None,
    wire: Wire | None = None,
    finish_reason: str = "",
) -> ProviderError:
    """An error of one of our codes. ``said`` is what the provider said, in its words; ``why`` and ``action`` are ours
    where they can be closer than the code's."""
    said = _safe(said)
    failure = Failure(
        code=code,
        cause=(why or CAUSES[code]) + (f" It says: {said}" if said else ""),
        action=action or ACTIONS[code],
        permanent=code in PERMANENT,
        retry_after=retry_after,
    )
    return ProviderError(failure, wire=wire, finish_reason=finish_reason)


def from_response(status: int, headers: Mapping[str, str], body: bytes, *, address: str = "") -> ProviderError:
    """An HTTP answer that is an error. The body may be JSON of any shape, HTML or nothing."""
    if 300 <= status < 400:
        return _elsewhere(headers.get("location", ""))
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _from_page(status, headers, body, address=address)
    return _from_content(content, status=status, headers=headers)


def no_api(address: str) -> ProviderError:
    """Something answers, but with a page for people."""
    return failed("garbage", why="A web page answers there, not a model's API.", action=_address_action(address))


def from_object(error: Any, *, finish_reason: str = "") -> ProviderError:
    """An error that came inside a stream: an object, or only words."""
    return _from_content({"error": error}, status=0, headers={}, finish_reason=finish_reason)


def from_exception(error: Exception, *, address: str = "") -> ProviderError:
    """A failure of the transport: before anything was sent, while it was waited for, or half-way."""
    before = (httpx.ConnectTimeout, httpx.ConnectError, httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.ProxyError)
    if isinstance(error, before):
        return _unreached(error, address)
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return failed("timeout")
    return failed("cut_off")


def code_of(status: int, said: str) -> str:
    """Words before the status: a 429 may be an empty purse, and a 400 a wrong key."""
    for pattern, code in _BY_WORD:
        if re.search(pattern, said, re.I) and not (status in (401, 403, 404) and code == "rate_limited"):
            return code
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return "bad_request" if 400 <= status < 500 else "server_error"


def _unreached(error: Exception, address: str) -> ProviderError:
    """Why no connection came about, by the kinds of error beneath this one."""
    beneath, host = _beneath(error), urlsplit(address).hostname or "that address"
    for kinds, why, action in _UNREACHED:
        if isinstance(error, kinds) or any(isinstance(one, kinds) for one in beneath):
            return failed("unreachable", why=why.format(host=host, address=address or host), action=action)
    return failed("unreachable", why=f"There is no connection to {address}." if address else "")


def _beneath(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    pending: list[Any] = [error]
    while pending and len(found) < 20:
        one = pending.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            pending += [one.__cause__, one.__context__, getattr(one, "os_error", None)]
    return found


def _elsewhere(location: str) -> ProviderError:
    to = urlsplit(location)
    where = f" to {to.scheme}://{to.netloc.rpartition('@')[2]}{to.path}" if to.netloc else ""
    return failed(
        "not_found",
        why=f"The address leads on{where}, and keys are not sent after it.",
        action="Enter the address it leads to in Providers." if where else "Correct the address in Providers.",
    )


def _from_page(status: int, headers: Mapping[str, str], body: bytes, *, address: str) -> ProviderError:
    """An error that is no JSON: a page of a server in between, plain words, or nothing."""
    said = _words_of_page(body)
    code = code_of(status, said)
    wait, wire = hint(headers, said), Wire(status=status)
    if code == "not_found":
        why = f"Nothing is found at {address}." if address else ""
        return failed(code, said, why=why, action=_address_action(address), retry_after=wait, wire=wire)
    if status == 407:
        return failed(code, said, why="A proxy on the way wants a password.", action=PROXY, wire=wire)
    why = f"{CAUSES[code].rstrip('.')} (HTTP {status})."
    return failed(code, said, why=why, retry_after=wait, wire=wire)


def _address_action(address: str) -> str:
    if not address or urlsplit(address).path.strip("/"):
        return ACTIONS["not_found"]
    return "Correct the address in Providers: most end in /v1, and this one has no path."


def _from_content(content: Any, *, status: int, headers: Mapping[str, str], finish_reason: str = "") -> ProviderError:
    wire, error = _wire_of(content, status)
    said = _inner_words(wire.message or "", error)
    number = int(str(wire.code)) if re.fullmatch(r"[45]\d\d", str(wire.code)) else 0
    code = code_of(status or number or 500, f"{wire.type or ''} {wire.code or ''} {said}")
    wait = hint(headers, said) or _retry_info(error)
    why = "" if said or not status else f"{CAUSES[code].rstrip('.')} (HTTP {status})."
    return failed(code, said, why=why, retry_after=wait, wire=wire, finish_reason=finish_reason)


def _wire_of(content: Any, status: int) -> tuple[Wire, Mapping[str, Any]]:
    """Every dialect's error: an object under ``error``, a string there, or all of it flat; Google's in a list."""
    if isinstance(content, list) and content:
        content = content[0]
    if not isinstance(content, dict):
        return Wire(status=status or None), {}
    error = content.get("error") or content
    if isinstance(error, str):
        return Wire(code=content.get("code"), message=error, status=status or None), {}
    if not isinstance(error, dict):
        return Wire(status=status or None), {}
    said = error.get("message") or error.get("detail")
    message = said if isinstance(said, str) or said is None else orjson.dumps(said).decode()
    wire = Wire(
        type=error.get("type") or error.get("status"), code=error.get("code"), message=message, status=status or None
    )
    return wire, error


def _inner_words(message: str, error: Mapping[str, Any]) -> str:
    """The cause itself, where a go-between wrapped it: OpenRouter's ``metadata.raw``, Google's JSON in JSON."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if isinstance(raw, str) and raw:
        message = f"{message}: {raw}"
    if message.lstrip().startswith("{"):
        try:
            return _wire_of(orjson.loads(message), 0)[0].message or message
        except orjson.JSONDecodeError:
            pass
    return message


def _words_of_page(body: bytes) -> str:
    text = body.decode("utf-8", "replace")
    title = re.search(r"<title>(.*?)</title>", text, re.S | re.I)
    return " ".join(title[1].split()) if title else "" if "<" in text else text.strip()


def _retry_info(error: Mapping[str, Any]) -> float | None:
    """Google's ``RetryInfo``: a number and an ``s``."""
    for detail in error.get("details") or []:
        delay = detail.get("retryDelay") if isinstance(detail, dict) else None
        if isinstance(delay, str) and re.fullmatch(r"[\d.]+s", delay):
            return min(_seconds(delay[:-1]), MAX_WAIT) or None
    return None


def hint(headers: Mapping[str, str], said: str) -> float | None:
    """Seconds until it may work again, by header or by the words."""
    for name, scale in (("retry-after", 1.0), ("retry-after-ms", 0.001)):
        seconds = _seconds(headers.get(name, "")) * scale
        if seconds > 0:
            return min(seconds, MAX_WAIT)
    if (found := _WAIT.search(said)) and found[1]:
        units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, " second": 1.0, " seconds": 1.0}
        parts = re.findall(r"([\d.]+)(ms|h|m|s| seconds?)", found[1])
        wait = sum(max(_seconds(number), 0.0) * units[unit] for number, unit in parts)
        return min(wait, MAX_WAIT) or None
    return None


def _seconds(written: str) -> float:
    """A number, or a date of HTTP as the time until then; 0 when it is neither."""
    try:
        seconds = float(written)
    except ValueError:
        try:
            return parsedate_to_datetime(written).timestamp() - time.time()
        except (ValueError, OverflowError):
            return 0.0
    return 0.0 if math.isnan(seconds) else seconds


def _safe(said: str) -> str:
    said = re.sub(r"\b(sk|key|gsk|xai|AIza)[-_A-Za-z0-9*.]{8,}", "(key)", " ".join(said.split()))
    return said if len(said) <= MAX_SAID else said[:MAX_SAID] + " …"
