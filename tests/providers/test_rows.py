"""Keys, the provider that every workspace has, and servers found on this machine."""

from __future__ import annotations

import httpx
import pytest
from django.conf import LazySettings

from tests.providers.upstream import upstream
from workspace.providers.discovery import Found, discover, store
from workspace.providers.models import LanguageModel, LanguageModelVersion, Provider
from workspace.providers.registry import PROVIDERS, kinds, provider
from workspace.providers.secrets import decrypt, encrypt
from workspace.providers.setup import ensure_quotes

OLLAMA = "http://127.0.0.1:11434/v1"


def test_a_key_is_unreadable_at_rest_and_comes_back_under_the_same_secret(settings: LazySettings) -> None:
    token = encrypt("sk-one")
    assert b"sk-one" not in token
    assert decrypt(token) == "sk-one"
    settings.SECRET_KEY = "another"
    assert decrypt(token) == ""


def test_every_kind_has_a_label_and_one_object() -> None:
    assert [kind for kind, _ in kinds()] == list(PROVIDERS)
    assert all(provider(kind).kind == kind and label for kind, label in kinds())
    assert provider("openai") is provider("openai")


@pytest.mark.django_db
def test_quotes_is_there_once_and_costs_nothing() -> None:
    ensure_quotes()
    ensure_quotes()
    model = LanguageModel.objects.get()
    assert model.current is not None
    assert (model.name, model.current.upstream, model.current.price_output) == ("quotes", "quotes", 0)
    assert model.current.provider.current is not None
    assert model.current.provider.current.kind == "quotes"


async def test_a_server_that_lists_models_is_found_and_a_page_is_not() -> None:
    listed = httpx.Response(200, json={"object": "list", "data": [{"id": "qwen3:8b"}, {"id": "nomic-embed-text"}]})
    page = httpx.Response(200, text="<html>")
    with upstream(listed, page, httpx.ConnectError("refused"), httpx.Response(404)):
        found = await discover([OLLAMA, "http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "http://127.0.0.1:3/v1"])
    assert found == [Found(base_url=OLLAMA, label="ollama", models=("qwen3:8b",))]


@pytest.mark.django_db
def test_what_was_found_is_kept_once() -> None:
    found = [Found(base_url=OLLAMA, label="ollama", models=("qwen3:8b", "org/qwen3:8b"))]
    assert store(found)
    assert not store(found)
    assert set(LanguageModel.objects.values_list("name", flat=True)) == {"qwen3-8b", "qwen3-8b-2"}
    assert LanguageModelVersion.objects.filter(price_output=0).count() == 2


@pytest.mark.django_db
def test_a_provider_added_by_hand_is_left_alone() -> None:
    Provider.objects.create(name="ollama")
    assert not store([Found(base_url=OLLAMA, label="ollama", models=("qwen3:8b",))])
    assert not LanguageModel.objects.exists()
