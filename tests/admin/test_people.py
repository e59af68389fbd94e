"""People in the admin: in by a link shown once, out by a switch, and the owner's row is the owner's."""

from __future__ import annotations

import re

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.conf import LazySettings
from django.test import Client
from django.urls import reverse

from workspace.accounts.models import Group, Person, Role, Session, SignInLink


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
    assert "no-store" in answer["Cache-Control"]
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


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"role": "admin"}, id="switched off"),
        pytest.param({"role": "member", "is_active": "on"}, id="demoted"),
    ],
)
def test_less_of_a_person_ends_their_sessions(
    client: Client, alice: Person, dora: Person, given: dict[str, str]
) -> None:
    client.force_login(alice)
    theirs = Client()
    theirs.force_login(dora)
    client.post(change(dora), {"username": "renamed", "role": "admin", "is_active": "on"})
    assert theirs.get("/account/").status_code == 200  # another name alone ends nothing
    client.post(change(dora), {"username": "dora", **given})
    assert theirs.get("/account/")["Location"].startswith("/sign-in/")
    assert not Session.objects.filter(person=dora).exists()


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


def test_an_admin_signs_somebody_out_everywhere(client: Client, alice: Person, bob: Person, dora: Person) -> None:
    theirs = [Client(), Client()]
    for browser in theirs:
        browser.force_login(bob)
        assert browser.get("/account/").status_code == 200
    client.force_login(dora)
    assert client.post(reverse("admin:accounts_person_end", args=[alice.pk])).status_code == 403
    assert client.post(reverse("admin:accounts_person_end", args=[bob.pk])).status_code == 302
    for browser in theirs:
        assert browser.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200


def test_groups_are_made_and_filled_from_both_sides(client: Client, alice: Person, bob: Person, dora: Person) -> None:
    client.force_login(alice)
    client.post(reverse("admin:accounts_group_add"), {"name": "Gardeners", "members": [bob.pk]})
    gardeners = Group.objects.get()
    assert [group.name for group in bob.groups.all()] == ["Gardeners"]
    assert "Gardeners" in client.get(change(bob)).text
    person = {"username": "dora", "role": "admin", "is_active": "on", "groups": [gardeners.pk]}
    client.post(change(dora), person)
    client.post(change(bob), {"username": "bob", "role": "member", "is_active": "on"})
    assert [person.username for person in gardeners.user_set.all()] == ["dora"]
    page = reverse("admin:accounts_group_change", args=[gardeners.pk])
    client.post(page, {"name": "Pruners", "members": []})
    assert Group.objects.get().name == "Pruners" and not dora.groups.exists()


def test_the_owner_hands_over_and_becomes_an_admin(client: Client, alice: Person, bob: Person, dora: Person) -> None:
    page = reverse("admin:accounts_person_owner", args=[bob.pk])
    client.force_login(dora)
    assert "Hand over" not in client.get(change(bob)).text
    assert client.post(page, {"sure": "yes"}).status_code == 403
    client.force_login(alice)
    assert "Hand over" in client.get(change(bob)).text
    assert "becomes the owner at once" in client.post(page).text
    assert Person.objects.get(role=Role.OWNER) == alice  # asked, and not done
    confirm = client.post(page, {"sure": "yes"})["Location"]
    assert confirm.startswith("/account/confirm/")
    assert Person.objects.get(role=Role.OWNER) == alice  # not before the password is shown again
    assert client.post(confirm, {"password": "an orchard in winter"}).status_code == 302
    assert Person.objects.get(role=Role.OWNER) == bob
    assert Person.objects.get(pk=alice.pk).role == Role.ADMIN
    assert client.post(reverse("admin:accounts_person_owner", args=[dora.pk]), {"sure": "yes"}).status_code == 403


def test_nobody_switched_off_becomes_the_owner(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    Person.objects.filter(pk=bob.pk).update(is_active=False)
    client.post("/account/confirm/", {"password": "an orchard in winter"})
    page = reverse("admin:accounts_person_owner", args=[bob.pk])
    assert client.post(page, {"sure": "yes"}).status_code == 403
    assert Person.objects.get(role=Role.OWNER) == alice


@pytest.mark.parametrize("name", ["link", "end", "second_steps", "owner"])
def test_what_is_done_to_a_person_takes_a_post_and_the_right(
    client: Client, alice: Person, bob: Person, name: str
) -> None:
    page = reverse(f"admin:accounts_person_{name}", args=[bob.pk])
    client.force_login(bob)
    assert client.post(page).status_code == 404
    client.force_login(alice)
    assert client.get(page).status_code == 405
    assert client.post(page).status_code in (200, 302)


def test_the_admin_can_be_closed_to_who_has_no_second_step(
    client: Client, alice: Person, settings: LazySettings
) -> None:
    client.force_login(alice)
    assert client.get("/admin/").status_code == 200
    settings.ADMIN_SECOND_STEP = True
    answer = client.get("/admin/", follow=True)
    assert answer.redirect_chain[-1][0] == "/account/" and "asks for a second step" in answer.text
    TOTP.activate(alice, generate_totp_secret())
    assert client.get("/admin/").status_code == 200
