"""Signing in with an identity provider: who is let in, who is not, what is connected, and a secret kept inside."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from tests.openid import CLIENT, SECRET, OpenID
from workspace.accounts import identity, invitations
from workspace.accounts.models import IdentityProvider, Invitation, Person, Role

ERIN = {"sub": "e-1", "email": "erin@example.org", "email_verified": True, "preferred_username": "erin"}
PASSWORD = "an orchard in winter"


@pytest.fixture(scope="module")
def running() -> Iterator[OpenID]:
    with OpenID() as provider:
        yield provider


@pytest.fixture
def openid(running: OpenID, db: None) -> OpenID:
    running.claims, running.refuses = dict(ERIN), ""
    row = IdentityProvider(name="Orchard ID", slug="orchard", server_url=running.url, client_id=CLIENT)
    identity.set_secret(row, SECRET)
    row.save()
    return running


def come(client: Client, openid: OpenID, begin: str = "/sign-in/with/orchard/") -> Any:
    """The whole way: to the provider and back."""
    there = client.get(begin)
    assert there.status_code == 302 and there["Location"].startswith(f"{openid.url}/authorize?"), there
    back = openid.authorize(dict(parse_qsl(urlsplit(there["Location"]).query)))
    return client.get(back.removeprefix("http://testserver"))


def who(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


def invite(alice: Person, **given: Any) -> str:
    token, digest = invitations.new_token()
    Invitation.objects.create(digest=digest, author=alice, expires=timezone.now() + timedelta(days=1), **given)
    return f"/join/{token}/"


def test_the_sign_in_page_offers_it_and_it_leads_on(client: Client, alice: Person, openid: OpenID) -> None:
    page = client.get("/sign-in/?next=/documents/").text
    assert "Sign in with Orchard ID" in page
    SocialAccount.objects.create(user=alice, provider="orchard", uid="e-1")
    [begin] = re.findall(r'href="(/sign-in/with/[^"]+)"', page)
    assert come(client, openid, html.unescape(begin))["Location"] == "/documents/"


def test_a_stranger_is_not_let_in(client: Client, alice: Person, openid: OpenID) -> None:
    answer = come(client, openid)
    assert "not invited yet" in answer.text
    assert who(client) is None and Person.objects.count() == 1 and not SocialAccount.objects.exists()


def test_who_is_invited_by_address_is_in_without_a_link(client: Client, alice: Person, openid: OpenID) -> None:
    invite(alice, email="Erin@Example.org", role=Role.VIEWER)
    assert come(client, openid)["Location"] == "/"
    erin = Person.objects.get(username="erin")
    assert who(client) == str(erin.pk)
    assert (erin.role, erin.email, erin.has_usable_password()) == (Role.VIEWER, "erin@example.org", False)
    assert Invitation.objects.get().used == 1
    again = Client()
    assert come(again, openid)["Location"] == "/" and who(again) == str(erin.pk)
    assert Person.objects.count() == 2 and not SocialToken.objects.exists()


@pytest.mark.parametrize("verified", [False, None, "no"])
def test_an_address_that_is_not_verified_invites_nobody(
    client: Client, alice: Person, openid: OpenID, verified: object
) -> None:
    invite(alice, email="erin@example.org")
    IdentityProvider.objects.update(domains="example.org")
    openid.claims["email_verified"] = verified
    assert "not invited yet" in come(client, openid).text
    openid.claims["email_verified"] = True
    come(client, openid)
    assert who(client)


@pytest.mark.parametrize(
    ("email", "let_in"),
    [
        ("erin@example.org", True),
        ("erin@EXAMPLE.org", True),
        ("erin@sub.example.org", False),
        ("erin@badexample.org", False),
        ("erin@example.org.evil.test", False),
    ],
)
def test_a_domain_lets_in_its_own(client: Client, alice: Person, openid: OpenID, email: str, let_in: bool) -> None:
    IdentityProvider.objects.update(domains="orchard.test example.org", role=Role.VIEWER)
    openid.claims["email"] = email
    come(client, openid)
    assert (who(client) is not None) is let_in
    assert Person.objects.filter(role=Role.VIEWER).exists() is let_in


def test_who_opened_an_invitation_may_go_on_by_the_provider(client: Client, alice: Person, openid: OpenID) -> None:
    link = invite(alice, role=Role.ADMIN)
    openid.claims["email_verified"] = False
    assert "Join with Orchard ID" in client.get(link).text
    come(client, openid)
    assert Person.objects.get(pk=who(client)).role == Role.ADMIN
    assert Client().get(link).status_code == 410


def test_a_name_that_is_taken_is_made_another(client: Client, alice: Person, openid: OpenID) -> None:
    invite(alice, email="erin@example.org")
    openid.claims["preferred_username"] = "ALICE"
    come(client, openid)
    assert who(client) not in (None, str(alice.pk))


def test_nobody_becomes_a_person_who_is_there_by_their_address(client: Client, alice: Person, openid: OpenID) -> None:
    Person.objects.filter(pk=alice.pk).update(email="erin@example.org")
    assert "not invited yet" in come(client, openid).text
    assert who(client) is None


def test_one_connects_it_to_oneself_and_disconnects(client: Client, alice: Person, openid: OpenID) -> None:
    client.post("/sign-in/", {"login": "alice", "password": PASSWORD})
    client.post("/account/confirm/", {"password": PASSWORD})
    begin = client.get("/account/").context["providers"][0]["url"]
    assert come(client, openid, begin)["Location"] == "/account/"
    assert SocialAccount.objects.get().user == alice
    other = Client()
    come(other, openid)
    assert who(other) == str(alice.pk)
    client.post("/account/connected/", {"account": SocialAccount.objects.get().pk})
    assert not SocialAccount.objects.exists()
    assert "not invited yet" in come(Client(), openid).text


def test_connecting_begins_on_ones_own_page_alone(client: Client, alice: Person, bob: Person, openid: OpenID) -> None:
    client.force_login(alice)
    theirs = Client()
    theirs.force_login(bob)
    elsewhere = theirs.get("/account/").context["providers"][0]["url"]
    for page in ("/sign-in/with/orchard/?process=connect", elsewhere):
        assert client.get(page).status_code == 403


def test_the_second_step_is_asked_for_all_the_same(client: Client, alice: Person, openid: OpenID) -> None:
    SocialAccount.objects.create(user=alice, provider="orchard", uid="e-1")
    TOTP.activate(alice, generate_totp_secret())
    assert come(client, openid)["Location"] == "/sign-in/second-step/"
    assert who(client) is None


def test_somebody_switched_off_stays_out(client: Client, alice: Person, openid: OpenID) -> None:
    SocialAccount.objects.create(user=alice, provider="orchard", uid="e-1")
    Person.objects.update(is_active=False)
    come(client, openid)
    assert who(client) is None
    Person.objects.update(is_active=True)
    come(client, openid)
    assert who(client) == str(alice.pk)


def test_an_error_of_the_provider_is_a_page_of_ours(client: Client, alice: Person, openid: OpenID) -> None:
    openid.refuses = "access_denied"
    assert come(client, openid)["Location"] == "/sign-in/cancelled/"
    assert "You cancelled it" in client.get("/sign-in/cancelled/").text
    openid.refuses = "server_error"
    assert "did not confirm who you are" in come(client, openid).text
    openid.refuses = ""
    IdentityProvider.objects.update(client_id="another")
    assert "did not confirm who you are" in come(client, openid).text
    assert client.get("/sign-in/with/elsewhere/").status_code == 404
    forged = client.get("/sign-in/with/orchard/back/?code=guessed&state=guessed")
    assert forged.status_code == 401 and "did not confirm" in forged.text


def test_the_admin_keeps_the_secret(client: Client, alice: Person) -> None:
    client.force_login(alice)
    asked = {"name": "Orchard ID", "slug": "orchard", "server_url": "https://id.example/", "client_id": "us"}
    given = {**asked, "secret": "hush hush", "domains": "Example.org, orchard.test", "role": "member"}
    answer = client.post(reverse("admin:accounts_identityprovider_add"), given, follow=True)
    assert "http://testserver/sign-in/with/orchard/back/" in answer.text
    row = IdentityProvider.objects.get()
    assert (row.server_url, row.domains) == ("https://id.example", "example.org orchard.test")
    assert "hush hush" not in answer.text and b"hush hush" not in bytes(row.encrypted_secret)
    assert identity.apps("orchard")[0].secret == "hush hush"
    page = reverse("admin:accounts_identityprovider_change", args=[row.pk])
    client.post(page, {**given, "secret": "", "name": "Garden ID"})
    assert (identity.apps()[0].name, identity.apps()[0].secret) == ("Garden ID", "hush hush")


@pytest.mark.parametrize(
    "wrong",
    [
        {"server_url": "http://id.example"},
        {"server_url": "javascript:alert(1)"},
        {"domains": "@example.org"},
        {"domains": "org"},
        {"role": "owner"},
        {"slug": "a b"},
    ],
)
def test_the_admin_refuses_what_would_let_anybody_in(client: Client, alice: Person, wrong: dict[str, str]) -> None:
    client.force_login(alice)
    right = {"name": "Orchard ID", "slug": "orchard", "server_url": "https://id.example", "client_id": "us"}
    answer = client.post(reverse("admin:accounts_identityprovider_add"), {**right, "role": "member", **wrong})
    assert answer.status_code == 200 and "errorlist" in answer.text
    assert not IdentityProvider.objects.exists()


def test_a_provider_that_goes_takes_its_connections_along(client: Client, alice: Person, openid: OpenID) -> None:
    SocialAccount.objects.create(user=alice, provider="orchard", uid="e-1")
    client.force_login(alice)
    row = IdentityProvider.objects.get()
    client.post(reverse("admin:accounts_identityprovider_delete", args=[row.pk]), {"post": "yes"})
    assert not IdentityProvider.objects.exists() and not SocialAccount.objects.exists()
    assert client.get("/account/").status_code == 200


def test_another_address_disconnects_everybody(client: Client, alice: Person, openid: OpenID) -> None:
    """Or an admin could point a provider at a server of their own, which calls them the owner."""
    SocialAccount.objects.create(user=alice, provider="orchard", uid="e-1")
    client.force_login(Person.objects.create_user("dora", role=Role.ADMIN))
    page = reverse("admin:accounts_identityprovider_change", args=[IdentityProvider.objects.get().pk])
    same = {"name": "Garden ID", "server_url": openid.url, "client_id": CLIENT, "role": "member"}
    client.post(page, same)
    assert SocialAccount.objects.exists()
    client.post(page, {**same, "server_url": "https://id.example"})
    assert IdentityProvider.objects.get().server_url == "https://id.example" and not SocialAccount.objects.exists()
