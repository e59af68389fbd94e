"""Name and password, a bound on guesses, a password of one's own, and what each role may do."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.cache import cache
from django.test import Client

from workspace.accounts import attempts
from workspace.accounts.models import Person, Role
from workspace.accounts.rights import may_administer, may_chat

PASSWORD = "an orchard in winter"


@pytest.fixture(autouse=True)
def no_attempts_yet() -> None:
    cache.clear()


def sign_in(client: Client, password: str = PASSWORD, name: str = "alice", **extra: str) -> int:
    return client.post("/sign-in/", {"username": name, "password": password, **extra}).status_code


def test_name_and_password_sign_in(client: Client, alice: Person) -> None:
    assert sign_in(client) == 302
    assert client.session["_auth_user_id"] == str(alice.pk)


def test_a_wrong_name_and_a_wrong_password_look_alike(client: Client, alice: Person) -> None:
    wrong = client.post("/sign-in/", {"username": "alice", "password": "wrong"})
    absent = client.post("/sign-in/", {"username": "dora", "password": "wrong"})
    assert wrong.status_code == absent.status_code == 200
    for answer in (wrong, absent):
        assert "That name and password do not fit" in answer.text
        assert "_auth_user_id" not in answer.client.session


def test_somebody_switched_off_cannot_sign_in(client: Client, alice: Person) -> None:
    Person.objects.update(is_active=False)
    assert sign_in(client) == 200
    Person.objects.update(is_active=True)
    assert sign_in(client) == 302


def test_guesses_at_a_name_are_bounded(client: Client, alice: Person, bob: Person) -> None:
    for _ in range(attempts.MOST["name"]):
        sign_in(client, "wrong")
    answer = client.post("/sign-in/", {"username": "ALICE", "password": PASSWORD})
    assert answer.status_code == 200
    assert "Too many wrong passwords" in answer.text
    assert sign_in(client, "a boat under bridges", "bob") == 302  # another name is not held up


def test_guesses_from_an_address_are_bounded(client: Client, alice: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(attempts.MOST, "address", 3)
    for number in range(3):
        sign_in(client, "wrong", f"name{number}")
    assert sign_in(client) == 200
    elsewhere = client.post("/sign-in/", {"username": "alice", "password": PASSWORD}, REMOTE_ADDR="10.0.0.9")
    assert elsewhere.status_code == 302


def test_next_leads_only_to_our_own_pages(client: Client, alice: Person) -> None:
    there = client.post("/sign-in/", {"username": "alice", "password": PASSWORD, "next": "/account/"})
    assert there["Location"] == "/account/"
    for away in ("https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"):
        answer = Client().post("/sign-in/", {"username": "alice", "password": PASSWORD, "next": away})
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
    assert "old_password" not in client.get("/account/").text
    new = {"new_password1": "a ladder at noon", "new_password2": "a ladder at noon"}
    assert client.post("/account/", new).status_code == 302
    assert client.get("/account/").status_code == 200
    assert sign_in(Client(), "a ladder at noon") == 302


def test_changing_a_password_needs_the_old_one(client: Client, alice: Person) -> None:
    client.force_login(alice)
    new = {"new_password1": "a ladder at noon", "new_password2": "a ladder at noon"}
    assert client.post("/account/", {**new, "old_password": "wrong"}).status_code == 200
    assert sign_in(Client(), "a ladder at noon") == 200
    assert client.post("/account/", {**new, "old_password": PASSWORD}).status_code == 302
    assert sign_in(Client(), "a ladder at noon") == 302


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
