"""The pages of documents: what there is, adding and removing, and one document with the passage a citation opens."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.core.paginator import Page, Paginator
from django.db import transaction
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from chat.access import run_message_for
from chat.rendering import render as render_markdown
from chat.sharing import share_with
from chat.views import index
from retrieval import adding, claims, files
from retrieval.access import collection_to_rule, document_for, document_to_change, documents_of, shelves_of
from retrieval.models import Chunk, Collection, Document
from workspace.accounts.rights import may_chat, person_of
from workspace.types import sha256

PASSAGES = 50  # on a page


@login_required
@require_safe
def documents(request: HttpRequest) -> HttpResponse:
    """The page; with ``?part``, the part of it that changes while documents are read."""
    person = person_of(request)
    rows = [(c, list(c.documents.defer("text", "pages").order_by("title"))) for c in shelves_of(person)]
    mine = [(c, those) for c, those in rows if c.owner_id == person.pk]
    context = {
        "own": [c for c, _ in mine if c.kind == Collection.Kind.DOCUMENTS and c.name != adding.OWN],
        "first": adding.OWN,
        "collections": mine + [(c, those) for c, those in rows if c.owner_id != person.pk],
        "reading": any(claims.goes_on(document) for _, those in mine for document in those),
        "may_add": may_chat(person),
        "most": adding.settings.MAX_DOCUMENT // 1_000_000,
    }
    if "part" in request.GET:
        return render(request, "retrieval/_collections.html", context)
    return render(request, "retrieval/documents.html", {**index(request), **context})


@login_required
@require_POST
def add(request: HttpRequest) -> HttpResponse:
    """Each file for itself: one that is refused keeps no other out."""
    person = person_of(request)
    if not may_chat(person):
        raise PermissionDenied
    given = request.FILES.getlist("files")
    address = request.POST.get("url", "").strip()
    text = request.POST.get("text", "")
    wanted = request.POST.get("collection", "")
    into = collection_to_rule(person, wanted) if wanted else None
    if not given and not address and not text.strip():
        messages.error(request, "Nothing came. Choose a file, drop some on the page, paste an address or a text.")
    if address:
        _try(request, lambda: adding.add_link(person, address, collection=into))
    if text.strip():
        _try(request, lambda: adding.add_text(person, text, collection=into))
    for refused in adding.add_all(person, given, collection=into):
        messages.error(request, str(refused))
    return redirect("documents")


@login_required
@require_POST
def add_collection(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    if not may_chat(person):
        raise PermissionDenied
    if name := _name(request):
        Collection.objects.create(owner=person, name=name)
    return redirect("documents")


@login_required
@require_POST
def change_collection(request: HttpRequest, id: UUID) -> HttpResponse:
    """``name`` it, ``share`` it with a person or a group, ``unshare`` one, or ``delete`` it with all its documents."""
    collection = collection_to_rule(person_of(request), id)
    with transaction.atomic():
        if request.POST.get("delete"):
            collection.delete()
            messages.success(request, f"{collection.name} is deleted, with its documents.")
        elif wanted := " ".join(request.POST.get("share", "").split()):
            share_with(request, collection.shares, wanted)
        elif gone := request.POST.get("unshare", ""):
            collection.shares.filter(pk=gone if gone.isascii() and gone.isdigit() else "0").delete()
        elif name := _name(request):
            collection.name = name
            collection.save(update_fields=["name"])
    return redirect("documents")


def _name(request: HttpRequest) -> str:
    name = " ".join(request.POST.get("name", "").split())[:120]
    if not name:
        messages.error(request, "A collection needs a name. Write one.")
    return name


@login_required
@require_POST
def again(request: HttpRequest, id: UUID) -> HttpResponse:
    one = document_to_change(person_of(request), id)
    _try(request, lambda: adding.again(one))
    return redirect("documents")


@login_required
@require_POST
def delete(request: HttpRequest, id: UUID) -> HttpResponse:
    one = document_to_change(person_of(request), id)
    with transaction.atomic():
        one.delete()
    messages.success(request, f"{one.title} is deleted: its text, its passages and its file.")
    return redirect("documents")


@login_required
@require_safe
def file(request: HttpRequest, id: UUID) -> FileResponse:
    """The file as it was added, always as an attachment: whatever it is, it is not opened here."""
    one = document_for(person_of(request), id)
    path = files.path_of(one.digest)
    if not one.size or not path.exists():
        raise Http404
    response = FileResponse(
        path.open("rb"), as_attachment=True, filename=one.name, content_type="application/octet-stream"
    )
    response["X-Content-Type-Options"] = "nosniff"
    return response


@login_required
@require_safe
def document(request: HttpRequest, id: UUID) -> HttpResponse:
    """The text; with ``start`` and ``end``, its source with that passage marked at the exact characters. What an answer
    quoted has its ``digest``, too, and the ``run`` that keeps it: where the text is another one by now, the page says
    so and shows what was quoted. With ``part``, how far it is, without the text."""
    person = person_of(request)
    if "part" in request.GET:
        one = get_object_or_404(documents_of(person).defer("text", "pages"), pk=id)
        return render(request, "retrieval/_reading.html", {"document": one, "reading": claims.goes_on(one)})
    one = document_for(person, id)
    own = one.collection.owner_id == person.pk
    context = {"document": one, "own": own and may_chat(person), "passages": one.passages}
    context["reading"] = claims.goes_on(one)
    if "passages" in request.GET:
        context["listed"] = _listed(one, request.GET["passages"])
    else:
        context |= _passage(request, one)
    if "passage" not in context and "listed" not in context:
        context["html"] = render_markdown(one.text)
    return render(request, "retrieval/document.html", context)


def _passage(request: HttpRequest, document: Document) -> dict[str, object]:
    """What a template is told of the passage that is asked for; nothing where none is."""
    start, end = _offset(request, "start"), _offset(request, "end")
    if start is None or end is None or start >= end:
        return {}
    text, digest = document.text, request.GET.get("digest", "")
    if digest and not sha256(text[start:end]).startswith(digest):
        quoted = _quoted(request, document)
        start = text.find(quoted) if quoted else -1  # it may have moved
        end = start + len(quoted)
        if start < 0:
            return {"changed": True, "quoted": quoted}
    elif end > len(text):
        return {}
    return {"before": text[:start], "passage": text[start:end], "after": text[end:]}


def _quoted(request: HttpRequest, document: Document) -> str:
    """The passage as the answer's run keeps it, for whoever may see that."""
    number = _offset(request, "passage")
    try:
        run = run_message_for(person_of(request), request.GET.get("run", "")).run
    except Http404:
        return ""
    kept = run.evidence if run else []
    found = (one for one in kept if one["number"] == number and one["document_id"] == str(document.pk))
    return next((str(one["text"]) for one in found), "")


def _listed(document: Document, number: str) -> Page[Chunk]:
    """The passages as they were cut, so many on a page, each with the page of the file it begins on."""
    listed: Page[Chunk] = Paginator(document.chunks.order_by("position"), PASSAGES).get_page(number)
    for chunk in listed:
        chunk.page = bisect_right(document.pages, chunk.start)  # type: ignore[attr-defined]  # for the template
    return listed


def _try(request: HttpRequest, work: Callable[[], object]) -> None:
    try:
        work()
    except adding.NotTaken as refused:
        messages.error(request, str(refused))


def _offset(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None
