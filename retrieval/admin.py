"""Collections and documents in the admin: what there is and how far it is; their text is their owners', and so is what
was attached to a chat or read on the web for somebody, altogether. And the engines that search the web, whose keys go
in and never come out."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from retrieval.models import Collection, Document, SearchEngine
from retrieval.search_admin import EmbeddingModelAdmin, SearchSettingsAdmin
from retrieval.web import engines
from workspace.admin_site.pages import ReadOnlyAdmin

__all__ = ["EmbeddingModelAdmin", "SearchSettingsAdmin"]  # registered beside these


@admin.register(Collection)
class CollectionAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "built_in", "size", "created")
    list_select_related = ("owner",)
    fields = ("name", "owner", "built_in", "size", "created")
    search_fields = ("name", "owner__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Collection]:
        shelves = super().get_queryset(request).filter(kind=Collection.Kind.DOCUMENTS)
        return shelves.annotate(number_of_documents=Count("documents"))

    @admin.display(description="documents", ordering="number_of_documents")
    def size(self, collection: Collection) -> int:
        return int(collection.number_of_documents)  # type: ignore[attr-defined]


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    list_display = ("title", "collection", "state", "created")
    list_filter = ("state",)
    list_select_related = ("collection",)
    fields = ("title", "name", "collection", "state", "why_it_failed", "created")
    search_fields = ("title", "name")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Document]:
        shelved = super().get_queryset(request).filter(collection__kind=Collection.Kind.DOCUMENTS)
        return shelved.defer("text")

    @admin.display(description="failure", empty_value="none")
    def why_it_failed(self, document: Document) -> str | None:
        failure = document.failure
        return f"{failure.get('cause', '')} {failure.get('action', '')}" if isinstance(failure, dict) else None


class SearchEngineForm(forms.ModelForm):  # type: ignore[type-arg]
    kind = forms.ChoiceField(choices=engines.choices)
    base_url = forms.URLField(
        required=False, assume_scheme="https", label="Address", help_text="Empty takes the engine's own."
    )
    key = forms.CharField(
        required=False,
        strip=True,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        help_text="Kept encrypted and never shown again. Empty leaves the stored one.",
    )

    class Meta:
        model = SearchEngine
        fields = ("name", "kind", "base_url", "position", "enabled")

    def clean(self) -> dict[str, object]:
        """A key goes with its address: who changes that says the key again, or it would be sent elsewhere."""
        cleaned: dict[str, object] = super().clean() or {}
        moved = self.instance.pk and "base_url" in self.changed_data
        if moved and self.instance.encrypted_key and not cleaned.get("key"):
            self.add_error("key", "The stored key is for the old address. Write the key for this one.")
        return cleaned


@admin.register(SearchEngine)
class SearchEngineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = SearchEngineForm
    fields = ("name", "kind", "base_url", "key", "position", "enabled")
    list_display = ("name", "kind", "position", "enabled", "has_key")
    actions = None

    @admin.display(description="key", boolean=True)
    def has_key(self, engine: SearchEngine) -> bool | None:
        return bool(engines.key_of(engine)) if engines.KINDS[engine.kind].NEEDS_KEY else None

    def save_model(self, request: HttpRequest, obj: SearchEngine, form: SearchEngineForm, change: bool) -> None:
        if key := form.cleaned_data["key"]:
            obj.encrypted_key = engines.sealed(key)
        super().save_model(request, obj, form, change)
