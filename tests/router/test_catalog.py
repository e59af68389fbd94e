"""The catalog is read once, costs nothing after that, and never shows a change late."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scripted import add_model
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider
from workspace.providers.secrets import encrypt
from workspace.router import catalog

pytestmark = pytest.mark.django_db


def test_a_second_look_asks_the_database_nothing(django_assert_num_queries: Any) -> None:
    add_model("plain", abilities=("images",), window=8_000)
    first = catalog.load_sync()
    with django_assert_num_queries(0):
        assert catalog.load_sync() is first
    plain = first.candidates["plain"]
    assert (plain.kind, plain.window, plain.abilities, plain.enabled) == (
        "scripted",
        8_000,
        frozenset({"images"}),
        True,
    )


def test_what_is_forgotten_is_read_again() -> None:
    assert not catalog.load_sync().candidates
    add_model("plain")
    assert not catalog.load_sync().candidates
    catalog.forget()
    assert list(catalog.load_sync().candidates) == ["plain"]


def test_a_change_by_another_process_is_seen_when_the_look_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    model = add_model("plain")
    before = catalog.load_sync()
    monkeypatch.setattr(catalog, "FRESH", 0.0)
    assert catalog.load_sync() is before
    LanguageModel.objects.filter(pk=model.pk).update(enabled=False)
    assert not catalog.load_sync().candidates["plain"].enabled
    Provider.objects.update(encrypted_key=encrypt("a key"))
    assert catalog.load_sync().candidates["plain"].address.key == "a key"
    LanguageModel.objects.filter(pk=model.pk).update(name="renamed")
    assert list(catalog.load_sync().candidates) == ["renamed"]


def test_a_model_without_a_version_is_no_candidate() -> None:
    LanguageModel.objects.create(name="draft")
    assert not catalog.load_sync().candidates


def test_a_new_version_takes_the_place_of_the_old() -> None:
    model = add_model("plain")
    old = catalog.load_sync().candidates["plain"].version_id
    model.current = LanguageModelVersion.objects.create(
        model=model, number=2, provider=Provider.objects.get(), upstream="plain-2"
    )
    model.save(update_fields=["current"])
    catalog.forget()
    new = catalog.load_sync().candidates["plain"]
    assert (new.upstream, new.version_id != old) == ("plain-2", True)
