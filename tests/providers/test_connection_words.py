"""*Test connection*: what a person reads for each thing that can be wrong, with what to do next."""

from __future__ import annotations

import html
import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.providers import http
from workspace.providers.base import Address, ProviderError
from workspace.providers.errors import ACTIONS, CAUSES, PERMANENT, from_response
from workspace.providers.models import Provider, ProviderVersion
from workspace.providers.registry import provider

BASE = "http://farm.example/v1"


def beneath(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def said(status: int, words: str = "", **headers: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"message": words}}, headers=headers)


def connecting(cause: BaseException) -> Exception:
    return beneath(httpx.ConnectError("x"), cause)


# What went wrong, what came of it, and what the person reads.
WRONG: dict[str, tuple[httpx.Response | Exception, str, str]] = {
    "wrong key": (said(401, "Invalid bearer token"), "refused the key. It says: Invalid", "Check the key"),
    "wrong key, told as 400": (said(400, "API key not valid. Incorrect API key"), "refused the key", "Check the key"),
    "no access": (said(403, "Your region"), "may not use this model", "Ask the provider for access"),
    "no credit": (said(429, "You exceeded your current quota"), "credit is used up", "Add credit"),
    "no credit, told as 402": (said(402, "Payment"), "credit is used up", "Add credit"),
    "unknown model": (said(404, "model plum-1 not found"), "does not know this model", "Check the model's name"),
    "rate limited": (said(429, "Slow down"), "takes no more requests for now", "Wait a moment"),
    "overloaded": (said(529, ""), "is overloaded (HTTP 529).", "Retry in a moment"),
    "failed": (httpx.Response(500, text=""), "The provider failed (HTTP 500).", "Retry"),
    "host not found": (connecting(socket.gaierror(-2, "x")), "No host called farm.example is found.", "Correct the"),
    "refused": (connecting(ConnectionRefusedError()), f"Nothing listens at {BASE}.", "Start the server"),
    "untrusted certificate": (connecting(ssl.SSLCertVerificationError()), "can't be trusted.", "Renew it"),
    "no TLS": (connecting(ssl.SSLError()), "does not speak TLS as it should.", "begins with http:// or https://"),
    "closed": (connecting(ConnectionResetError()), "closed the connection without an answer.", "http:// or https://"),
    "slow to connect": (httpx.ConnectTimeout("x"), "connecting took too long.", "Retry"),
    "slow to answer": (httpx.ReadTimeout("x"), "did not answer in time.", "Retry"),
    "proxy": (httpx.ProxyError("x"), "The proxy on the way to farm.example", "Let the proxy pass"),
    "proxy wants a password": (httpx.Response(407, text=""), "A proxy on the way wants a password.", "Let the proxy"),
    "page of a proxy": (httpx.Response(502, html="<title>Bad gateway</title>"), "It says: Bad gateway", "Retry"),
    "page in place of JSON": (httpx.Response(200, html="<p>Welcome"), "A web page answers there", "Check the model's"),
    "redirect": (
        httpx.Response(301, headers={"location": "https://barn.example/v1/models?token=x"}),
        "leads on to https://barn.example/v1/models,", "Enter the address it leads to",
    ),
    "wrong path": (httpx.Response(404, html="<title>404</title>"), f"Nothing is found at {BASE}.", "Check the model's"),
    "another protocol": (
        httpx.Response(200, json={"models": []}), "but not with a list of models.", "Choose the kind of this server",
    ),
    "a list of nothing known": (httpx.Response(200, json=[1]), "but not with a list", "Choose the kind"),
}  # fmt: skip


@pytest.fixture
def farm(db: None, client: Client, alice: Person) -> Provider:
    client.force_login(alice)
    add_model("plum", at="farm")
    farm = Provider.objects.get(name="farm")
    return addressed(farm, BASE)


def addressed(farm: Provider, base_url: str, *, kind: str = "openai", variable: str = "") -> Provider:
    farm.current = ProviderVersion.objects.create(
        provider=farm, number=farm.versions.count() + 1, kind=kind, base_url=base_url, key_variable=variable
    )
    farm.save()
    return farm


