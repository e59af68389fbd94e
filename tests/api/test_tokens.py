"""Personal tokens: made once, shown once, refused at once; and what besides a token opens nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.test import Client
from django.utils import timezone

from tests.scripted import add_model, say
from workspace.accounts.models import Person, Role
from workspace.api import bearer, tokens
from workspace.api.models import Token
from workspace.types import sha256
from workspace.writes import writer

PAGE = "/account/tokens/"


def make(client: Client, name: str = "A notebook", days: str = "90") -> str:
    answer = client.post(PAGE, {"name": name, "days": days})
    assert answer.status_code == 200, answer.text
    assert "no-store" in answer["Cache-Control"]
    (token,) = re.findall(r"op_[\w-]{43}", answer.text)
    return str(token)


def test_a_token_is_shown_once_and_only_its_digest_is_kept(client: Client, bob: Person) -> None:
    client.force_login(bob)
    token = make(client)
    row = Token.objects.get()
    assert (row.person, row.name, row.digest, row.prefix) == (bob, "A notebook", sha256(token), token[:8])
    assert row.expires and timedelta(days=89) < row.expires - timezone.now() < timedelta(days=91)
    page = client.get(PAGE).text
    assert token not in page and token[:8] in page and "A notebook" in page
    assert not any(token in str(value) for value in Token.objects.values_list().get())


def test_a_token_can_be_made_to_last(client: Client, bob: Person) -> None:
    client.force_login(bob)
    make(client, days="")
    assert Token.objects.get().expires is None


@pytest.mark.parametrize(
    "form", [{"name": "", "days": "90"}, {"name": "x" * 61, "days": "90"}, {"name": "x", "days": "7"}]
)
def test_a_form_that_makes_no_sense_makes_nothing(client: Client, bob: Person, form: dict[str, str]) -> None:
    client.force_login(bob)
    answer = client.post(PAGE, form)
    assert answer.status_code == 400 and 'role="alert"' in answer.text
    assert not Token.objects.exists()


def test_tokens_are_their_person_s_alone(client: Client, alice: Person, bob: Person, charlie: Person) -> None:
    row, _ = tokens.make(bob, name="Of Bob")
    for other in (alice, charlie):
        client.force_login(other)
        assert "Of Bob" not in client.get(PAGE).text
        assert client.post(f"{PAGE}{row.pk}/revoke/").status_code == 404
    client.force_login(bob)
    assert client.get(f"{PAGE}{row.pk}/revoke/").status_code == 405
    assert client.post(f"{PAGE}{row.pk}/revoke/").status_code == 302
    assert "Of Bob" not in client.get(PAGE).text
    assert client.post(f"{PAGE}{row.pk}/revoke/").status_code == 404


def test_a_viewer_makes_no_token(client: Client, bob: Person) -> None:
    Person.objects.filter(pk=bob.pk).update(role=Role.VIEWER)
    client.force_login(bob)
    assert "Make a token" not in client.get(PAGE).text
    assert client.post(PAGE, {"name": "x", "days": "90"}).status_code == 403
    assert not Token.objects.exists()


def test_a_stranger_has_no_page_of_tokens(client: Client, db: None) -> None:
    assert client.get(PAGE)["Location"] == f"/sign-in/?next={PAGE}"


async def status(door: httpx.AsyncClient, **headers: str) -> int:
    return (await door.get("/v1/models", headers=headers)).status_code


@pytest.mark.parametrize(
    "change",
    [
        {"revoked": timezone.now()},
        {"expires": timezone.now() - timedelta(seconds=1)},
        {"digest": "0" * 64},
    ],
)
async def test_a_token_that_has_ended_is_refused(door: httpx.AsyncClient, bobs: str, change: dict[str, Any]) -> None:
    assert await status(door) == 200
    await Token.objects.aupdate(**change)
    bearer.forget(sha256(bobs))
    assert await status(door) == 401


async def test_a_person_switched_off_is_refused_and_a_viewer_told_why(
    door: httpx.AsyncClient, bobs: str, bob: Person
) -> None:
    await Person.objects.filter(pk=bob.pk).aupdate(role=Role.VIEWER)
    answer = await door.get("/v1/models")
    assert (answer.status_code, answer.json()["error"]["type"]) == (403, "permission_error")
    await Person.objects.filter(pk=bob.pk).aupdate(is_active=False)
    bearer.forget(sha256(bobs))
    assert await status(door) == 401


async def test_a_token_revoked_on_its_page_is_refused_at_once(
    door: httpx.AsyncClient, bobs: str, bob: Person, client: Client
) -> None:
    assert await status(door) == 200
    row = await Token.objects.aget()
    await sync_to_async(client.force_login)(bob)
    assert (await sync_to_async(client.post)(f"{PAGE}{row.pk}/revoke/")).status_code == 302
    assert await status(door) == 401


async def test_a_token_revoked_elsewhere_is_refused_within_a_second(
    door: httpx.AsyncClient, bobs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await status(door) == 200
    await Token.objects.aupdate(revoked=timezone.now())
    known = bearer._known[sha256(bobs)]
    assert bearer.FRESH == 1.0
    known.at -= bearer.FRESH
    assert await status(door) == 401


async def test_what_is_known_is_read_again_beside_the_calls(door: httpx.AsyncClient, bobs: str) -> None:
    assert await status(door) == 200
    await Token.objects.aupdate(revoked=timezone.now())
    bearer._known[sha256(bobs)].at -= bearer.FRESH / 2
    assert await status(door) == 200  # what was known serves while it is read again
    while bearer._beside:
        await next(iter(bearer._beside))
    assert await status(door) == 401


async def test_when_it_was_used_last_is_noted_once_a_minute(door: httpx.AsyncClient, bobs: str) -> None:
    assert await status(door) == 200
    await writer.submit(lambda: None)
    first = (await Token.objects.aget()).last_used
    assert first
    bearer._noted.clear()
    assert await status(door) == 200
    await writer.submit(lambda: None)
    assert (await Token.objects.aget()).last_used == first
    await Token.objects.aupdate(last_used=first - tokens.USED_EVERY)
    bearer._noted.clear()
    assert await status(door) == 200
    await writer.submit(lambda: None)
    again = (await Token.objects.aget()).last_used
    assert again and again >= first


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Token {}", "Basic !!", "Bearer op_{}", "Bearer {}x"])
async def test_what_is_no_token_opens_nothing(door: httpx.AsyncClient, bobs: str, header: str) -> None:
    assert await status(door, Authorization=f"bearer  {bobs}") == 200
    assert await status(door, Authorization=header.format(bobs)) == 401


async def test_a_session_opens_nothing_here(door: httpx.AsyncClient, bob: Person) -> None:
    browser = Client()
    await sync_to_async(browser.force_login)(bob)
    assert (await sync_to_async(browser.get)(PAGE)).status_code == 200
    cookie = f"sessionid={browser.cookies['sessionid'].value}"
    assert await status(door, Cookie=cookie) == 401
    # The same by Django's own way through all the middleware.
    assert (await sync_to_async(browser.get)("/v1/models")).status_code == 401


async def test_no_page_of_another_site_may_ask(door: httpx.AsyncClient, bobs: str) -> None:
    answer = await door.options("/v1/models", headers={"Origin": "https://elsewhere.example"})
    assert answer.status_code == 405
    allowed = await door.get("/v1/models", headers={"Origin": "https://elsewhere.example"})
    assert not [name for name in (*answer.headers, *allowed.headers) if name.startswith("access-control")]


async def test_basic_takes_a_token_as_its_password_for_generate_alone(door: httpx.AsyncClient, bobs: str) -> None:
    await sync_to_async(add_model)("fast")
    say("Hi.")
    del door.headers["Authorization"]
    answer = await door.post("/api/generate", json={"prompt": "Hello", "model": "fast"}, auth=("anybody", bobs))
    assert (answer.status_code, answer.json()["response"]) == (200, "Hi.")
    assert (await door.get("/v1/models", auth=("anybody", bobs))).status_code == 401


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
async def test_what_a_form_of_another_site_can_send_is_no_call(door: httpx.AsyncClient, bobs: str, kind: str) -> None:
    del door.headers["Authorization"]
    answer = await door.post(
        "/api/generate", content=b'{"prompt": "Hello"}', headers={"Content-Type": kind}, auth=("anybody", bobs)
    )
    assert answer.status_code == 401
