"""A key that a server sends back, in whatever way: it is in no event, error, log, traceback, page or row."""

from __future__ import annotations

import base64
import html
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import orjson
import pytest
from django.core import serializers
from django.core.management import call_command
from django.test import Client, RequestFactory
from django.urls import reverse
from django.views.debug import ExceptionReporter

from tests.providers.upstream import Body, call, events, upstream
from tests.scripted import add_model
from workspace.accounts.models import Person
from workspace.providers.base import Address, Call, ProviderError
from workspace.providers.masking import SHORTEST, Mask
from workspace.providers.models import LanguageModel, Provider, ProviderVersion
from workspace.providers.registry import provider
from workspace.providers.secrets import encrypt
from workspace.router.execute import Execution
from workspace.types import PromptMessage, Request, text_part

KEY = "orchard/9+Zq_Planted-Key=7341&x"  # of no known pattern, with every sign that is escaped somewhere
PROTOCOLS = ("openai", "openai-responses", "anthropic", "gemini")


def forms(key: str) -> dict[str, str]:
    """The key as servers echo it."""
    return {
        "plain": key,
        "url": quote(key, safe=""),
        "html": html.escape(key),
        "json": "".join(f"\\u{ord(sign):04x}" for sign in key),
        "slashes": key.replace("/", "\\/"),
        "base64": base64.b64encode(key.encode()).decode(),
        "basic": base64.b64encode(f":{key}".encode()).decode(),
        "urlsafe": base64.urlsafe_b64encode(f"me:{key}".encode()).decode(),
    }


def found_in(said: str, key: str = KEY) -> list[str]:
    """Which forms of the key stand there, or a good part of one, however often it is escaped."""
    bare = said.replace("\\", "")
    halves = {name: form[3:23].replace("\\", "") for name, form in forms(key).items()}
    return [name for name, half in halves.items() if half in bare]


def error(words: str) -> bytes:
    return b'{"error":{"message":"refused: %b","type":"%b","code":"%b"}}' % ((words.encode(),) * 3)


def refused(status: int, body: bytes, **headers: str) -> httpx.Response:
    return httpx.Response(status, content=body, headers={"content-type": "application/json", **headers})


FAILURES: dict[str, Callable[[str], Any]] = {
    "error body": lambda form: refused(401, error(form)),
    "long error body": lambda form: refused(400, error("x" * 275 + form)),
    "flat error": lambda form: refused(422, b'{"object":"error","message":"%b"}' % form.encode()),
    "header": lambda form: refused(429, b"", **{"retry-after": form, "www-authenticate": form}),
    "words": lambda form: refused(500, b"trouble with " + form.encode()),
    "page": lambda form: httpx.Response(502, html=f"<html><title>Bad {form}</title><p>{form}</p></html>"),
    "redirect": lambda form: refused(302, b"", location=f"https://elsewhere.invalid/{form}?key={form}"),
    "error in the stream": lambda form: events(b"event: error\ndata: " + error(form) + b"\n\n"),
    "error field": lambda form: events(b"error: it broke with " + form.encode() + b"\n\n"),
    "no JSON in the stream": lambda form: events(b"data: <" + form.encode() + b">\n\n"),
    "a stream in pieces": lambda form: events(*(bytes([one]) for one in b"data: " + error(form) + b"\n\n")),
    "another shape": lambda form: events(b'data: {"choices":"%b","type":"%b"}\n\n' % ((form.encode(),) * 2)),
    "200 with an error": lambda form: refused(200, error(form)),
    "200 that is no JSON": lambda form: refused(200, b"<" + form.encode()),
    "cut off in the header": lambda form: events(b"data: {", httpx.ReadError(form)),
    "no connection": lambda form: httpx.ConnectError(form),
    "no such address": lambda form: httpx.InvalidURL(form),
    "broken TLS": lambda form: httpx.ProxyError(form),
    "too slow": lambda form: httpx.ReadTimeout(form),
}


