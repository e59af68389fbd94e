"""An invitation lets in as many as it says, as what it says, while it is open, and says plainly when it is not."""

from __future__ import annotations

import re
import threading
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import IntegrityError, connection, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from workspace.accounts import invitations
from workspace.accounts.models import Invitation, Person, Role
from workspace.types import sha256

PASSWORD = "a kettle in the attic"
ASKED = {"role": "member", "uses": 1, "days": 7}


def invite(client: Client, **asked: object) -> str:
    """The path of the link that the admin shows."""
    answer = client.post(reverse("admin:accounts_invitation_add"), {**ASKED, **asked})
    found = re.search(r'value="http://testserver(/join/[^"]+)"', answer.text)
    assert found is not None, answer.text
    assert "no-store" in answer["Cache-Control"]
    return found[1]


def join(link: str, name: str = "erin", password: str = PASSWORD, **extra: str) -> Client:
    browser = Client()
    browser.answer = browser.post(link, {"username": name, "password": password, **extra})  # type: ignore[attr-defined]
    return browser


def who(browser: Client) -> str | None:
    return browser.session.get("_auth_user_id")


def test_the_invited_choose_a_name_and_a_password_and_are_in(client: Client, alice: Person) -> None:
    client.force_login(alice)
    group = Group.objects.create(name="Gardeners")
    link = invite(client, groups=[group.pk], email="erin@example.org", role="viewer")
    assert Invitation.objects.get().digest == sha256(link.split("/")[2])
    page = Client().get(link)
    assert "alice has invited you as viewer" in page.text and "no-store" in page["Cache-Control"]
    browser = join(link)
    erin = Person.objects.get(username="erin")
    assert (erin.role, erin.email, list(erin.groups.all())) == (Role.VIEWER, "erin@example.org", [group])
    assert who(browser) == str(erin.pk)
    assert browser.get("/").status_code == 200
    assert Client().post("/sign-in/", {"login": "erin", "password": PASSWORD}).status_code == 302
    assert "1 of 1: erin" in client.get(reverse("admin:accounts_invitation_changelist")).text


def test_who_prefers_a_passkey_goes_on_to_make_one(client: Client, alice: Person) -> None:
    client.force_login(alice)
    browser = join(invite(client), password="", by="passkey")
    assert browser.answer["Location"] == "/account/passkeys/new/"  # type: ignore[attr-defined]
    assert browser.get("/account/passkeys/new/").status_code == 200
    assert not Person.objects.get(username="erin").has_usable_password()


def test_as_many_may_join_as_it_says(client: Client, alice: Person) -> None:
    client.force_login(alice)
    link = invite(client, uses=2)
    assert who(join(link, "erin")) and who(join(link, "frank"))
    refused = Client().get(link)
    assert refused.status_code == 410 and "has been used up" in refused.text
    assert join(link, "grace").answer.status_code == 410  # type: ignore[attr-defined]
    assert not Person.objects.filter(username="grace").exists()


CLOSED = {
    "has been used": {"used": 1},
    "has expired": {"expires": timezone.now() - timedelta(seconds=1)},
    "was taken back": {"revoked": timezone.now()},
}


@pytest.mark.parametrize("words", CLOSED)
def test_a_closed_invitation_says_why(client: Client, alice: Person, words: str) -> None:
    client.force_login(alice)
    link = invite(client)
    assert Client().get(link).status_code == 200
    Invitation.objects.update(**CLOSED[words])
    for answer in (Client().get(link), join(link).answer):  # type: ignore[attr-defined]
        assert answer.status_code == 410 and words in answer.text
    assert words in client.get(reverse("admin:accounts_invitation_changelist")).text
    assert not Person.objects.filter(username="erin").exists()


def test_a_guessed_invitation_is_not_known(client: Client, alice: Person) -> None:
    assert "not known here" in client.get("/join/guessed/").text
    assert join("/join/guessed/").answer.status_code == 410  # type: ignore[attr-defined]


def test_an_invitation_goes_with_the_right_of_who_made_it(client: Client, alice: Person) -> None:
    dora = Person.objects.create_user("dora", role=Role.ADMIN)
    client.force_login(dora)
    link = invite(client, role="admin")
    Person.objects.filter(pk=dora.pk).update(role=Role.MEMBER)
    assert "may no longer invite" in Client().get(link).text
    Person.objects.filter(pk=dora.pk).update(role=Role.ADMIN)
    assert who(join(link))


def test_nobody_is_invited_as_the_owner(client: Client, alice: Person) -> None:
    client.force_login(alice)
    answer = client.post(reverse("admin:accounts_invitation_add"), {**ASKED, "role": "owner"})
    assert "not one of the available choices" in answer.text
    with pytest.raises(IntegrityError), transaction.atomic():
        Invitation.objects.create(digest="0" * 64, author=alice, role=Role.OWNER, expires=timezone.now())
    assert not Invitation.objects.exists()


def test_a_member_invites_nobody(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(bob)
    assert client.post(reverse("admin:accounts_invitation_add"), ASKED).status_code == 404
    assert not Invitation.objects.exists()


def test_it_is_taken_back_with_a_post(client: Client, alice: Person) -> None:
    client.force_login(alice)
    link = invite(client)
    page = reverse("admin:accounts_invitation_revoke", args=[Invitation.objects.get().pk])
    assert client.get(page).status_code == 405
    client.post(page)
    assert "was taken back" in Client().get(link).text


def test_a_bad_name_or_password_spends_nothing(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    link = invite(client)
    for name, password in (("BOB", PASSWORD), ("erin", "short"), ("erin", ""), ("", PASSWORD), ("er in", PASSWORD)):
        answer = join(link, name, password).answer  # type: ignore[attr-defined]
        assert answer.status_code == 200 and 'role="alert"' in answer.text, (name, password)
    assert Invitation.objects.get().used == 0
    assert who(join(link))


def test_nobody_joins_while_signed_in_as_somebody_else(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(alice)
    link = invite(client)
    client.force_login(bob)
    assert "On this browser you are bob" in client.get(link).text
    client.post(link, {"username": "erin", "password": PASSWORD})
    assert not Person.objects.filter(username="erin").exists()
    assert Invitation.objects.get().used == 0


@pytest.mark.django_db(transaction=True)
def test_of_four_who_join_at_once_by_the_last_use_one_is_in(alice: Person) -> None:
    token, digest = invitations.new_token()
    Invitation.objects.create(digest=digest, author=alice, expires=timezone.now() + timedelta(days=1))
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def click(name: str) -> None:
        invitation = invitations.find(token)
        start.wait(timeout=10)
        try:
            invitations.accept(invitation, Person(username=name))
            outcomes.append("in")
        except invitations.InvitationRefused as refused:
            outcomes.append(str(refused))
        finally:
            connection.close()

    threads = [threading.Thread(target=click, args=(f"person{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == sorted(["in", *["This invitation has been used."] * 3])
    assert Person.objects.count() == 2
