"""People in the admin: in by a link shown once, out by a switch, and the owner's row is the owner's."""

from __future__ import annotations

import re

import pytest
from django.test import Client
from django.urls import reverse

from workspace.accounts.models import Person, Role, SignInLink


@pytest.fixture
def dora(db: None) -> Person:
    return Person.objects.create_user("dora", role=Role.ADMIN)


def change(person: Person) -> str:
    return reverse("admin:accounts_person_change", args=[person.pk])


def link_on(html: str) -> str:
    found = re.search(r'value="http://testserver(/sign-in/[^"]+)"', html)
    assert found is not None
    return found[1]


def test_a_new_person_gets_in_by_the_link_that_is_shown(client: Client, alice: Person) -> None:
    client.force_login(alice)
    answer = client.post(reverse("admin:accounts_person_add"), {"username": "erin", "role": "member"})
    assert answer["Referrer-Policy"] == "no-referrer" and "no-store" in answer["Cache-Control"]
    erin = Person.objects.get(username="erin")
    assert (erin.role, erin.has_usable_password()) == (Role.MEMBER, False)
    stranger = Client()
    stranger.get(link_on(answer.text))
    assert stranger.session["_auth_user_id"] == str(erin.pk)
    assert "/sign-in/" not in client.get(change(erin)).text


def test_a_name_is_taken_whatever_its_case(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    answer = client.post(reverse("admin:accounts_person_add"), {"username": "Bob", "role": "member"})
    assert "Somebody has this name." in answer.text
    assert not Person.objects.filter(username="Bob").exists()


def test_a_role_changes_what_a_person_may_do_at_once(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    theirs = Client()
    theirs.force_login(bob)
    assert theirs.get("/admin/").status_code == 404
    client.post(change(bob), {"username": "bob", "role": "admin", "is_active": "on"})
    assert theirs.get("/admin/").status_code == 200
    client.post(change(bob), {"username": "bob", "role": "admin"})
    assert theirs.get("/admin/")["Location"].startswith("/admin/login/")  # switched off: nobody is signed in there


def test_there_is_one_owner_and_they_stay(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    client.post(change(alice), {"username": "alice", "role": "member"})
    assert (Person.objects.get(pk=alice.pk).role, Person.objects.get(pk=alice.pk).is_active) == (Role.OWNER, True)
    refused = client.post(change(bob), {"username": "bob", "role": "owner", "is_active": "on"})
    assert "not one of the available choices" in refused.text
    assert Person.objects.get(pk=bob.pk).role == Role.MEMBER


def test_an_admin_neither_changes_the_owner_nor_becomes_them(client: Client, alice: Person, dora: Person) -> None:
    client.force_login(dora)
    assert client.get(change(alice)).status_code == 200  # to read
    assert client.post(change(alice), {"username": "renamed", "role": "member"}).status_code == 403
    assert client.post(reverse("admin:accounts_person_link", args=[alice.pk])).status_code == 403
    assert not SignInLink.objects.exists()
    assert Person.objects.get(pk=alice.pk).username == "alice"
    own = {"username": "dora", "role": "viewer"}
    client.post(change(dora), own)
    assert (Person.objects.get(pk=dora.pk).role, Person.objects.get(pk=dora.pk).is_active) == (Role.ADMIN, True)


def test_a_link_for_somebody_takes_a_post_and_the_right(client: Client, alice: Person, bob: Person) -> None:
    page = reverse("admin:accounts_person_link", args=[bob.pk])
    client.force_login(bob)
    assert client.post(page).status_code == 404
    client.force_login(alice)
    assert client.get(page).status_code == 405
    assert link_on(client.post(page).text)
    Person.objects.filter(pk=bob.pk).update(is_active=False)
    assert client.post(page).status_code == 403
    assert SignInLink.objects.count() == 1
