"""A sign-in link works once, for a while, and only for somebody who opens it."""

from __future__ import annotations

import os
import threading
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from workspace.accounts import links
from workspace.accounts.models import Person, Role, SignInLink
from workspace.accounts.owner import ensure_owner
from workspace.types import sha256


def signed_in_as(client: Client) -> str | None:
    return client.session.get("_auth_user_id")


def test_a_link_signs_in_and_only_its_digest_is_kept(client: Client, alice: Person) -> None:
    token = links.make(alice)
    assert SignInLink.objects.get().digest == sha256(token)
    answer = client.get(f"/sign-in/{token}/")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "no-store" in answer["Cache-Control"]
    assert signed_in_as(client) == str(alice.pk)


def test_a_used_link_says_so_and_what_to_do(client: Client, alice: Person) -> None:
    token = links.make(alice)
    assert client.get(f"/sign-in/{token}/").status_code == 302
    stranger = Client()
    answer = stranger.get(f"/sign-in/{token}/")
    assert answer.status_code == 410
    assert "has been used" in answer.text and "make run" in answer.text and "sign_in_link" in answer.text
    assert signed_in_as(stranger) is None


def test_an_expired_link_is_refused(client: Client, alice: Person) -> None:
    token = links.make(alice)
    SignInLink.objects.update(expires=timezone.now() - timedelta(seconds=1))
    answer = client.get(f"/sign-in/{token}/")
    assert answer.status_code == 410 and "has expired" in answer.text
    assert signed_in_as(client) is None
    SignInLink.objects.update(expires=timezone.now() + timedelta(minutes=1))  # and that alone was in the way
    assert client.get(f"/sign-in/{token}/").status_code == 302


def test_a_guessed_link_is_refused(client: Client, alice: Person) -> None:
    links.make(alice)
    answer = client.get("/sign-in/guessed/")
    assert answer.status_code == 410 and "not known" in answer.text


def test_a_link_of_somebody_switched_off_is_refused_and_not_spent(client: Client, bob: Person) -> None:
    token = links.make(bob)
    Person.objects.filter(pk=bob.pk).update(is_active=False)
    assert "switched off" in client.get(f"/sign-in/{token}/").text
    Person.objects.filter(pk=bob.pk).update(is_active=True)
    assert client.get(f"/sign-in/{token}/").status_code == 302


@pytest.mark.parametrize(
    "headers", [{"Sec-Purpose": "prefetch"}, {"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}]
)
def test_a_browser_that_looks_ahead_does_not_spend_the_link(
    client: Client, alice: Person, headers: dict[str, str]
) -> None:
    token = links.make(alice)
    assert client.get(f"/sign-in/{token}/", headers=headers).status_code == 204
    assert client.head(f"/sign-in/{token}/").status_code == 204
    assert signed_in_as(client) is None
    assert client.get(f"/sign-in/{token}/").status_code == 302


def test_a_link_gives_a_new_session(client: Client, alice: Person, bob: Person) -> None:
    client.force_login(bob)
    before = client.session.session_key
    client.get(f"/sign-in/{links.make(alice)}/")
    assert signed_in_as(client) == str(alice.pk)
    assert client.session.session_key != before


@pytest.mark.django_db(transaction=True)
def test_of_two_clicks_at_once_one_wins(alice: Person) -> None:
    token = links.make(alice)
    start = threading.Barrier(4)
    outcomes: list[str] = []

    def click() -> None:
        start.wait(timeout=10)
        try:
            outcomes.append(links.redeem(token).username)
        except links.LinkRefused as refused:
            outcomes.append(str(refused))
        finally:
            connection.close()

    threads = [threading.Thread(target=click) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert sorted(outcomes) == sorted(["alice", *["This link has been used. Each works once."] * 3])


def test_the_first_person_is_the_owner_and_is_made_once(db: None) -> None:
    first = ensure_owner()
    assert (first.username, first.role, first.has_usable_password()) == ("owner", Role.OWNER, False)
    assert ensure_owner() == first
    assert Person.objects.count() == 1


def test_the_command_prints_a_link_that_works(client: Client, alice: Person, bob: Person) -> None:
    for arguments, person in (([], alice), (["--person", "bob"], bob)):
        out = StringIO()
        call_command("sign_in_link", *arguments, stdout=out)
        client.get(out.getvalue().strip().partition("8000")[2])
        assert signed_in_as(client) == str(person.pk)
    with pytest.raises(CommandError, match="no person named dora"):
        call_command("sign_in_link", "--person", "dora")


def test_the_command_names_the_server_that_runs(alice: Person, settings: LazySettings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    for about, start in (
        (f"process {os.getpid()}, http://localhost:8123", "http://localhost:8123/sign-in/"),
        (f"process {os.getpid()}, manage.py ingest", f"http://localhost:{settings.PORT}/sign-in/"),
        ("process 999999999, http://localhost:8123", f"http://localhost:{settings.PORT}/sign-in/"),
    ):
        (tmp_path / "owner.lock").write_text(f"{about}\n")
        out = StringIO()
        call_command("sign_in_link", stdout=out)
        assert out.getvalue().startswith(start), about
