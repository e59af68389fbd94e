"""Search in the admin: how documents are cut and searched, and which model makes vectors. Keys go in and never come
out."""

from __future__ import annotations

from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from retrieval import rebuild, reranking, spaces, tasks
from retrieval.models import Document, EmbeddingModel, SearchSettings
from workspace.hosts.link import HostUnavailable

State = EmbeddingModel.State
KEPT = "Kept encrypted and never shown again. Empty leaves the stored one."


def _key_field() -> forms.CharField:
    widget = forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(required=False, strip=True, widget=widget, help_text=KEPT)


class SearchSettingsForm(forms.ModelForm):  # type: ignore[type-arg]
    alpha = forms.FloatField(
        min_value=0, max_value=1, label="Share of meaning", widget=forms.NumberInput(attrs={"step": 0.05}),
        help_text="0 searches by words alone, 1 by meaning alone. A collection may be tuned to its own.",
    )  # fmt: skip
    tokens = forms.IntegerField(
        min_value=128,
        max_value=32_000,
        label="Tokens of evidence",
        help_text="At most, from documents; and as many again from attached files, and from the web.",
    )
    chunk_tokens = forms.IntegerField(
        min_value=32, max_value=4_000, label="Tokens of a passage",
        help_text="A change cuts and embeds every document anew, in the background.",
    )  # fmt: skip
    chunk_overlap = forms.IntegerField(min_value=0, max_value=1_000, label="Tokens that neighbours share")
    reranker = forms.ChoiceField(
        required=False, choices=[("", "Off"), *reranking.KINDS],
        help_text="Reads the best passages again with the question. Better order, and a wait at each question.",
    )  # fmt: skip
    reranker_model = forms.CharField(required=False, label="Reranker's model")
    reranker_url = forms.URLField(
        required=False, assume_scheme="https", label="Reranker's address", help_text="Up to and with /v1."
    )
    rerank_depth = forms.IntegerField(min_value=2, max_value=100, label="Passages reranked")
    key = _key_field()

    class Meta:
        model = SearchSettings
        fields = (
            "alpha", "tokens", "neighbours", "follow_up", "chunk_tokens", "chunk_overlap", "reranker",
            "reranker_model", "reranker_url", "rerank_depth",
        )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        tokens, overlap = said.get("chunk_tokens"), said.get("chunk_overlap")
        if tokens is not None and overlap is not None and overlap > tokens // 2:
            self.add_error("chunk_overlap", f"Neighbours share at most half of a passage: {tokens // 2} tokens.")
        for space in (spaces.current(), spaces.building()):
            try:
                if space and tokens is not None:
                    rebuild.check(tokens, space.window)
            except rebuild.NotFitting as refused:
                self.add_error("chunk_tokens", str(refused))
        self._check_reranker(said)
        return said

    def _check_reranker(self, said: dict[str, Any]) -> None:
        if said.get("reranker") and not said.get("reranker_model"):
            self.add_error("reranker_model", "Say which model reranks.")
        if said.get("reranker") == reranking.REMOTE and not said.get("reranker_url"):
            self.add_error("reranker_url", "Say at which address it is reached.")
        moved = "reranker_url" in self.changed_data and self.instance.encrypted_reranker_key
        if moved and not said.get("key"):
            self.add_error("key", "The stored key is for the old address. Write the key for this one.")


