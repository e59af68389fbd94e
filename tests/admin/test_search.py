"""Search in the admin: settings that can't work are refused, and another embedding model is asked before it is kept."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from retrieval import presets, spaces, tasks
from retrieval.models import Collection, Document, EmbeddingModel, SearchSettings
from workspace.accounts.models import Person
from workspace.hosts import link

pytestmark = pytest.mark.django_db

SETTINGS = {
    "alpha": "0.5", "tokens": "2048", "neighbours": "on", "chunk_tokens": "128", "chunk_overlap": "32", "reranker": "",
    "reranker_model": "", "reranker_url": "", "rerank_depth": "30", "key": "",
}  # fmt: skip
MODEL = {
    "name": "Other", "kind": "local", "model": "org/other", "base_url": "", "question_prefix": "", "passage_prefix": "",
    "window": "512", "key": "",
}  # fmt: skip
PAGE, MODELS = "/admin/retrieval/searchsettings/1/change/", "/admin/retrieval/embeddingmodel/"


@pytest.fixture
def browser(client: Client, alice: Person) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A model of this machine: its window, which a test may change; none is there where the list is empty."""
    window = [512]

    def about(name: str) -> dict[str, int]:
        if not window:
            raise link.HostUnavailable("org/other is not on this machine")
        return {"window": window[0], "dimensions": 3}

    monkeypatch.setattr(link, "embedding_model", about)
    monkeypatch.setattr(link, "embed", lambda texts, **_: [[1.0, 0.0, 0.0] for _ in texts])
    return window


def test_settings_are_kept_and_searched_with(browser: Client) -> None:
    opened = browser.get("/admin/retrieval/searchsettings/", follow=True)
    assert opened.redirect_chain[-1][0] == PAGE and "Share of meaning" in opened.content.decode()
    assert browser.post(PAGE, SETTINGS).status_code == 302
    preset = presets.current()
    assert (preset.alpha, preset.tokens, preset.follow_up, preset.reranker) == (0.5, 2048, False, None)


def test_passages_longer_than_the_model_reads_are_refused_at_save(browser: Client) -> None:
    browser.get("/admin/retrieval/searchsettings/")
    page = browser.post(PAGE, SETTINGS | {"chunk_tokens": "1000"}).content.decode()
    assert "do not fit a model that reads 256" in page and "passages of 240 tokens at most" in page
    page = browser.post(PAGE, SETTINGS | {"chunk_overlap": "100"}).content.decode()
    assert "share at most half" in page
    assert SearchSettings.objects.get().chunk_tokens == 128


def test_another_size_cuts_every_document_anew(
    browser: Client, alice: Person, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    queued: list[bool] = []
    monkeypatch.setattr(tasks.ingest_waiting, "delay", lambda: queued.append(True))
    shelf = Collection.objects.create(name="Travel", owner=alice)
    ready = Document.objects.create(collection=shelf, title="F", name="f", digest="0", text="Words.", state="ready")
    failed = Document.objects.create(collection=shelf, title="G", name="g", digest="1", state="failed")
    browser.get("/admin/retrieval/searchsettings/")
    with django_capture_on_commit_callbacks(execute=True):
        browser.post(PAGE, SETTINGS | {"chunk_tokens": "96"})
    ready.refresh_from_db()
    failed.refresh_from_db()
    assert (ready.state, failed.state, queued) == ("queued", "failed", [True])
    assert presets.size(spaces.BUILT_IN).tokens == 96


def test_a_reranker_needs_a_name_and_an_address_and_its_key_never_comes_back(browser: Client) -> None:
    browser.get("/admin/retrieval/searchsettings/")
    page = browser.post(PAGE, SETTINGS | {"reranker": "remote"}).content.decode()
    assert "Say which model reranks" in page and "Say at which address" in page
    said = {"reranker": "remote", "reranker_model": "r-1", "reranker_url": "https://far.test/v1", "key": "s3cret"}
    browser.post(PAGE, SETTINGS | said)
    preset = presets.current()
    assert preset.reranker is not None and (preset.reranker.model, preset.reranker.key) == ("r-1", "s3cret")
    assert "s3cret" not in browser.get(PAGE).content.decode()
    moved = SETTINGS | said | {"reranker_url": "https://other.test/v1", "key": ""}
    assert "The stored key is for the old address" in browser.post(PAGE, moved).content.decode()


def test_a_model_is_asked_before_it_is_kept(browser: Client, model: list[int]) -> None:
    model[0] = 384
    browser.post(f"{MODELS}add/", MODEL)
    row = EmbeddingModel.objects.get()
    assert (row.window, row.dimensions, row.state) == (384, 3, "draft"), "the window is what the model says at most"
    model.clear()
    page = browser.post(f"{MODELS}add/", MODEL | {"name": "Gone"}).content.decode()
    assert "gave no vector: org/other is not on this machine" in page and EmbeddingModel.objects.count() == 1


def test_a_model_with_too_short_a_window_is_refused_at_save(browser: Client, model: list[int]) -> None:
    model[0] = 128
    page = browser.post(f"{MODELS}add/", MODEL).content.decode()
    assert "do not fit a model that reads 128" in page and not EmbeddingModel.objects.exists()


def test_an_index_is_begun_told_and_given_up(
    browser: Client, model: list[int], monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    built: list[int] = []
    monkeypatch.setattr(tasks.build_index, "delay", built.append)
    monkeypatch.setattr(tasks.forget_index, "delay", lambda index: None)
    browser.post(f"{MODELS}add/", MODEL)
    row = EmbeddingModel.objects.get()
    asked = {"action": "search_in", "_selected_action": [row.pk]}
    with django_capture_on_commit_callbacks(execute=True):
        page = browser.post(MODELS, asked, follow=True).content.decode()
    assert built == [row.pk] and "is being built" in page and "0 of 0 documents" in page
    assert browser.post(f"{MODELS}{row.pk}/change/", MODEL | {"name": "X"}).status_code == 403
    browser.post(MODELS, asked | {"action": "stop"})
    assert EmbeddingModel.objects.get().state == "draft"