def asked(kind: str, key: str = KEY) -> Call:
    address = Address(base_url="https://server.invalid/v1", key=key)
    return Call(address=address, model="m", messages=call().messages)


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", PROTOCOLS)
async def test_a_key_sent_back_is_in_nothing_that_comes_out(
    kind: str, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, form in forms(KEY).items():
        said: list[Any] = []
        with upstream(FAILURES[failure](form)):
            one = await failing(kind, said)
        trace = "".join(traceback.format_exception(one))
        for out in (repr(said), repr(one.failure), repr(one.wire), repr(one), str(one), caplog.text, trace):
            assert found_in(out) == [], name
        with upstream(FAILURES[failure](form)):
            listing = await refusal(kind)
        assert found_in(f"{listing.failure!r} {listing.wire!r} {caplog.text}") == [], name


async def refusal(kind: str) -> ProviderError:
    with pytest.raises(ProviderError) as raised:
        await provider(kind).models(asked(kind).address)
    return raised.value


async def failing(kind: str, said: list[Any]) -> ProviderError:
    try:
        async for piece in provider(kind).stream(asked(kind)):
            said.append(piece)
    except ProviderError as error:
        return error
    raise AssertionError("it did not fail")


async def test_a_key_in_an_answer_is_masked_there() -> None:
    piece = {"choices": [{"delta": {"content": f"The key is {KEY}."}, "finish_reason": "stop"}]}
    with upstream(events(b"data: " + orjson.dumps(piece) + b"\n\n")):
        said = [one async for one in provider("openai").stream(asked("openai"))]
    assert "The key is (key)." in repr(said)


async def test_the_page_of_a_traceback_holds_no_key() -> None:
    with upstream(refused(500, b"x")):
        try:
            async for _ in provider("anthropic").stream(asked("anthropic")):
                pass
        except ProviderError as one:
            request = RequestFactory().get("/")
            page = ExceptionReporter(request, type(one), one, one.__traceback__).get_traceback_html()
    assert found_in(html.unescape(page)) == []
    assert "server.invalid" in page  # it does list the values


@pytest.mark.parametrize("key", ["none", "lm-studio", "x" * (SHORTEST - 1)])
def test_a_word_that_stands_for_a_key_is_no_secret(key: str) -> None:
    assert Mask(key)(f"Take {key} for it.".encode()) == f"Take {key} for it.".encode()


@pytest.mark.parametrize("before", ["", "a", "ab", "abc", "user:", "\N{SNOWMAN}"])
def test_base64_at_any_offset_is_found(before: str) -> None:
    coded = base64.b64encode(f"{before}{KEY} and more".encode())
    assert found_in(Mask(KEY)(coded).decode()) == []


@pytest.fixture
def planted(transactional_db: Any) -> Provider:
    model = add_model("plum", at="farm", price="1")
    farm = Provider.objects.get(name="farm")
    farm.current = ProviderVersion.objects.create(
        provider=farm, number=2, kind="openai", base_url="https://server.invalid/v1"
    )
    farm.encrypted_key = encrypt(KEY)
    farm.save()
    assert model.pk
    return farm


@pytest.mark.parametrize("failure", ["error body", "page", "redirect", "header", "200 that is no JSON"])
@pytest.mark.parametrize("page", ["test", "find"])
def test_no_page_of_the_admin_shows_it(
    planted: Provider, alice: Person, client: Client, monkeypatch: pytest.MonkeyPatch, failure: str, page: str
) -> None:
    from workspace.providers import http

    client.force_login(alice)
    answering = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: FAILURES[failure](KEY)))
    monkeypatch.setattr(http, "client", lambda socket="": answering)
    shown = client.post(reverse(f"admin:providers_provider_{page}", args=[planted.pk]), follow=True)
    assert shown.status_code == 200
    assert found_in(html.unescape(shown.text)) == []
    assert 'class="messagelist"' in shown.text or "messages" in shown.text


@pytest.mark.parametrize("failure", ["error body", "error in the stream", "another shape"])
async def test_no_event_manifest_or_export_of_a_run_holds_it(planted: Provider, failure: str) -> None:
    asked = Request(messages=(PromptMessage(role="person", parts=(text_part("Hello"),)),), model="plum")
    with upstream(*(FAILURES[failure](KEY) for _ in range(4))):
        told = [event async for event in Execution(asked).events()]
    assert "failure" in repr(told[-1])
    assert found_in(repr(told)) == []


def test_what_is_stored_and_exported_holds_no_key(planted: Provider) -> None:
    rows = [*Provider.objects.all(), *ProviderVersion.objects.all(), *LanguageModel.objects.all()]
    assert found_in(serializers.serialize("json", rows)) == []


def test_a_replay_prints_no_key(tmp_path: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    from tests.conformance.test_recorded import FOLDER

    folder = tmp_path / "openai_compatible"
    folder.mkdir()
    for source in (FOLDER / "openai_compatible").glob("azure-401*"):
        (folder / source.name).write_bytes(source.read_bytes())
    (folder / "azure-401.json").write_bytes(error("another error"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(SystemExit):
        call_command("provider_replay", str(tmp_path), "--json")
    assert json.loads(shown := capsys.readouterr().out)["differ"]
    assert found_in(shown) == []


def test_the_search_for_a_leak_would_see_one() -> None:
    assert all(found_in(f"... {form} ...") for form in forms(KEY).values())
    assert Body(b"x").closed is False
