"""Sessions end at once, at the next request and for open sockets, and nobody ends another person's."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from asgiref.sync import sync_to_async
from django.test import AsyncClient, Client

from workspace.accounts import sessions
from workspace.accounts.models import Person, Session
from workspace.hub import hub
from workspace.types import sha256

PASSWORD = "an orchard in winter"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
EDGE = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) (KHTML, like Gecko) Chrome/141.0 Safari/537.36 Edg/141.0"


def signed_in(person: Person, agent: str = FIREFOX) -> Client:
    browser = Client(headers={"User-Agent": agent})
    browser.force_login(person)
    assert browser.get("/account/").status_code == 200
    return browser


def is_in(browser: Client) -> bool:
    return browser.get("/account/").status_code == 200


def digest(browser: Client) -> str:
    return sha256(browser.session.session_key or "")


def test_one_sees_ones_own_browsers_and_ends_one_or_all_others(alice: Person, bob: Person) -> None:
    here, there, third = signed_in(alice), signed_in(alice, EDGE), signed_in(alice)
    bobs = signed_in(bob)
    page = here.get("/account/").text
    assert page.count("Firefox on Linux") == 2 and page.count("Edge on Windows") == 1
    assert "this browser" in page and digest(there) in page and digest(bobs) not in page
    here.post("/account/browsers/", {"browser": digest(there)})
    assert (is_in(here), is_in(there), is_in(third), is_in(bobs)) == (True, False, True, True)
    here.post("/account/browsers/", {"browser": digest(bobs)})
    assert is_in(bobs)
    here.post("/account/browsers/")
    assert (is_in(here), is_in(third), is_in(bobs)) == (True, False, True)


def test_signing_out_takes_the_row_along(alice: Person) -> None:
    here, there = signed_in(alice), signed_in(alice)
    here.post("/sign-out/")
    assert not is_in(here) and is_in(there)
    assert Session.objects.filter(person=alice).count() == 1


def test_a_new_password_signs_out_every_other_browser(alice: Person) -> None:
    here, there = signed_in(alice), signed_in(alice)
    new = {"password1": "a ladder at noon", "password2": "a ladder at noon", "oldpassword": PASSWORD}
    assert here.post("/account/password/", new).status_code == 302
    assert is_in(here) and not is_in(there)
    assert Session.objects.filter(person=alice).count() == 1


def test_a_stolen_key_is_worth_nothing_after_the_end(alice: Person) -> None:
    here = signed_in(alice)
    key = here.cookies["sessionid"].value
    sessions.end(alice)
    thief = Client()
    thief.cookies["sessionid"] = key
    assert not is_in(thief)


async def heard_of(person: Person) -> list[Any]:
    heard: list[Any] = []

    async def hear(frame: bytes) -> None:
        heard.append(orjson.loads(frame))

    await hub().listen(sessions.topic_of(person.pk), hear)
    return heard


@pytest.mark.django_db(transaction=True)
async def test_open_sockets_are_told(alice: Person, bob: Person) -> None:
    """Views run in threads of the server, and reach its loop."""
    heard, bobs = await heard_of(alice), await heard_of(bob)
    client = AsyncClient()
    await client.aforce_login(alice)
    key = (await client.asession()).session_key
    await sync_to_async(signed_in)(alice)
    await client.post("/account/browsers/")
    [told] = heard
    assert len(told["ended"]) == 1 and sha256(key or "") not in told["ended"]
    await client.post("/sign-out/")
    assert heard[1:] == [{"ended": [sha256(key or "")]}]
    await sync_to_async(sessions.end)(alice)
    assert heard[2:] == [{"ended": "all"}]
    assert bobs == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"role": "admin", "is_active": "on"}, [{"changed": True}]),
        ({"role": "viewer", "is_active": "on"}, [{"ended": "all"}, {"changed": True}]),
        ({"role": "member"}, [{"ended": "all"}, {"changed": True}]),
        ({"role": "member", "is_active": "on", "username": "robert"}, []),
    ],
)
async def test_what_an_admin_changes_is_told(
    alice: Person, bob: Person, given: dict[str, str], told: list[Any]
) -> None:
    heard = await heard_of(bob)
    client = AsyncClient()
    await client.aforce_login(alice)
    answer = await client.post(f"/admin/accounts/person/{bob.pk}/change/", {"username": "bob", **given})
    assert answer.status_code == 302
    assert heard == told
