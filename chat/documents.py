"""The pages of documents: what there is, and one document with the passage a citation opens."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from chat.rendering import render as render_markdown
from chat.views import index
from retrieval.access import collections_of, document_for
from workspace.accounts.models import Person


@login_required
@require_safe
def documents(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, Person)
    rows = [(c, list(c.documents.defer("text").order_by("title"))) for c in collections_of(request.user)]
    return render(request, "retrieval/documents.html", {**index(request), "collections": rows})


@login_required
@require_safe
def document(request: HttpRequest, id: UUID) -> HttpResponse:
    """The text; with ``start`` and ``end``, its source with that passage marked at the exact characters."""
    assert isinstance(request.user, Person)
    one = document_for(request.user, id)
    start, end = _offset(request, "start"), _offset(request, "end")
    context = {"document": one, "html": render_markdown(one.text)}
    if start is not None and end is not None and 0 <= start < end <= len(one.text):
        context |= {"before": one.text[:start], "passage": one.text[start:end], "after": one.text[end:]}
    return render(request, "retrieval/document.html", context)


def _offset(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
