"""The pages of shared links: made and revoked by a chat's owner, read and forked by whoever has one."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from chat import access, tree
from chat.exchange import links
from chat.exchange.pages import shown
from chat.models import Blob, ShareLink
from chat.views import index
from workspace import blobs
from workspace.accounts.models import Person
from workspace.accounts.rights import may_chat
from workspace.pictures import FORMATS


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def manage(request: HttpRequest, id: UUID) -> HttpResponse:
    """The links of a chat. POST makes one, of the branch that leads to ``message`` or to where the person stands."""
    person = _signed_in(request)
    assert person is not None
    chat = access.chat_to_rule(person, id)
    wanted = request.GET.get("message") or request.POST.get("message")
    tip = access.message_for(person, id, wanted) if wanted else tree.place_of(chat, person)
    length = tip.depth + 1 if tip else 0
    context = {**index(request, chat), "chat": chat, "days": links.DAYS, "message": wanted, "length": length}
    status = 200
    if request.method == "POST":
        days = request.POST.get("days", "")
        made = None
        if days in map(str, links.DAYS):
            path = tree.whole_path(tip)
            made = links.make(person, chat, path, days=int(days), public=bool(request.POST.get("public")))
        if made:
            context["made"] = request.build_absolute_uri(reverse("link", args=[made[1]]))
        else:
            context["refused"] = "There is nothing to share yet, or no time was chosen. Ask first."
            status = 400
    context["links"] = links.listed(chat)
    return render(request, "chat/links.html", context, status=status)


@login_required
@require_POST
def revoke(request: HttpRequest, id: UUID, link: UUID) -> HttpResponse:
    person = _signed_in(request)
    assert person is not None
    chat = access.chat_to_rule(person, id)
    row = ShareLink.objects.filter(chat=chat, pk=link).select_related("chat").defer("snapshot").first()
    if row is None:
        raise Http404
    links.revoke(row)
    return redirect("chat-links", id)


@require_safe
def read(request: HttpRequest, secret: str) -> HttpResponse:
    person = _signed_in(request)
    link = links.found(secret, person)
    if link is None:
        return _not_found(request, person)
    said = links.said_to(link, person)
    digests = {image["digest"] for one in said for image in one.images}
    pictures = {digest: reverse("link-picture", args=[secret, digest]) for digest in digests}
    context = {
        "link": link,
        "secret": secret,
        "said": shown(said, pictures),
        "may_fork": person is not None and may_chat(person),
        "now": timezone.now(),
    }
    response = render(request, "chat/shared.html", context)
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


@require_safe
def picture(request: HttpRequest, secret: str, picture: str) -> HttpResponse | FileResponse:
    """A picture that stands in what the link shows."""
    person = _signed_in(request)
    link = links.found(secret, person)
    held = {image["digest"] for one in link.snapshot for image in one["images"]} if link else set()
    blob = Blob.objects.filter(digest=picture).first() if picture in held else None
    if blob is None or blob.media_type not in FORMATS.values():
        return _not_found(request, person)
    response = FileResponse(blobs.path_of(blob.digest).open("rb"), content_type=blob.media_type)
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_POST
@login_required
def fork(request: HttpRequest, secret: str) -> HttpResponse:
    person = _signed_in(request)
    assert person is not None
    link = links.found(secret, person)
    if link is None:
        raise Http404
    if not may_chat(person):
        raise PermissionDenied
    return redirect("chat", links.fork(link, person).pk)


def _not_found(request: HttpRequest, person: Person | None) -> HttpResponse:
    """To who is not signed in, every link that is not there looks like one that is for people here."""
    if person is None:
        return redirect_to_login(request.get_full_path())
    raise Http404


def _signed_in(request: HttpRequest) -> Person | None:
    return request.user if isinstance(request.user, Person) else None
