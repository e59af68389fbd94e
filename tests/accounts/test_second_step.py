"""An authenticator app, recovery codes, and what stands in for them. Passkeys are in tests/browser."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from workspace.accounts import links
from workspace.accounts.models import Person

PASSWORD = "an orchard in winter"


NOW = 58_000_000  # half minutes


@pytest.fixture(autouse=True)
def no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test takes no time, so no code runs out between its making and its typing."""
    monkeypatch.setattr(auth, "yield_hotp_counters_from_time", lambda: iter([NOW]))


def code(secret: str) -> str:
    return auth.format_hotp_value(auth.hotp_value(secret, NOW))


def with_password(client: Client) -> str:
    return str(client.post("/sign-in/", {"login": "alice", "password": PASSWORD})["Location"])


def who(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


@pytest.fixture
def secret(alice: Person) -> str:
    """Alice's authenticator app."""
    secret = generate_totp_secret()
    TOTP.activate(alice, secret)
    return secret


def test_an_app_is_added_after_the_password_was_shown_again(client: Client, alice: Person) -> None:
    client.force_login(alice)
    assert client.get("/account/app/")["Location"] == "/account/confirm/?next=%2Faccount%2Fapp%2F"
    confirmed = client.post("/account/confirm/?next=/account/app/", {"password": PASSWORD})
    assert confirmed["Location"] == "/account/app/"
    found = re.search(r'readonly value="([A-Z2-7]{32})"', client.get("/account/app/").text)
    assert found is not None
    assert "does not fit" in client.post("/account/app/", {"code": "000000"}).text
    assert client.post("/account/app/", {"code": code(found[1])})["Location"] == "/account/codes/"
    codes = re.findall(r"<li>(\d{8})</li>", client.get("/account/codes/").text)
    assert len(codes) == 10
    assert client.get("/account/codes/recovery-codes.txt").text.split()[-1] == codes[-1]
    stored = str(Authenticator.objects.values_list("data", flat=True))
    assert found[1] not in stored and codes[0] not in stored

    other = Client()
    assert with_password(other) == "/sign-in/second-step/"
    assert who(other) is None and other.get("/account/").status_code == 302
    assert other.post("/sign-in/second-step/", {"code": codes[0]})["Location"] == "/"
    assert who(other) == str(alice.pk)
    again = Client()
    with_password(again)
    assert "does not fit" in again.post("/sign-in/second-step/", {"code": codes[0]}).text  # each is good once


def test_the_code_of_the_app_is_good_once(client: Client, alice: Person, secret: str) -> None:
    now = code(secret)
    assert with_password(client) == "/sign-in/second-step/"
    assert client.post("/sign-in/second-step/", {"code": now}).status_code == 302
    assert who(client) == str(alice.pk)
    watcher = Client()
    with_password(watcher)
    assert "does not fit" in watcher.post("/sign-in/second-step/", {"code": now}).text
    assert who(watcher) is None


def test_guesses_at_a_code_are_bounded(client: Client, secret: str) -> None:
    with_password(client)
    for _ in range(8):
        assert "does not fit" in client.post("/sign-in/second-step/", {"code": "12345678"}).text
    assert "Too many" in client.post("/sign-in/second-step/", {"code": code(secret)}).text
    assert who(client) is None


def test_the_second_step_is_no_page_without_the_first(client: Client, secret: str) -> None:
    assert client.get("/sign-in/second-step/")["Location"] == "/sign-in/"
    assert client.post("/sign-in/second-step/", {"code": code(secret)})["Location"] == "/sign-in/"


def test_a_link_stands_for_the_password_alone(client: Client, alice: Person, secret: str) -> None:
    assert client.get(f"/sign-in/{links.make(alice)}/")["Location"] == "/sign-in/second-step/"
    assert who(client) is None
    client.post("/sign-in/second-step/", {"code": code(secret)})
    assert who(client) == str(alice.pk)


def test_removing_the_app_takes_its_recovery_codes_along(client: Client, alice: Person, secret: str) -> None:
    with_password(client)
    client.post("/sign-in/second-step/", {"code": code(secret)})
    client.post("/account/confirm/", {"password": PASSWORD})
    assert client.post("/account/codes/new/")["Location"] == "/account/codes/"
    assert Authenticator.objects.count() == 2
    assert client.post("/account/app/remove/")["Location"] == "/account/"
    assert not Authenticator.objects.exists()
    assert with_password(Client()) == "/"


def test_an_admin_removes_the_second_steps_of_who_lost_them(client: Client, alice: Person, bob: Person) -> None:
    TOTP.activate(bob, generate_totp_secret())
    theirs = Client()
    theirs.force_login(bob)
    client.force_login(alice)
    page = reverse("admin:accounts_person_second_steps", args=[bob.pk])
    assert "TOTP" in client.get(reverse("admin:accounts_person_change", args=[bob.pk])).text
    assert client.post(page).status_code == 302
    assert not Authenticator.objects.exists()
    assert theirs.get("/account/").status_code == 302  # they notice


def test_the_command_removes_those_of_the_owner(client: Client, alice: Person, secret: str) -> None:
    call_command("sign_in_link")
    assert Authenticator.objects.exists()
    call_command("sign_in_link", "--without-second-step")
    assert not Authenticator.objects.exists()


def test_under_another_secret_key_no_code_fits(client: Client, secret: str, settings: LazySettings) -> None:
    settings.SECRET_KEY = "another"
    with_password(client)
    for seed in (secret, ""):
        assert "does not fit" in client.post("/sign-in/second-step/", {"code": code(seed)}).text
    assert who(client) is None