def answering(monkeypatch: pytest.MonkeyPatch, answer: httpx.Response | Exception) -> None:
    def give(_request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    served = httpx.AsyncClient(transport=httpx.MockTransport(give))
    monkeypatch.setattr(http, "client", lambda socket="": served)


def read(client: Client, farm: Provider) -> str:
    shown = client.post(reverse("admin:providers_provider_test", args=[farm.pk]), follow=True)
    return html.unescape(shown.text)


@pytest.mark.parametrize("wrong", WRONG)
def test_the_person_reads_what_is_wrong_and_what_to_do(
    farm: Provider, client: Client, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    answer, cause, action = WRONG[wrong]
    answering(monkeypatch, answer)
    shown = read(client, farm)
    assert cause in shown
    assert action in shown[shown.index(cause) :]
    assert "Traceback" not in shown and "token=x" not in shown
    if isinstance(answer, Exception):
        assert "It says:" not in shown  # our own words are not put into its mouth


@pytest.mark.parametrize("answer", [httpx.Response(404, text="404 page not found"), httpx.Response(200, html="<p>Hi")])
def test_an_address_without_a_path_is_told_that_most_end_in_v1(
    farm: Provider, client: Client, monkeypatch: pytest.MonkeyPatch, answer: httpx.Response
) -> None:
    addressed(farm, "http://farm.example")
    answering(monkeypatch, answer)
    assert "most end in /v1, and this one has no path." in read(client, farm)


def test_a_key_that_is_missing_in_the_environment_is_named(
    farm: Provider, client: Client, settings: LazySettings
) -> None:
    settings.PROVIDER_KEYS = {**settings.PROVIDER_KEYS, "GROQ_API_KEY": ""}
    addressed(farm, BASE, variable="GROQ_API_KEY")
    assert "GROQ_API_KEY is not set" in read(client, farm)


def test_models_that_are_not_served_are_named(farm: Provider, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, httpx.Response(200, json={"data": [{"id": "pear"}]}))
    shown = read(client, farm)
    assert "farm answers and serves 1 model." in shown
    assert "It does not list plum. Check the name there." in shown
    answering(monkeypatch, httpx.Response(200, json={"data": [{"id": "plum"}]}))
    assert "It does not list" not in read(client, farm)


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


@pytest.fixture
def port() -> Iterator[int]:
    server = HTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


async def cause_of(base_url: str) -> str:
    with pytest.raises(ProviderError) as raised:
        await provider("openai").models(Address(base_url=base_url, key="sk-farm-0123456789"))
    await http.close()
    return raised.value.failure.cause


async def test_the_transport_itself_tells_these_apart(port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = free.getsockname()[1]
        assert await cause_of(f"http://127.0.0.1:{nobody}/v1") == f"Nothing listens at http://127.0.0.1:{nobody}/v1."
    assert await cause_of(f"https://127.0.0.1:{port}/v1") == "127.0.0.1 does not speak TLS as it should."
    assert "Nothing is found at" in await cause_of(f"http://127.0.0.1:{port}/v1")
    assert await cause_of("http://no such host/v1") != ""


def test_every_code_has_its_cause_and_its_next_step() -> None:
    assert set(CAUSES) == set(ACTIONS)
    assert set(CAUSES) >= PERMANENT
    assert all(words.endswith(".") for words in [*CAUSES.values(), *ACTIONS.values()])


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "12"}, {}, 12),
        ({"retry-after-ms": "0", "retry-after": "1"}, {}, 1),
        ({"retry-after": "999999"}, {}, 3600),
        ({}, {"message": "Please try again in 17.359s."}, 17.359),
        ({}, {"message": "Please retry in 48.939s."}, 48.939),
        ({}, {"details": [{"retryDelay": "48s"}], "message": "later"}, 48),
        ({}, {"details": [{"retryDelay": "48.5.1s"}], "message": "later"}, None),
        ({}, {"message": "try again in 1.2.3s"}, None),
        ({"retry-after": "nan"}, {}, None),
        ({"retry-after": "-1"}, {}, None),
        ({"retry-after": "inf"}, {}, 3600),
    ],
)
def test_a_retry_hint_is_read_in_every_form_and_capped(headers: Any, body: Any, seconds: float | None) -> None:
    content = httpx.Response(429, json={"error": body}).content
    wait = from_response(429, headers, content).failure.retry_after
    assert wait == (pytest.approx(seconds) if seconds else None)


@pytest.mark.parametrize(("ahead", "least", "most"), [(90, 60, 90), (-90, None, None), (9_000_000, 3600, 3600)])
def test_a_date_to_retry_after_is_read_as_the_time_until_then(ahead: int, least: Any, most: Any) -> None:
    at = timezone.now() + timedelta(seconds=ahead)
    wait = from_response(429, {"retry-after": format_datetime(at, usegmt=False)}, b"{}").failure.retry_after
    assert wait is None if least is None else (wait is not None and least <= wait <= most)