@admin.register(SearchSettings)
class SearchSettingsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = SearchSettingsForm
    fieldsets = (
        ("Search", {"fields": ("alpha", "tokens", "neighbours", "follow_up")}),
        ("Passages", {"fields": ("chunk_tokens", "chunk_overlap")}),
        ("Reranker", {"fields": ("reranker", "reranker_model", "reranker_url", "key", "rerank_depth")}),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """There is one row: it opens at once."""
        row, _ = SearchSettings.objects.get_or_create(pk=1)
        return redirect(reverse("admin:retrieval_searchsettings_change", args=[row.pk]))

    def save_model(self, request: HttpRequest, obj: SearchSettings, form: SearchSettingsForm, change: bool) -> None:
        if key := form.cleaned_data["key"]:
            obj.encrypted_reranker_key = reranking.sealed(key)
        super().save_model(request, obj, form, change)
        if {"chunk_tokens", "chunk_overlap"} & set(form.changed_data):
            count = Document.objects.filter(state__in=rebuild.READABLE).update(state=Document.State.QUEUED)
            transaction.on_commit(tasks.ingest_waiting.delay)
            messages.info(request, f"{count} documents are cut anew. They stay searchable meanwhile.")


class EmbeddingModelForm(forms.ModelForm):  # type: ignore[type-arg]
    base_url = forms.URLField(
        required=False, assume_scheme="https", label="Address", help_text="Up to and with /v1; of an address alone."
    )
    question_prefix = forms.CharField(
        required=False, strip=False, help_text="What some models want before a question, such as “query: ”."
    )
    passage_prefix = forms.CharField(
        required=False, strip=False, help_text="And before a passage, such as “passage: ”."
    )
    key = _key_field()

    class Meta:
        model = EmbeddingModel
        fields = ("name", "kind", "model", "base_url", "question_prefix", "passage_prefix", "window")
        help_texts = {
            "model": "What the address calls it; of this machine an id such as org/name, or a folder.",
        }

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = super().clean() or {}
        if said.get("kind") != EmbeddingModel.Kind.BUILT_IN and not said.get("model"):
            self.add_error("model", "Say which model it is.")
        if said.get("kind") == EmbeddingModel.Kind.REMOTE and not said.get("base_url"):
            self.add_error("base_url", "Say at which address it is reached.")
        if "base_url" in self.changed_data and self.instance.encrypted_key and not said.get("key"):
            self.add_error("key", "The stored key is for the old address. Write the key for this one.")
        return said

    def _post_clean(self) -> None:
        """The model is asked before it is kept: what it reads at once, and how long its vectors are."""
        super()._post_clean()  # type: ignore[misc]  # Django's own hook, which the stubs leave out
        if self.errors:
            return
        if key := self.cleaned_data["key"]:
            self.instance.encrypted_key = spaces.sealed(key)
        try:
            rebuild.look_at(self.instance)
        except rebuild.NotFitting as refused:
            self.add_error("window", str(refused))
        except HostUnavailable as away:
            self.add_error("model", f"The model gave no vector: {away}. Look at its name and address, and save again.")


@admin.register(EmbeddingModel)
class EmbeddingModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = EmbeddingModelForm
    fields = ("name", "kind", "model", "base_url", "key", "question_prefix", "passage_prefix", "window")
    list_display = ("name", "kind", "model", "window", "dimensions", "index")
    actions = ("search_in", "stop")

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        return {name: it for name, it in super().get_actions(request).items() if name != "delete_selected"}

    def has_change_permission(self, request: HttpRequest, obj: EmbeddingModel | None = None) -> bool:
        """What has an index stays as it is: another model is another row."""
        return super().has_change_permission(request, obj) and (obj is None or obj.state == State.DRAFT)

    def has_delete_permission(self, request: HttpRequest, obj: EmbeddingModel | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.state == State.DRAFT)

    @admin.display(description="index")
    def index(self, row: EmbeddingModel) -> str | SafeString:
        if row.state != State.BUILDING:
            return row.get_state_display()
        done, count = rebuild.progress(row)
        why = f" {row.failure}" if row.failure else ""
        bar = '<progress max="{}" value="{}" aria-label="Documents embedded"></progress> {} of {} documents{}'
        return format_html(bar, count or 1, done, done, count, why)

    @admin.action(description="Build its index, then search in it")
    def search_in(self, request: HttpRequest, rows: QuerySet[EmbeddingModel]) -> None:
        row = rows.first()
        if row is None or len(rows) > 1:
            messages.error(request, "Choose one model.")
        elif row.state == State.CURRENT:
            messages.info(request, f"{row} is searched already.")
        else:
            self._begin(request, row)

    def _begin(self, request: HttpRequest, row: EmbeddingModel) -> None:
        try:
            rebuild.look_at(row)
        except (rebuild.NotFitting, HostUnavailable) as refused:
            messages.error(request, f"{row} can't be used: {refused}")
            return
        rebuild.begin(row)
        transaction.on_commit(partial(tasks.build_index.delay, row.pk))
        messages.success(request, f"The index of {row} is being built. Until it is there, the present one is searched.")

    @admin.action(description="Stop building its index")
    def stop(self, request: HttpRequest, rows: QuerySet[EmbeddingModel]) -> None:
        for row in rows.filter(state=State.BUILDING):
            rebuild.give_up(row)
            messages.success(request, f"{row} is not built any more. The present model goes on.")
