"""The pages of personas: what there is to choose from, and one's own written, previewed, compared and used again."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from chat import diff
from chat.views import index
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat, person_of
from workspace.router import personas
from workspace.router.models import PromptTemplate
from workspace.router.personas import NotKept
from workspace.router.prompts import BUILT_IN, estimate_tokens


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def listed(request: HttpRequest) -> HttpResponse:
    """What the person may choose for a chat. POST keeps a new one of their own, or with ``preview`` shows it."""
    person = person_of(request)
    if request.method == "POST":
        if not may_chat(person):
            raise PermissionDenied
        return _keep(request, person, None)
    return _show(request, person, None)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def one(request: HttpRequest, persona: int) -> HttpResponse:
    """One of the person's own. POST keeps its next version, ``use``s an older one again, or ``delete``s it: what was
    answered with it stays."""
    person = person_of(request)
    row = PromptTemplate.objects.filter(owner=person, pk=min(persona, 2**62)).select_related("current").first()
    if row is None or not may_chat(person):
        raise Http404
    if request.method != "POST":
        return _show(request, person, row)
    if request.POST.get("delete"):
        row.owner, row.offered = None, False
        row.save(update_fields=["owner", "offered"])
        return redirect("personas")
    if number := request.POST.get("use"):
        wanted = row.versions.filter(number=int(number) if number.isascii() and number.isdigit() else 0).first()
        if wanted is None:
            raise Http404
        row.current = wanted
        row.save(update_fields=["current"])
        return redirect("persona", row.pk)
    return _keep(request, person, row)


def _keep(request: HttpRequest, person: Person, row: PromptTemplate | None) -> HttpResponse:
    given = request.POST
    if given.get("preview"):
        return _show(request, person, row)
    try:
        kept = personas.keep(
            person, row, title=given.get("title", ""), about=given.get("about", ""), system=given.get("system", ""),
            variables=personas.declared(given.get("variables", "")),
        )  # fmt: skip
    except NotKept as refused:
        return _show(request, person, row, refused=str(refused))
    return redirect("persona", kept.pk)


def _show(request: HttpRequest, person: Person, row: PromptTemplate | None, *, refused: str = "") -> HttpResponse:
    now = row.current if row else None
    typed: dict[str, Any] = {
        "title": row.title if row else "",
        "about": row.about if row else "",
        "system": now.system if now else "",
        "variables": personas.written(now.variables) if now else "",
    }
    if request.method == "POST":
        typed = {name: request.POST.get(name, "") for name in typed}
    previewed = []
    if typed["system"] and not refused:
        try:
            variables = personas.declared(typed["variables"])
        except NotKept as wrong:
            variables, refused = {}, str(wrong)
        told = personas.previews(typed["system"].replace("\r\n", "\n"), variables, person=person.username)
        previewed = [(title, text, estimate_tokens(text)) for title, text in told]
    context = {
        **index(request),
        "here": "personas",
        "persona": row,
        "personas": personas.offered_to(person),
        "typed": typed,
        "previewed": previewed,
        "built_in": BUILT_IN,
        "refused": refused,
        "may_write": may_chat(person),
        "versions": _versions(row) if row else [],
    }
    return render(request, "chat/personas.html", context, status=400 if refused else 200)


def _versions(row: PromptTemplate) -> list[dict[str, Any]]:
    """The newest first, each with what it changed of the one before."""
    rows = list(row.versions.select_related("author").order_by("number"))
    told = []
    for before, version in zip([None, *rows], rows, strict=False):
        pieces = diff.words(before.system, version.system) if before else []
        changed = [piece for piece in pieces if piece.kind != "same"]
        told.append({"version": version, "pieces": pieces if changed else [], "used": version.pk == row.current_id})
    return told[::-1]
