"""Collections and documents in the admin: what there is and how far it is. Their text is their owners'."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from retrieval.models import Collection, Document
from workspace.admin_site.pages import ReadOnlyAdmin


@admin.register(Collection)
class CollectionAdmin(ReadOnlyAdmin):
    list_display = ("name", "owner", "built_in", "size", "created")
    list_select_related = ("owner",)
    fields = ("name", "owner", "built_in", "size", "created")
    search_fields = ("name", "owner__username")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Collection]:
        return super().get_queryset(request).annotate(number_of_documents=Count("documents"))

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
        return super().get_queryset(request).defer("text")

    @admin.display(description="failure", empty_value="none")
    def why_it_failed(self, document: Document) -> str | None:
        failure = document.failure
        return f"{failure.get('cause', '')} {failure.get('action', '')}" if isinstance(failure, dict) else None
