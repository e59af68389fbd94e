"""Providers and models in the admin: versions that stay, a key that never comes out, and two questions to a server."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from tests.scripted import Scripted, broken
from workspace.accounts.models import Person
from workspace.providers.base import Address
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.secrets import decrypt
from workspace.router import catalog

pytestmark = pytest.mark.usefixtures("scripted")
KEY = "sk-orchard-0123456789"
NO_VERSIONS_TOUCHED = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}


@pytest.fixture
def owner(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


def provider_form(**values: str) -> dict[str, str]:
    default = {"name": "farm", "kind": "scripted", "base_url": "http://farm.example/v1", "options": "{}"}
    return {**default, **NO_VERSIONS_TOUCHED, **values}


def save_provider(client: Client, **values: str) -> Any:
    provider = Provider.objects.filter(name="farm").first()
    page = "add" if provider is None else "change"
    address = reverse(f"admin:providers_provider_{page}", args=[provider.pk] if provider else [])
    return client.post(address, provider_form(**values), follow=True)


def save_model(client: Client, **values: Any) -> Any:
    model = LanguageModel.objects.filter(name="plum").first()
    page = "add" if model is None else "change"
    address = reverse(f"admin:providers_languagemodel_{page}", args=[model.pk] if model else [])
    form = {
        "name": "plum", "enabled": "on", "for_all": "on",
        "provider": Provider.objects.get().pk, "upstream": "plum-1", "window": "8192",
        "abilities": ["system", "images"], "parameters": "",
        "price_input": "0.15", "price_output": "", "price_cached": "",
    }  # fmt: skip
    return client.post(address, {**form, **NO_VERSIONS_TOUCHED, **values}, follow=True)


def test_a_new_provider_has_a_first_version(owner: Client, alice: Person) -> None:
    assert save_provider(owner).status_code == 200
    version = Provider.objects.get().current
    assert version is not None
    assert (version.number, version.kind, version.base_url, version.options, version.author) == (
        1, "scripted", "http://farm.example/v1", {}, alice,
    )  # fmt: skip


def test_a_change_makes_a_version_and_leaves_the_old_row(owner: Client) -> None:
    save_provider(owner)
    before = ProviderVersion.objects.values().get()
    save_provider(owner, base_url="http://barn.example/v1")
    assert ProviderVersion.objects.values().get(number=1) == before
    current = Provider.objects.get().current
    assert current is not None and (current.number, current.base_url) == (2, "http://barn.example/v1")


def test_saving_the_same_again_makes_no_version(owner: Client) -> None:
    save_provider(owner)
    save_provider(owner)
    assert ProviderVersion.objects.count() == 1


def test_an_older_version_can_be_used_again(owner: Client, alice: Person, bob: Person) -> None:
    save_provider(owner)
    save_provider(owner, base_url="http://barn.example/v1")
    provider = Provider.objects.get()
    use = reverse("admin:providers_provider_use", args=[provider.pk, 1])
    owner.force_login(bob)
    assert owner.post(use).status_code == 404
    owner.force_login(alice)
    assert owner.get(use).status_code == 405
    assert owner.post(reverse("admin:providers_provider_use", args=[provider.pk, 9])).status_code == 404
    assert Provider.objects.get().current.number == 2  # type: ignore[union-attr]
    assert "now uses version 1" in owner.post(use, follow=True).text
    assert Provider.objects.get().current.number == 1  # type: ignore[union-attr]
    assert ProviderVersion.objects.count() == 2


def test_a_key_goes_in_and_never_comes_out(owner: Client) -> None:
    answer = save_provider(owner, key=KEY, _continue="1")
    provider = Provider.objects.get()
    assert decrypt(bytes(provider.encrypted_key)) == KEY
    assert KEY.encode() not in bytes(provider.encrypted_key)
    assert KEY not in answer.text and "A key is stored" in answer.text
    for name, arguments in (("changelist", []), ("change", [provider.pk]), ("history", [provider.pk])):
        assert KEY not in owner.get(reverse(f"admin:providers_provider_{name}", args=arguments)).text
    refused = save_provider(owner, key="sk-another-9876", base_url="nowhere")
    assert "starts with http" in refused.text
    assert "sk-another-9876" not in refused.text


def test_a_key_stays_until_it_is_replaced_or_removed(owner: Client) -> None:
    def key() -> str:
        return decrypt(bytes(Provider.objects.get().encrypted_key))

    save_provider(owner, key=KEY)
    save_provider(owner, base_url="http://farm.example/v2")
    assert (key(), ProviderVersion.objects.count()) == (KEY, 2)
    save_provider(owner, key="sk-new")
    assert key() == "sk-new"
    save_provider(owner, remove_key="on")
    assert key() == ""


def test_a_key_is_not_sent_to_another_server_than_its_own(owner: Client) -> None:
    save_provider(owner)
    save_provider(owner, base_url="http://barn.example/v1", key=KEY)
    elsewhere = {"base_url": "http://thief.example/v1"}
    assert "belongs to another address" in save_provider(owner, **elsewhere).text
    use = reverse("admin:providers_provider_use", args=[Provider.objects.get().pk, 1])
    assert "the stored key is not for it" in owner.post(use, follow=True).text
    current = Provider.objects.get().current
    assert current is not None and current.base_url == "http://barn.example/v1"
    save_provider(owner, **elsewhere, key="sk-theirs")
    assert decrypt(bytes(Provider.objects.get().encrypted_key)) == "sk-theirs"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"base_url": "farm.example"}, "starts with http://"),
        ({"base_url": "ftp://farm.example"}, "starts with http://"),
        ({"base_url": "http://me:secret@farm.example"}, "Put the key into its own field"),
        ({"base_url": ""}, "needs an address"),
        ({"options": "[1]"}, "JSON object"),
        ({"kind": "telepathy"}, "not one of the available choices"),
    ],
)
def test_a_malformed_provider_is_refused(owner: Client, values: dict[str, str], said: str) -> None:
    assert said in save_provider(owner, **values).text
    assert not Provider.objects.exists()


def test_a_model_is_saved_as_versions_and_the_router_sees_it(owner: Client) -> None:
    save_provider(owner)
    save_model(owner)
    model = LanguageModel.objects.get()
    assert (model.mark, model.enabled, model.current.number) == (0, True, 1)  # type: ignore[union-attr]
    before = LanguageModelVersion.objects.values().get()
    save_model(owner, window="16384")
    assert LanguageModelVersion.objects.values().get(number=1) == before
    candidate = catalog.load_sync().candidates["plum"]
    assert (candidate.window, candidate.abilities) == (16384, frozenset({"system", "images"}))
    assert candidate.price_input is not None and candidate.price_output is None  # unknown is never 0


def test_a_saved_change_is_in_the_next_decision(owner: Client, django_capture_on_commit_callbacks: Any) -> None:
    save_provider(owner)
    save_model(owner)
    assert catalog.load_sync().candidates["plum"].window == 8192
    with django_capture_on_commit_callbacks(execute=True):
        save_model(owner, window="4096")
    assert catalog.load_sync().candidates["plum"].window == 4096


def test_switching_a_model_off_makes_no_version(owner: Client) -> None:
    save_provider(owner)
    save_model(owner)
    save_model(owner, enabled="")
    assert (LanguageModel.objects.get().enabled, LanguageModelVersion.objects.count()) == (False, 1)


def test_testing_a_connection_tells_what_came_of_it(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    save_provider(owner, key=KEY)
    asked: list[Address] = []

    async def models(self: Scripted, address: Address) -> list[str]:
        asked.append(address)
        return ["pear-1", "plum-1"]

    monkeypatch.setattr(Scripted, "models", models)
    test = reverse("admin:providers_provider_test", args=[Provider.objects.get().pk])
    assert owner.get(test).status_code == 405
    assert "farm answers and serves 2 models." in owner.post(test, follow=True).text
    assert asked == [Address(base_url="http://farm.example/v1", key=KEY)]

    async def refuse(self: Scripted, address: Address) -> list[str]:
        raise broken("auth", "The provider refused the key.")

    monkeypatch.setattr(Scripted, "models", refuse)
    answer = owner.post(test, follow=True).text
    assert "The provider refused the key. Retry it." in answer and KEY not in answer


def test_found_models_are_added_by_choice(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def models(self: Scripted, address: Address) -> list[str]:
        return ["plum-1", "pear:7b"]

    monkeypatch.setattr(Scripted, "models", models)
    save_provider(owner)
    save_model(owner)
    provider = Provider.objects.get()
    found = owner.post(reverse("admin:providers_provider_find", args=[provider.pk])).text
    assert "pear:7b" in found and "already here" in found
    add = reverse("admin:providers_provider_add_found", args=[provider.pk])
    assert "nothing was added" in owner.post(add, {}, follow=True).text
    assert "Added pear-7b" in owner.post(add, {"model": ["pear:7b", "plum-1", "pear:7b"]}, follow=True).text
    assert sorted(LanguageModel.objects.values_list("name", flat=True)) == ["pear-7b", "plum"]
    assert LanguageModel.objects.get(name="pear-7b").current.price_input is None  # type: ignore[union-attr]


def test_a_model_can_be_kept_for_a_group_and_given_back_to_all(owner: Client) -> None:
    save_provider(owner)
    group = Group.objects.create(name="research")
    save_model(owner)
    assert catalog.load_sync().candidates["plum"].groups is None
    for form, groups in (
        ({"for_all": "", "groups": [group.pk]}, frozenset({"research"})),
        ({"for_all": "", "groups": []}, frozenset()),
        ({}, None),
    ):
        save_model(owner, **form)
        catalog.forget()
        assert catalog.load_sync().candidates["plum"].groups == groups
    assert LanguageModelVersion.objects.count() == 1
