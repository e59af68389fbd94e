"""What leaves an entry in the audit log, what the entry says, and what it never says."""

from __future__ import annotations

import json
import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.db import transaction
from django.test import Client
from django.urls import reverse

from tests.access.world import build
from tests.scripted import add_model
from workspace.accounts import invitations, links, owner
from workspace.accounts.models import IdentityProvider, Invitation, Person, Role
from workspace.admin_site.audited import Audited
from workspace.api import tokens
from workspace.audit.log import record
from workspace.audit.models import Action, AuditEntry
from workspace.providers.models import Provider
from workspace.router.models import Budget

pytestmark = pytest.mark.django_db
KEY = "sk-planted-4f3f0a7d21"
NO_VERSIONS_TOUCHED = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}


@pytest.fixture
def owned(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def newest() -> AuditEntry:
    entry = AuditEntry.objects.order_by("-number").first()
    assert entry is not None
    return entry


def told() -> list[tuple[str, str, str]]:
    return [(entry.actor, entry.action, entry.about_name) for entry in AuditEntry.objects.order_by("number")]


def test_a_form_of_the_admin_tells_each_field_from_what_to_what(owned: Client, bob: Person) -> None:
    gardeners = Group.objects.create(name="gardeners")
    form = {"username": "bob", "role": "viewer", "groups": [gardeners.pk], "is_active": "on"}
    owned.post(reverse("admin:accounts_person_change", args=[bob.pk]), form)
    entry = newest()
    assert (entry.actor, entry.action, entry.about, entry.about_name) == ("alice", "changed", "accounts.person", "bob")
    assert entry.about_id == str(bob.pk) and entry.address == "127.0.0.1"
    assert entry.changes == {"role": ["member", "viewer"], "groups": [[], ["gardeners"]]}


def test_making_and_deleting_are_told_too(owned: Client, bob: Person) -> None:
    owned.post(reverse("admin:router_budget_add"), {"person": bob.pk, "group": "", "period": "month", "usd": "10"})
    entry = newest()
    assert (entry.action, entry.about_name) == ("created", "bob: $10 a month")
    assert entry.changes["person"] == ["", "bob"] and entry.changes["usd"] == ["", "10"]
    owned.post(reverse("admin:router_budget_delete", args=[Budget.objects.get().pk]), {"post": "yes"})
    assert (newest().action, newest().about_name) == ("deleted", "bob: $10 a month")


def test_a_form_that_changes_nothing_leaves_nothing(owned: Client, bob: Person) -> None:
    before = AuditEntry.objects.count()
    form = {"username": "bob", "role": "member", "is_active": "on"}
    owned.post(reverse("admin:accounts_person_change", args=[bob.pk]), form)
    assert AuditEntry.objects.count() == before


def test_a_key_is_told_as_set_and_stands_in_no_entry(owned: Client) -> None:
    form = {"name": "kettles", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "key": KEY, "options": ""}
    owned.post(reverse("admin:providers_provider_add"), form)
    assert Provider.objects.get(name="kettles").encrypted_key
    secret = {"name": "House", "slug": "house", "server_url": "https://id.example", "client_id": "us", "role": "member"}
    owned.post(reverse("admin:accounts_identityprovider_add"), {**secret, "secret": KEY})
    assert IdentityProvider.objects.get().encrypted_secret
    changes = [entry.changes for entry in AuditEntry.objects.filter(action="created")]
    assert [one.get("key") or one.get("secret") for one in changes] == [["", "set"], ["", "set"]]
    assert KEY not in json.dumps([list(row) for row in AuditEntry.objects.values_list()], default=str)
    provider = Provider.objects.get(name="kettles")
    gone = {"name": "kettles", "kind": "openai", "base_url": "http://127.0.0.1:9/v1", "options": "", "remove_key": "on"}
    owned.post(reverse("admin:providers_provider_change", args=[provider.pk]), {**gone, **NO_VERSIONS_TOUCHED})
    assert newest().changes == {"remove_key": ["", "True"]}


def test_a_long_text_is_told_by_its_digest(owned: Client) -> None:
    form = {"name": "default", "system": "Be brief. " * 200}
    owned.post(reverse("admin:router_prompttemplate_add"), form)
    [_, new] = newest().changes["system"]
    assert re.match(r"2000 characters, SHA-256 [0-9a-f]{16}…: Be brief\.", new) and len(new) < 200


# --- Getting in and out


def sign_in(client: Client, name: str, password: str) -> None:
    client.post(reverse("sign-in"), {"login": name, "password": password})


def test_signing_in_and_out_is_told_with_who_and_from_where(client: Client, bob: Person) -> None:
    sign_in(client, "bob", "a boat under bridges")
    assert told() == [("bob", "signed_in", "bob")] and newest().address == "127.0.0.1"
    client.post(reverse("sign-out"))
    assert told()[1:] == [("bob", "signed_out", "bob")]


def test_a_failed_sign_in_is_told_and_a_password_typed_as_a_name_is_not(client: Client, bob: Person) -> None:
    sign_in(client, "Bob", "wrong")
    sign_in(client, "correct-horse-battery", "wrong")
    entries = AuditEntry.objects.order_by("number")
    assert [(entry.actor, entry.action) for entry in entries] == [("", "sign_in_failed")] * 2
    assert [entry.about_name for entry in entries] == ["bob", "cor… (21 characters, nobody’s name)"]


def test_a_new_password_ends_other_sessions_and_both_are_told(client: Client, bob: Person) -> None:
    Client().force_login(bob)
    sign_in(client, "bob", "a boat under bridges")
    new = "a lamp by the river"
    form = {"oldpassword": "a boat under bridges", "password1": new, "password2": new}
    client.post(reverse("account_change_password"), form)
    assert [action for _, action, _ in told()][-2:] == ["sessions_ended", "password_changed"]


def test_links_invitations_and_the_first_owner_are_told(alice: Person, bob: Person) -> None:
    links.make(bob, minutes=5)
    assert told() == [("", "link_made", "bob")]
    invitation = Invitation.objects.create(author=alice, digest="0" * 64, expires="2999-01-01T00:00Z")
    invitations.accept(invitation, Person(username="dora"))
    assert (newest().actor, newest().action, newest().words) == ("dora", "joined", "As member.")
    owner.hand_over(alice, bob)
    assert (newest().action, newest().about_name) == ("owner_made", "bob")
    Person.objects.filter(role=Role.OWNER).update(role=Role.ADMIN)
    owner.ensure_owner()
    assert (newest().action, newest().about_name) == ("owner_made", "owner")


def test_tokens_are_told_when_made_and_revoked(bob: Person) -> None:
    row, secret = tokens.make(bob, name="editor")
    tokens.revoke(bob, row.pk)
    assert tokens.revoke(bob, row.pk) == ""
    assert told() == [("bob", "token_made", "editor"), ("bob", "token_revoked", "editor")]
    assert secret not in str(list(AuditEntry.objects.values_list()))


def test_sharing_is_told_without_what_the_chat_is_called(db: None) -> None:
    world = build()
    client = Client()
    client.force_login(world.chat.owner)
    before = AuditEntry.objects.count()
    address = reverse("chat-share", args=[world.chat.pk])
    client.post(address, {"name": "stranger", "rights": "write"})
    client.post(address, {"share": world.chat.shares.last().pk, "rights": "none"})  # type: ignore[union-attr]
    rows = AuditEntry.objects.filter(number__gt=before).order_by("number")
    assert [(row.action, row.about_name, row.words) for row in rows] == [
        ("shared", "", "With stranger, to write."),
        ("unshared", "", "With stranger."),
    ]
    assert {row.about_id for row in rows} == {str(world.chat.pk)}


# --- Nothing is forgotten


def test_every_page_of_the_admin_is_audited() -> None:
    pages = admin.site._registry.values()
    assert len(pages) > 12 and all(isinstance(page, Audited) for page in pages)


BUTTONS = (
    "admin:accounts_person_link",
    "admin:accounts_person_end",
    "admin:accounts_person_second_steps",
    "admin:accounts_invitation_revoke",
)


@pytest.mark.parametrize("name", BUTTONS)
def test_every_button_that_changes_something_leaves_an_entry(owned: Client, bob: Person, name: str) -> None:
    Client().force_login(bob)
    invitation = Invitation.objects.create(
        author=Person.objects.get(username="alice"), digest="0" * 64, expires="2999-01-01T00:00Z"
    )
    row = invitation if "invitation" in name else bob
    before = AuditEntry.objects.count()
    owned.post(reverse(name, args=[row.pk]))
    entries = AuditEntry.objects.filter(number__gt=before)
    assert entries and {(entry.actor, entry.about_id) for entry in entries} == {("alice", str(row.pk))}


def test_using_an_older_version_says_in_place_of_which(owned: Client) -> None:
    model = add_model("echo")
    page = reverse("admin:router_prompttemplate_add")
    owned.post(page, {"name": "default", "system": "One."})
    template = newest().about_id
    owned.post(
        reverse("admin:router_prompttemplate_change", args=[template]), {"system": "Two.", **NO_VERSIONS_TOUCHED}
    )
    assert newest().changes == {"system": ["One.", "Two."]}
    owned.post(reverse("admin:router_prompttemplate_use", args=[template, 1]))
    assert newest().words == "Used version 1, in place of version 2."
    assert model.pk


def test_an_entry_goes_with_what_it_tells() -> None:
    class Stopped(Exception):
        pass

    @transaction.atomic
    def fail() -> None:
        record(Action.CHANGED, words="that never was")
        raise Stopped

    with pytest.raises(Stopped):
        fail()
    assert not AuditEntry.objects.exists()
    assert record(Action.CHANGED).number == 1
