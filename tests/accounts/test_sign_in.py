"""Name and password, a bound on guesses, a password of one's own, and what each role may do."""

from __future__ import annotations

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser
from django.test import Client

from workspace.accounts import links
from workspace.accounts.models import Person, Role
from workspace.accounts.rights import may_administer, may_chat

PASSWORD = "an orchard in winter"
NEW = {"password1": "a ladder at noon", "password2": "a ladder at noon"}
GUESSES_AT_A_NAME = 8


def sign_in(client: Client, password: str = PASSWORD, name: str = "alice", **extra: str) -> int:
    return client.post("/sign-in/", {"login": name, "password": password, **extra}).status_code


def test_name_and_password_sign_in(client: Client, alice: Person) -> None:
    assert sign_in(client) == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_wrong_name_and_a_wrong_password_look_alike(client: Client, alice: Person) -> None:
    wrong = client.post("/sign-in/", {"login": "alice", "password": "wrong"})
    absent = client.post("/sign-in/", {"login": "dora", "password": "wrong"})
    assert wrong.status_code == absent.status_code == 200
    for answer in (wrong, absent):
        assert "That name and password do not fit" in answer.text
        assert "_auth_user_id" not in answer.client.session


def test_somebody_switched_off_is_told_so_once_the_password_fits(client: Client, alice: Person) -> None:
    Person.objects.update(is_active=False)
    assert "do not fit" in client.post("/sign-in/", {"login": "alice", "password": "wrong"}).text
    answer = client.post("/sign-in/", {"login": "alice", "password": PASSWORD}, follow=True)
    assert "switched off" in answer.text
    assert "_auth_user_id" not in client.session
    Person.objects.update(is_active=True)
    assert sign_in(client) == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_guesses_at_a_name_are_bounded_wherever_they_come_from(client: Client, alice: Person, bob: Person) -> None:
    for number in range(GUESSES_AT_A_NAME):
        asked = {"REMOTE_ADDR": f"10.0.0.{number}", "HTTP_HOST": f"testserver:{8000 + number}"}
        client.post("/sign-in/", {"login": "alice", "password": "wrong"}, **asked)
    answer = client.post("/sign-in/", {"login": "ALICE", "password": PASSWORD})
    assert answer.status_code == 200
    assert "Too many wrong tries" in answer.text
    assert sign_in(client, "a boat under bridges", "bob") == 302  # another name is not held up


def test_right_passwords_are_not_counted(client: Client, alice: Person) -> None:
    for _ in range(GUESSES_AT_A_NAME + 1):
        assert sign_in(Client()) == 302


def test_guesses_from_an_address_are_bounded(client: Client, alice: Person, settings: LazySettings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "3/15m/ip"}
    for number in range(3):
        sign_in(client, "wrong", f"name{number}")
    assert sign_in(client) == 200
    elsewhere = client.post("/sign-in/", {"login": "alice", "password": PASSWORD}, REMOTE_ADDR="10.0.0.9")
    assert elsewhere.status_code == 302


def test_a_flood_from_an_address_is_told_to_wait(client: Client, alice: Person, settings: LazySettings) -> None:
    settings.ACCOUNT_RATE_LIMITS = {"login": "1/15m/ip"}
    assert sign_in(Client()) == 302
    answer = client.post("/sign-in/", {"login": "alice", "password": PASSWORD})
    assert answer.status_code == 429 and "Wait a quarter of an hour" in answer.text


@pytest.mark.parametrize(("proxies", "claimed"), [(0, "10.0.0.{}"), (1, "10.0.0.{}, 192.0.2.7")])
def test_an_address_is_not_believed_from_whoever_sends_it(
    client: Client, alice: Person, settings: LazySettings, proxies: int, claimed: str
) -> None:
    """Without a proxy the header says nothing; behind one only what the proxy itself has added does."""
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = proxies
    settings.ACCOUNT_RATE_LIMITS = {"login_failed": "3/15m/ip"}
    for number in range(3):
        headers = {"X-Forwarded-For": claimed.format(number)}
        client.post("/sign-in/", {"login": f"name{number}", "password": "wrong"}, headers=headers)
    headers = {"X-Forwarded-For": claimed.format(9)}
    refused = client.post("/sign-in/", {"login": "alice", "password": PASSWORD}, headers=headers)
    assert "Too many wrong tries" in refused.text


