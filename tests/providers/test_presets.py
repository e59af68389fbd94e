"""Providers that appear by themselves: keys in the environment, prices that others keep, names of the article."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import LazySettings
from django.test import Client

from workspace.accounts.models import Person
from workspace.providers import prices
from workspace.providers.adding import add_model, prices_are_old, refresh_prices
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider, ProviderVersion
from workspace.providers.names import tie, tied_to
from workspace.providers.presets import MODEL_NAMES, PRESETS, begun_with, preset
from workspace.providers.secrets import encrypt, key_of, lacks
from workspace.providers.setup import begin, ensure_from_environment
from workspace.router import catalog, frozen
from workspace.router.configuration import parse

pytestmark = pytest.mark.django_db

UNTOUCHED = {"versions-TOTAL_FORMS": "0", "versions-INITIAL_FORMS": "0"}
ARTICLE = """{
"routes": [
{"condition": "len(prompt) < 120", "model": "fast-flash"},
{"condition": "requires_reasoning == true", "model": "atlas-long"},
{"condition": "default", "model": "balanced-sonnet"}
],
"fallback": "balanced-sonnet"
}"""


@pytest.fixture
def keys(settings: LazySettings) -> dict[str, str]:
    settings.PROVIDER_KEYS = {name: "" for one in PRESETS for name in one.variables}
    return settings.PROVIDER_KEYS


@pytest.mark.parametrize("one", [one for one in PRESETS if one.variables], ids=lambda one: one.name)
def test_a_key_in_the_environment_brings_its_provider_and_its_newest_models(keys: dict[str, str], one: object) -> None:
    known = preset(one.name)  # type: ignore[attr-defined]
    assert known is not None
    keys[known.variables[-1]] = "sk-planted"
    assert ensure_from_environment() == [known.label]
    assert ensure_from_environment() == []
    provider = Provider.objects.get(name=known.name)
    assert (bytes(provider.encrypted_key), key_of(provider), lacks(provider)) == (b"", "sk-planted", "")
    models = LanguageModelVersion.objects.filter(provider=provider)
    assert models.exists()
    assert all(model.price_input and model.price_output and model.price_source == prices.source() for model in models)


def test_no_key_brings_nothing_and_a_key_that_goes_is_said(keys: dict[str, str]) -> None:
    assert ensure_from_environment() == [] and not Provider.objects.exists()
    keys["ANTHROPIC_API_KEY"] = "sk-planted"
    ensure_from_environment()
    keys["ANTHROPIC_API_KEY"] = ""
    candidate = next(iter(catalog.load_sync().candidates.values()))
    assert candidate.lacks == "ANTHROPIC_API_KEY is not set" and candidate.address.key == ""


def test_a_stored_key_goes_before_the_environment(keys: dict[str, str]) -> None:
    keys["OPENAI_API_KEY"] = "sk-environment"
    ensure_from_environment()
    provider = Provider.objects.get()
    provider.encrypted_key = encrypt("sk-stored")
    assert key_of(provider) == "sk-stored"


def test_of_a_family_the_highest_version_is_begun_with_and_a_date_is_none() -> None:
    anthropic = preset("anthropic")
    assert anthropic is not None
    names = [
        "claude-sonnet-4-6",
        "claude-sonnet-5-5",
        "claude-sonnet-4-20250514",
        "claude-haiku-4-5",
        "claude-opus-9-9",
    ]
    assert begun_with(anthropic, names) == ["claude-sonnet-5-5", "claude-haiku-4-5"]


def test_what_nobody_lists_has_no_price_and_what_runs_here_is_free() -> None:
    elsewhere = served_at("https://models.example/v1")
    unknown = add_model(elsewhere, "house-model").current
    here = add_model(elsewhere, "qwen3:8b", free=True).current
    assert unknown and (unknown.price_input, unknown.window, unknown.price_source) == (None, None, "")
    assert here and (here.price_input, here.price_source) == (0, "")


def test_newer_prices_make_a_version_and_never_touch_the_admins_own(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = served_at("https://api.anthropic.com/v1")
    kept, own = add_model(provider, "claude-sonnet-5-5"), add_model(provider, "claude-haiku-5-5")
    frozen.lift()
    LanguageModelVersion.objects.filter(model=own).update(price_input=Decimal("7"), price_source="")
    LanguageModelVersion.objects.filter(model=kept).update(price_input=Decimal("99"), price_source="genai-prices 0.0.1")
    assert prices_are_old()
    assert refresh_prices() == [kept.name]
    assert not prices_are_old() and refresh_prices() == []
    kept.refresh_from_db()
    own.refresh_from_db()
    assert kept.current and (kept.current.number, kept.current.price_input) == (2, Decimal("2"))
    assert own.current and (own.current.number, own.current.price_input) == (1, Decimal("7"))
    assert kept.versions.get(number=1).price_input == 99


def test_the_articles_file_is_valid_once_its_names_are_tied() -> None:
    provider = served_at("https://api.anthropic.com/v1")
    sonnet = add_model(provider, "claude-sonnet-5-5")
    for name in MODEL_NAMES:
        named = tie(name, sonnet)
        assert tied_to(name) == sonnet
        assert named.current and named.current.price_input == Decimal("2")
    assert parse(ARTICLE, models=set(LanguageModel.objects.values_list("name", flat=True)))
    haiku = add_model(provider, "claude-haiku-5-5")
    assert tie("fast-flash", haiku).versions.count() == 2 and tied_to("fast-flash") == haiku
    assert tie("fast-flash", haiku).versions.count() == 2


def test_the_admin_begins_with_a_preset_and_ties_the_names(client: Client, alice: Person) -> None:
    client.force_login(alice)
    form = client.get("/admin/providers/provider/add/?preset=anthropic")
    assert b"https://api.anthropic.com/v1" in form.content
    sent = {"name": "anthropic", "kind": "anthropic", "base_url": "https://api.anthropic.com/v1", "preset": "anthropic"}
    done = client.post("/admin/providers/provider/add/", {**sent, "key": "sk-planted", "options": "{}"}, follow=True)
    assert done.status_code == 200 and b"sk-planted" not in done.content
    names = set(LanguageModel.objects.values_list("name", flat=True))
    assert {"claude-sonnet-5-5", "claude-haiku-5-5"} <= names
    sonnet = LanguageModel.objects.get(name="claude-sonnet-5-5")
    done = client.post("/admin/providers/languagemodel/names/", {"balanced-sonnet": sonnet.pk}, follow=True)
    assert b"balanced-sonnet is claude-sonnet-5-5" in done.content
    assert client.get("/admin/providers/languagemodel/names/").status_code == 200


def test_an_address_that_changes_does_not_take_the_environments_key_along(
    client: Client, alice: Person, keys: dict[str, str]
) -> None:
    keys["ANTHROPIC_API_KEY"] = "sk-planted"
    ensure_from_environment()
    provider = Provider.objects.get()
    client.force_login(alice)
    page = f"/admin/providers/provider/{provider.pk}/change/"
    sent = {"name": "anthropic", "kind": "anthropic", "base_url": "https://elsewhere.example/v1", "options": "{}"}
    refused = client.post(page, {**sent, **UNTOUCHED})
    assert b"belongs to another address" in refused.content
    client.post(page, {**sent, **UNTOUCHED, "remove_key": "on"})
    provider.refresh_from_db()
    assert provider.current and (provider.current.key_variable, key_of(provider)) == ("", "")


def test_empty_prices_are_the_kept_ones_and_entered_ones_win(client: Client, alice: Person) -> None:
    provider = begin(PRESETS[0])
    client.force_login(alice)
    sent = {"name": "opus", "enabled": "on", "provider": provider.pk, "upstream": "claude-opus-5", "parameters": "{}"}
    client.post("/admin/providers/languagemodel/add/", {**sent, "for_all": "on"})
    model = LanguageModel.objects.get(name="opus")
    assert model.current and (model.current.price_input, model.current.price_source) == (5, prices.source())
    page = f"/admin/providers/languagemodel/{model.pk}/change/"
    client.post(page, {**sent, **UNTOUCHED, "for_all": "on", "price_input": "1", "price_output": "2"})
    model.refresh_from_db()
    assert model.current and (model.current.number, model.current.price_input, model.current.price_source) == (2, 1, "")


def served_at(base_url: str) -> Provider:
    provider = Provider.objects.create(name="elsewhere")
    provider.current = ProviderVersion.objects.create(provider=provider, number=1, kind="openai", base_url=base_url)
    provider.save()
    return provider
