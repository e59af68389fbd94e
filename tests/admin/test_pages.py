"""Every page of the admin opens for the owner, and is as good as absent for everybody else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from retrieval.models import EmbeddingModel, SearchEngine
from tests.admin.rows import one_of_each
from tests.scripted import add_model
from workspace.accounts.models import Group, IdentityProvider, Person
from workspace.router.models import Budget


@pytest.fixture
def pages(alice: Person, bob: Person) -> list[str]:
    """The address of every list, every form and one row of each."""
    add_model("quotes")
    return one_of_each()


def test_the_owner_opens_every_page(client: Client, alice: Person, pages: list[str]) -> None:
    client.force_login(alice)
    assert len(pages) > 20
    for page in pages:
        answer = client.get(page)
        assert answer.status_code == 200, page
        assert "a private answer" not in answer.text and "secret text" not in answer.text, page


def test_a_member_is_told_what_an_absent_page_tells(client: Client, bob: Person, pages: list[str]) -> None:
    client.force_login(bob)
    absent = client.get("/admin/no/such/page/")
    assert absent.status_code == 404
    for page in pages:
        assert client.get(page).status_code == 404, page
        assert client.post(page, {}).status_code == 404, page


def test_a_stranger_is_sent_to_sign_in_and_back(client: Client, alice: Person) -> None:
    page = reverse("admin:providers_provider_changelist")
    answer = client.get(page, follow=True)
    assert answer.redirect_chain[-1][0] == f"/sign-in/?next={page}"
    client.post(answer.redirect_chain[-1][0], {"login": "alice", "password": "an orchard in winter"})
    assert client.get(page).status_code == 200


def test_no_page_writes_scripts_or_styles_inline(client: Client, alice: Person, pages: list[str]) -> None:
    client.force_login(alice)
    for page in pages:
        answer = client.get(page)
        assert "unsafe" not in answer["Content-Security-Policy"], page
        html = answer.text
        assert "<style" not in html and " style=" not in html and " onclick=" not in html, page
        assert "<script>" not in html, page


def test_nothing_with_a_history_can_be_deleted(client: Client, alice: Person, pages: list[str]) -> None:
    client.force_login(alice)
    for model in admin.site._registry.keys() - {
        Budget,
        EmbeddingModel,
        Group,
        IdentityProvider,
        SearchEngine,
    }:  # none of them has one
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}_delete"
        row = model._default_manager.first()
        assert row is not None
        try:
            page = reverse(name, args=[row.pk])
        except NoReverseMatch:
            continue
        assert client.post(page, {"post": "yes"}).status_code == 403, page
        assert model._default_manager.filter(pk=row.pk).exists()


def test_dates_read_alike_on_every_page(client: Client, alice: Person) -> None:
    client.force_login(alice)
    Person.objects.filter(pk=alice.pk).update(last_login=datetime(2026, 11, 24, 16, 5, tzinfo=UTC))
    with timezone.override(UTC):
        assert "24 Nov 2026 16:05" in client.get(reverse("admin:accounts_person_changelist")).text