def test_next_leads_only_to_our_own_pages(client: Client, alice: Person) -> None:
    there = client.post("/sign-in/", {"login": "alice", "password": PASSWORD, "next": "/account/"})
    assert there["Location"] == "/account/"
    for away in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        answer = Client().post("/sign-in/", {"login": "alice", "password": PASSWORD, "next": away})
        assert answer["Location"] == "/", away


def test_signing_out_takes_a_post(client: Client, alice: Person) -> None:
    client.force_login(alice)
    assert client.get("/sign-out/").status_code == 405
    assert client.post("/sign-out/").status_code == 302
    assert "_auth_user_id" not in client.session


def test_an_owner_without_a_password_sets_one_and_stays_signed_in(client: Client, alice: Person) -> None:
    alice.set_unusable_password()
    alice.save()
    client.force_login(alice)
    assert client.get("/account/password/")["Location"] == "/account/password/first/"
    assert client.post("/account/password/first/", NEW).status_code == 302
    assert "The password is set." in client.get("/account/").text
    assert sign_in(Client(), NEW["password1"]) == 302


def test_changing_a_password_needs_the_old_one(client: Client, alice: Person) -> None:
    client.force_login(alice)
    assert "That is not the current password." in client.post("/account/password/", {**NEW, "oldpassword": "no"}).text
    assert sign_in(Client(), NEW["password1"]) == 200
    assert client.post("/account/password/", {**NEW, "oldpassword": PASSWORD}).status_code == 302
    assert sign_in(Client(), NEW["password1"]) == 302
    assert client.get("/account/").status_code == 200


def test_who_comes_by_a_link_may_replace_a_forgotten_password(client: Client, alice: Person) -> None:
    client.get(f"/sign-in/{links.make(alice)}/")
    assert "oldpassword" not in client.get("/account/password/").text
    assert client.post("/account/password/", NEW).status_code == 302
    assert sign_in(Client(), NEW["password1"]) == 302


@pytest.mark.parametrize("password", ["short", "password1234", "1234567890"])
def test_a_weak_password_is_refused(client: Client, alice: Person, password: str) -> None:
    client.get(f"/sign-in/{links.make(alice)}/")
    answer = client.post("/account/password/", {"password1": password, "password2": password})
    assert answer.status_code == 200 and 'role="alert"' in answer.text
    assert sign_in(Client()) == 302


def test_password_forms_name_the_account_for_password_managers(client: Client, alice: Person) -> None:
    client.force_login(alice)
    for page in ("/account/password/", "/account/confirm/"):
        assert 'autocomplete="username" value="alice"' in client.get(page).text


@pytest.mark.parametrize(
    "page", ["/signup/", "/account/signup/", "/account/email/", "/account/password/reset/", "/accounts/login/"]
)
def test_no_page_of_allauth_is_there_but_those_listed(client: Client, alice: Person, page: str) -> None:
    client.force_login(alice)
    assert client.get(page).status_code == 404


def test_a_stranger_has_no_account_page(client: Client, db: None) -> None:
    assert client.get("/account/")["Location"] == "/sign-in/?next=/account/"


@pytest.mark.parametrize(
    ("role", "chats", "administers"),
    [(Role.OWNER, True, True), (Role.ADMIN, True, True), (Role.MEMBER, True, False), (Role.VIEWER, False, False)],
)
def test_a_role_says_what_one_may_do(role: Role, chats: bool, administers: bool) -> None:
    person = Person(username="dora", role=role)
    assert (may_chat(person), may_administer(person)) == (chats, administers)
    person.is_active = False
    assert not may_chat(person) and not may_administer(person)


def test_a_stranger_may_nothing() -> None:
    assert not may_chat(AnonymousUser()) and not may_administer(AnonymousUser())
